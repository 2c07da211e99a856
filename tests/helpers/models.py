"""Models for data tests: only what data reading and the event table look at."""

from __future__ import annotations

from pathlib import Path

from nlmevae.errors import Location
from nlmevae.ir import (
    Column,
    Compartment,
    CovarianceBlock,
    DataFilter,
    DataSpec,
    ErrorCoefficient,
    Model,
    ObservationModel,
    PopulationParameter,
    Program,
    ResidualError,
    SourceReference,
    StructuralModel,
)
from tests.helpers.code_models import statements

ROLES = ("ID", "TIME", "DATE", "DV", "MDV", "EVID", "AMT", "RATE", "II", "ADDL", "SS", "CMT")


def data_model(
    folder: Path,
    items: str,
    *,
    pk: str = "CL = THETA(1)*EXP(ETA(1))\nV = 10",
    error: str = "Y = F + EPS(1)",
    n_compartments: int = 1,
    initial: str | None = None,
    error_model: ResidualError | None = None,
    scale: str = "natural",
    **data,
) -> Model:
    """Model with its data file ``data.csv`` in `folder`.

    Args:
        items: $INPUT as written, ``ID TIME DV=CONC WT=DROP``.
        n_compartments: 0 for a $PRED model; two compartments are absorption and central.
        data: fields of DataSpec; ignore_character is "@" unless given.
    """
    compartments = tuple(
        Compartment(name=f"C{n}", number=n, initial=initial if n == 1 else None) for n in range(1, n_compartments + 1)
    )
    additive = ResidualError(kind="additive", a=ErrorCoefficient(parameter="EPS(1)", kind="sigma"))
    return Model(
        name="run1",
        source=SourceReference(format="nonmem", path=str(folder / "run1.ctl"), text=""),
        problem="",
        data=DataSpec(
            **{
                "path": "data.csv",
                "columns": columns(items),
                "ignore_character": "@",
                "at": Location("run1.ctl", 3),
                **data,
            }
        ),
        thetas=(PopulationParameter(name="THETA(1)", label="CL", init=1.0, lower=0.0),),
        omega=(CovarianceBlock(names=("ETA(1)",), matrix=((0.1,),)),),
        sigma=(CovarianceBlock(names=("EPS(1)",), matrix=((0.1,),)),),
        structural=StructuralModel(
            compartments=compartments, default_dose=1, default_observation=max(1, min(2, n_compartments))
        ),
        program=Program(
            pk=statements(pk) if n_compartments else (),
            des=statements("DADT(1) = -CL/V*A(1)") if n_compartments else (),
            error=statements(error),
        ),
        observations=(ObservationModel(name="Y", error=error_model or additive, scale=scale),),
    )


def columns(items: str) -> tuple[Column, ...]:
    """$INPUT items to columns."""
    found = []
    for k, item in enumerate(items.split(), 1):
        name, _, synonym = item.partition("=")
        if synonym == "DROP":
            role = "drop"
        else:
            role = name.lower() if name in ROLES else "covariate"
        kept = synonym if synonym and synonym != "DROP" else None
        found.append(Column(name=name, role=role, synonym=kept, at=Location("run1.ctl", 2, 7 + k)))
    return tuple(found)


def condition(text: str) -> DataFilter:
    """``DVID.EQ.2`` or ``TIME>10``; .EQ. and .NE. compare texts."""
    for word, operator, numeric in (
        (".EQN.", "==", True), (".NEN.", "!=", True), (".EQ.", "==", False), (".NE.", "!=", False),
        (">=", ">=", True), ("<=", "<=", True), (">", ">", True), ("<", "<", True),
    ):  # fmt: skip
        name, found, value = text.partition(word)
        if found:
            return DataFilter(column=name, operator=operator, value=value, numeric=numeric, at=Location("run1.ctl", 3))
    raise ValueError(text)
