"""The theophylline model of the paper with its exact solution, independent of generated code and parser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.events import EventTable
from nlmevae.decoder.base import Decoder, Solution, SolveStatus
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.ir import ErrorCoefficient, IndividualParameter, Model, ObservationModel, ResidualError, Transform
from nlmevae.likelihood.importance import observation_index
from tests.helpers.code_models import make_model
from tests.helpers.forms import bolus, make_table
from tests.helpers.reference import reference


class OralDecoder(Decoder):
    """One compartment, first-order absorption, one bolus at time 0; z = log (ka, ke, V)."""

    backend = "test"

    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        rows = np.arange(self.n_subjects) if rows is None else rows
        ptr = self.row_ptr(rows)
        repeated = np.repeat(np.exp(x), np.diff(ptr), axis=0)
        ka, ke, v = repeated.T
        index = observation_index(self.table.ob_ptr, rows)
        t = self.table.ob_time[index]
        dose = self.table.ev_amt[self.table.ob_subject[index]]
        absorbed, eliminated = np.exp(-ka * t), np.exp(-ke * t)
        gap = ka - ke
        f = dose * ka / (v * gap) * (eliminated - absorbed)
        by_ka = -f * ke / gap + dose * ka / (v * gap) * t * ka * absorbed
        by_ke = f * ke / gap - dose * ka / (v * gap) * t * ke * eliminated
        return Solution(
            prediction=f,
            jacobian=np.column_stack([by_ka, by_ke, -f]),
            status=np.full(len(rows), SolveStatus.OK, dtype=np.int32),
            n_steps=np.zeros(len(rows), dtype=np.int32),
            ptr=ptr,
        )

    def predict(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        return replace(self.linearise(x, rows), jacobian=None)


def theophylline_model(*, weight: bool = True) -> Model:
    """ka, ke, V log-normal, additive error; with `weight`, log(WT / mean) acts on ka and V."""
    effect = "*(WT/69.58333333333333)**THETA({})" if weight else ""
    model = make_model(
        pk=f"KA = THETA(1){effect.format(4)}*EXP(ETA(1))\n"
        f"K = THETA(2)*EXP(ETA(2))\n"
        f"V = THETA(3){effect.format(5)}*EXP(ETA(3))",
        des="DADT(1) = -KA*A(1)\nDADT(2) = KA*A(1) - K*A(2)",
        error="Y = F + EPS(1)",
        thetas=[(0.0, 1.0), (0.0, 0.1), (0.0, 20.0)] + [(-np.inf, 0.0)] * 2 * weight,
        omega=(0.3, 0.3, 0.3),
        sigma=(1.0,),
        items="ID AMT TIME DV WT",
        scale=None,
        n_compartments=2,
    )
    compartments = (model.structural.compartments[0], replace(model.structural.compartments[1], scale="V"))
    thetas = tuple(
        replace(t, scale="log" if k < 3 else "identity", role="typical_value" if k < 3 else "covariate_effect")
        for k, t in enumerate(model.thetas)
    )
    effects = {"KA": ("THETA(4)",), "V": ("THETA(5)",)} if weight else {}
    return replace(
        model,
        thetas=thetas,
        structural=replace(model.structural, compartments=compartments, default_observation=2),
        individual_parameters=tuple(
            IndividualParameter(
                name=name,
                eta=f"ETA({k})",
                transform=Transform(kind="log"),
                mu_linear=True,
                thetas=(f"THETA({k})", *effects.get(name, ())),
                covariates=("WT",) if name in effects else (),
            )
            for k, name in enumerate(("KA", "K", "V"), 1)
        ),
        observations=(
            ObservationModel(
                name="DV",
                error=ResidualError(kind="additive", a=ErrorCoefficient(parameter="EPS(1)", kind="sigma")),
            ),
        ),
    )


def theophylline_table() -> EventTable:
    """The paper's data: 12 subjects, 120 concentrations."""
    data = pd.read_csv(reference("theophylline/theophylline.csv"))
    groups = [rows for _, rows in data.groupby("ID", sort=False)]
    table = make_table(
        [
            {
                "events": [bolus(0.0, rows["DOSE"].iloc[0])],
                "observations": [(t, 2) for t in rows["TIME"]],
                "covariates": [(0.0, (rows["WEIGHT"].iloc[0],))],
            }
            for rows in groups
        ],
        covariate_names=("WT",),
    )
    return replace(table, ob_value=np.concatenate([rows["CONC"].to_numpy() for rows in groups]))


def theophylline(*, weight: bool = True) -> Problem:
    """Ready to estimate."""
    model, table = theophylline_model(weight=weight), theophylline_table()
    form = latent_form(model, table)
    return make_problem(model, form, table, OralDecoder(form, table))
