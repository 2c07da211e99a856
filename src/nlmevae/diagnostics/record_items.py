"""Every name $TABLE may ask for: data items, variables of the code, NONMEM's reserved items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.data.dataset import Dataset
from nlmevae.diagnostics.diagnose import observation_diagnostics
from nlmevae.diagnostics.interaction import interaction_variance
from nlmevae.diagnostics.prediction_errors import PredictionErrors
from nlmevae.diagnostics.record_program import RecordProgram, Values
from nlmevae.diagnostics.weighted_residuals import linearised_at, weighted_residuals
from nlmevae.errors import UnsupportedError
from nlmevae.estimation.at_estimates import AtEstimates
from nlmevae.ir import matrix_elements
from nlmevae.results.diagnostics import ObservationDiagnostics

POPULATION, INDIVIDUAL = ("PRED", "NPRED", "PREDI"), ("IPRED", "CIPRED", "CIPREDI")
#: Items of observations -> field of `ObservationDiagnostics`.
RESIDUALS = {
    "IWRES": "iwres", "CIWRES": "iwres", "CIWRESI": "iwres", "CPRED": "cpred", "CPREDI": "cpred",
}  # fmt: skip
WEIGHTED = ("WRES", "NWRES", "WRESI", "CWRES", "CWRESI")
#: DV minus one of the above (field of `ObservationDiagnostics`).
DIFFERENCES = {
    **dict.fromkeys(("RES", "NRES", "RESI"), "pred"),
    **dict.fromkeys(("IRES", "CIRES", "CIRESI"), "ipred"),
    **dict.fromkeys(("CRES", "CRESI"), "cpred"),
}
#: Items that need simulations -> field of `PredictionErrors`.
SIMULATED = {"EPRED": "expected", "ERES": "expected", "EWRES": "weighted", "NPDE": "npde", "NPD": "npd"}
NOT_COMPUTED = {
    **dict.fromkeys(
        ("IPREDI", "IRESI", "IWRESI", "NIPRED", "NIRES", "NIWRES", "EIPRED", "EIRES", "EIWRES", "ECWRES"),
        "this kind of prediction is not computed",
    ),
    "OBJI": "the objective of each subject is in the .phi file",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordItems:
    """Values per record at the conditional modes.

    Attributes:
        program: the code, record by record.
        individual, typical: the code's variables at the modes and at ETA = 0; empty where it could not be run.
        observations: residuals without simulations.
        obstacle: why the code could not be run, "" if it was.
    """

    at: AtEstimates
    dataset: Dataset
    program: RecordProgram
    individual: Values
    typical: Values
    observations: ObservationDiagnostics
    obstacle: str

    @classmethod
    def of(cls, at: AtEstimates, dataset: Dataset) -> RecordItems:
        model = at.problem.model
        program = RecordProgram(
            model=model,
            dataset=dataset,
            table=at.problem.table,
            thetas=at.population.thetas[: len(model.thetas)],
            elements=matrix_elements("OMEGA", at.population.omega) | matrix_elements("SIGMA", at.population.sigma),
            threads=getattr(at.problem.decoder, "threads", 1),
        )
        obstacle, individual, typical = "", {}, {}
        try:
            individual = program.values(all_etas(at))
            typical = program.values(np.zeros((dataset.n_subjects, len(model.etas))))
        except UnsupportedError as error:
            obstacle = error.message
        return cls(
            at=at,
            dataset=dataset,
            program=program,
            individual=individual,
            typical=typical,
            observations=observation_diagnostics(at, dataset, None, seed=1),
            obstacle=obstacle,
        )

    def column(self, name: str, *, errors: PredictionErrors | None = None, cholesky: bool = False) -> np.ndarray | str:
        """(n_rows,) values of `name`, or why there are none.

        Args:
            errors: what simulations tell, for the items that need it.
            cholesky: weighted residuals by the Cholesky factor.
        """
        if name in self.dataset.columns:
            return self.dataset.column(name)
        if name in ("EVID", "MDV"):
            return getattr(self.dataset, name.lower()).astype(float)
        if name in self.at.problem.model.etas:
            subject = np.repeat(np.arange(self.dataset.n_subjects), np.diff(self.dataset.subject_ptr))
            return all_etas(self.at)[subject, self.at.problem.model.etas.index(name)]
        if name in self.individual:
            return self.individual[name]
        return self._reserved(name, errors, cholesky)

    def _reserved(self, name: str, errors: PredictionErrors | None, cholesky: bool) -> np.ndarray | str:
        observations = self.observations
        if name in POPULATION:
            return self._prediction(self.typical, observations.pred)
        if name in INDIVIDUAL:
            return self._prediction(self.individual, observations.ipred)
        if name in WEIGHTED:
            return self._weighted(name, cholesky=cholesky)
        if name in RESIDUALS:
            return self._at_observations(getattr(observations, RESIDUALS[name]))
        if name in DIFFERENCES:
            difference = observations.dv - getattr(observations, DIFFERENCES[name])
            return self._at_observations(np.where(observations.censored, np.nan, difference))
        if name in SIMULATED and errors is not None:
            value = getattr(errors, SIMULATED[name])
            return self._at_observations(observations.dv - value if name == "ERES" else value)
        if name in NOT_COMPUTED:
            return NOT_COMPUTED[name]
        if self.obstacle:
            return f"the code could not be run at every record: {self.obstacle}"
        return "it is neither a data item nor a variable that $PK, $ERROR or $PRED assigns"

    def _weighted(self, name: str, *, cholesky: bool) -> np.ndarray | str:
        """WRES and its kin. What $ESTIMATION says of interaction decides, as in NONMEM's tables: WRES is WRESI after a
        step with it, NWRES after one without; CWRES has the residual error at the mode with it, at ETA = 0 without."""
        model, joint, rows = self.at.problem.model, self.at.joint, self.observations.row
        usable, conditional = ~self.observations.censored, name.startswith("C")
        where = typical = linearised_at(joint, joint.mean)
        etas = np.zeros((self.dataset.n_subjects, len(model.etas)))
        if conditional:
            usable = usable & self.at.modes.ok[self.at.problem.table.ob_subject]
            where, etas = linearised_at(joint, self.at.mode), all_etas(self.at)
        if name.endswith("I") or (name == "WRES" and model.interaction):
            if self.obstacle:
                return f"the code could not be run at every record: {self.obstacle}"
            where = replace(where, sd=np.sqrt(interaction_variance(self.program, self.at, etas, rows)))
        elif conditional and not model.interaction:
            where = replace(where, sd=typical.sd)
        return self._at_observations(weighted_residuals(joint, where, usable, cholesky=cholesky))

    def _prediction(self, code: Mapping[str, np.ndarray], at_observations: np.ndarray) -> np.ndarray | str:
        """Y of the code, on records with an observation the prediction the fit used."""
        if "Y" not in code:
            return f"the code could not be run at every record: {self.obstacle}"
        values = code["Y"].copy()
        values[self.observations.row] = at_observations
        return values

    def _at_observations(self, values: np.ndarray) -> np.ndarray:
        """0 on the other records, as NONMEM prints it."""
        result = np.zeros(self.dataset.n_rows)
        result[self.observations.row] = values
        return result


def all_etas(at: AtEstimates) -> np.ndarray:
    """(N, all ETAs) conditional modes; 0 for random effects fixed at 0."""
    etas = np.zeros((at.problem.n_subjects, len(at.problem.model.etas)))
    etas[:, at.problem.latent_index] = at.eta_mode
    return etas
