"""The frozen model every room downstream of the front ends reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlmevae.errors import SemanticError
from nlmevae.ir.data_spec import DataSpec
from nlmevae.ir.individual import CovariateEffect, IndividualParameter
from nlmevae.ir.observation import ObservationModel
from nlmevae.ir.parameters import CovarianceBlock, PopulationParameter
from nlmevae.ir.program import Program, names_read, needed_for
from nlmevae.ir.request import CovarianceRequest, Diagnostic, EstimationStep, TableRequest
from nlmevae.ir.structural import StructuralModel


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReference:
    """Where the model came from; `text` is the file, byte for byte."""

    format: Literal["nonmem", "monolix", "python"]
    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A nonlinear mixed-effects model, as stated by its text.

    `thetas`, `omega` and `sigma` are in the source's order, which is the order of result files.
    `individual_parameters` holds one entry per ETA the recogniser could verify, in ETA order; `etas`
    and `epsilons` are all effect names in order.
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
    def data_items(self) -> frozenset[str]:
        """Names of data columns programs may read."""
        columns = [c for c in self.data.columns if c.role != "drop"]
        return frozenset(n for c in columns for n in (c.name, c.synonym) if n)

    @property
    def executed(self) -> Program:
        """The code predictions depend on; what is only computed for tables is left out."""
        error = needed_for(self.program.error, {"Y"})
        derivatives = {f"DADT({c.number})" for c in self.structural.compartments}
        des = needed_for(self.program.des, derivatives)
        read_later = names_read(error) | names_read(des) | self.structural.program_names
        return Program(pk=needed_for(self.program.pk, read_later), des=des, error=error)
