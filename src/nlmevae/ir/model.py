"""The frozen model every room downstream of the front ends reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Literal

from nlmevae.errors import SemanticError
from nlmevae.ir.data_spec import DataSpec
from nlmevae.ir.individual import CovariateEffect, IndividualParameter
from nlmevae.ir.model_times import model_times
from nlmevae.ir.observation import ObservationModel
from nlmevae.ir.parameters import CovarianceBlock, PopulationParameter, zero_effects
from nlmevae.ir.program import Program, names_read, needed_for, without_values
from nlmevae.ir.project_request import ProjectRequest
from nlmevae.ir.request import (
    CovarianceRequest,
    Diagnostic,
    EstimationStep,
    PriorRequest,
    RawOutput,
    SimulationRequest,
    TableRequest,
)
from nlmevae.ir.structural import StructuralModel


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReference:
    """Where the model came from; `text` is the file, byte for byte, with the text of other files in place of what
    includes them (`included`: their paths)."""

    format: Literal["nonmem", "monolix", "python"]
    path: str
    text: str
    included: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A nonlinear mixed-effects model, as stated by its text.

    `thetas`, `omega` and `sigma` are in the source's order, which is the order of result files.
    `individual_parameters` holds one entry per ETA that makes one parameter random and whose form was
    verified, in ETA order. Every other ETA is a latent variable of its own, read where the code reads it.
    `etas` and `epsilons` are all effect names in order. `project`: of a Monolix project.
    """

    name: str
    source: SourceReference
    problem: str
    data: DataSpec
    thetas: tuple[PopulationParameter, ...]
    omega: tuple[CovarianceBlock, ...]
    sigma: tuple[CovarianceBlock, ...]
    structural: StructuralModel
    program: Program
    individual_parameters: tuple[IndividualParameter, ...] = ()
    covariate_effects: tuple[CovariateEffect, ...] = ()
    observations: tuple[ObservationModel, ...] = ()
    estimation: tuple[EstimationStep, ...] = ()
    covariance: CovarianceRequest | None = None
    tables: tuple[TableRequest, ...] = ()
    simulation: SimulationRequest | None = None
    prior: PriorRequest | None = None
    project: ProjectRequest | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    def __post_init__(self) -> None:
        names = [p.name for p in self.thetas] + list(self.etas) + list(self.epsilons)
        repeated = {n for n in names if names.count(n) > 1}
        if repeated:
            raise SemanticError(f"{', '.join(sorted(repeated))} is declared twice")

    @property
    def etas(self) -> tuple[str, ...]:
        return tuple(name for block in self.omega for name in block.names)

    @property
    def epsilons(self) -> tuple[str, ...]:
        return tuple(name for block in self.sigma for name in block.names)

    @property
    def zero_etas(self) -> frozenset[str]:
        """Random effects that are always 0: their variance is fixed at zero, or nothing reads them."""
        return zero_effects(self.omega)

    @property
    def zero_epsilons(self) -> frozenset[str]:
        """The same of the residual errors."""
        return zero_effects(self.sigma)

    @property
    def evaluates_only(self) -> bool:
        """No estimation step estimates: the text asks for the likelihood at its initial estimates."""
        return bool(self.estimation) and all(step.evaluates_only for step in self.estimation)

    @property
    def seed(self) -> int | None:
        """Of the last estimation step that has one."""
        return next((step.seed for step in reversed(self.estimation) if step.seed is not None), None)

    @property
    def raw_output(self) -> RawOutput:
        """The last file an estimation step names; what a step does not say of it holds from the one before."""
        said = [(f.name, getattr(step.output, f.name)) for step in self.estimation for f in fields(RawOutput)]
        return RawOutput(**{name: value for name, value in said if value is not None})

    @property
    def interaction(self) -> bool:
        """The last estimation step is with interaction; what a step does not say holds from the one before."""
        stated = [step.interaction for step in self.estimation if step.interaction is not None]
        return bool(stated) and stated[-1]

    @property
    def data_items(self) -> frozenset[str]:
        """Names of data columns programs may read."""
        columns = [c for c in self.data.columns if c.role != "drop"]
        return frozenset(n for c in columns for n in (c.name, c.synonym) if n)

    @property
    def fingerprint(self) -> str:
        """Of everything predictions and likelihoods depend on but numbers that are estimated: two models with one
        fingerprint can use each other's estimates."""
        parts = (
            self.executed,
            self.data.derived,
            self.structural,
            *self.structural.inputs,
            *(self.data.monolix.meaning if self.data.monolix else ()),
            self.individual_parameters,
            self.observations,
            [(t.name, t.fixed, t.init if t.fixed else None) for t in self.thetas],
            [(b.names, b.fixed, b.same_as) for b in (*self.omega, *self.sigma)],
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    @property
    def executed(self) -> Program:
        """The code predictions depend on; probabilities of censored values, and what is only computed for tables, are
        left out."""
        probabilities = {at for o in self.observations for c in o.censoring for at in c.places}
        error = needed_for(without_values(self.program.error, "Y", probabilities), {"Y"})
        derivatives = {f"DADT({c.number})" for c in self.structural.compartments}
        des = needed_for(self.program.des, derivatives)
        read_later = names_read(error) | names_read(des) | self.structural.program_names | self.structural.output_names
        once = Program(pk=needed_for(self.program.pk, read_later), des=des, error=error)
        times = model_times(once)
        return replace(once, pk=needed_for(self.program.pk, {*read_later, *times})) if times else once
