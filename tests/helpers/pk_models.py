"""Small models and event tables built by hand, for tests that must not depend on the parser."""

from __future__ import annotations

import numpy as np

from nlmevae.data.events import EventTable
from nlmevae.ir import (
    Assign,
    Binary,
    Call,
    Compartment,
    CovarianceBlock,
    DataSpec,
    IndividualParameter,
    Model,
    Negate,
    Number,
    PopulationParameter,
    Program,
    SourceReference,
    StructuralModel,
    Symbol,
    Transform,
)


def times(left, right):
    return Binary("*", left, right)


def log_normal(theta: int, eta: int):
    """THETA(theta) * EXP(ETA(eta))."""
    return times(Symbol(f"THETA({theta})"), Call("EXP", (Symbol(f"ETA({eta})"),)))


def oral_model(
    *, lag: bool = False, bioavailability: bool = False, extra_pk: tuple = (), error=None, **changes
) -> Model:
    """One compartment with first-order absorption as differential equations: log-normal KA, K, V.

    With `lag`, ALAG1 = 0.1 * KA; with `bioavailability`, F1 = K / 0.1: both depend on z.
    """
    pk = [Assign("KA", log_normal(1, 1)), Assign("K", log_normal(2, 2)), Assign("V", log_normal(3, 3))]
    pk += [Assign("S2", Symbol("V")), *extra_pk]
    if lag:
        pk.append(Assign("ALAG1", times(Symbol("KA"), Number(0.1))))
    if bioavailability:
        pk.append(Assign("F1", Binary("/", Symbol("K"), Number(0.1))))
    absorbed = times(Symbol("KA"), Symbol("A(1)"))
    des = (
        Assign("DADT(1)", Negate(absorbed)),
        Assign("DADT(2)", Binary("-", absorbed, times(Symbol("K"), Symbol("A(2)")))),
    )
    names = ["KA", "K", "V"]
    fields = {
        "name": "oral",
        "source": SourceReference(format="python", path="", text=""),
        "problem": "",
        "data": DataSpec(path="", columns=()),
        "thetas": tuple(
            PopulationParameter(name=f"THETA({k + 1})", label=n, init=v, lower=0.0, scale="log")
            for k, (n, v) in enumerate(zip(names, (1.5, 0.08, 32.0), strict=True))
        ),
        "omega": tuple(CovarianceBlock(names=(f"ETA({k})",), matrix=((0.1,),)) for k in (1, 2, 3)),
        "sigma": (CovarianceBlock(names=("EPS(1)",), matrix=((0.5,),)),),
        "structural": StructuralModel(
            compartments=(
                Compartment(
                    name="DEPOT",
                    number=1,
                    lag="ALAG1" if lag else None,
                    bioavailability="F1" if bioavailability else None,
                ),
                Compartment(name="CENTRAL", number=2, scale="S2"),
            ),
            default_observation=2,
        ),
        "program": Program(
            pk=tuple(pk), des=des, error=error or (Assign("Y", Binary("+", Symbol("F"), Symbol("EPS(1)"))),)
        ),
        "individual_parameters": tuple(
            IndividualParameter(
                name=n,
                eta=f"ETA({k + 1})",
                transform=Transform(kind="log"),
                mu_linear=True,
                thetas=(f"THETA({k + 1})",),
            )
            for k, n in enumerate(names)
        ),
    }
    return Model(**{**fields, **changes})


def event_table(
    *,
    n_subjects: int = 3,
    observations=(0.5, 1.0, 2.0, 4.0, 8.0, 24.0),
    doses=((0.0, 1, 1, 300.0, 0.0),),
    observed: int = 2,
    covariates: dict[str, np.ndarray] | None = None,
    record_items: dict[str, np.ndarray] | None = None,
) -> EventTable:
    """The same records for every subject; doses are (time, kind, compartment, amount, rate).

    At equal times doses come before observations. `covariates`: name -> (n_subjects,);
    `record_items`: name -> (n_subjects * n_observations,).
    """
    n_events, n_obs = len(doses), len(observations)
    covariates, record_items = covariates or {}, record_items or {}

    def repeat(index: int, dtype) -> np.ndarray:
        return np.tile(np.array([d[index] for d in doses], dtype=dtype), n_subjects)

    return EventTable(
        ev_ptr=np.arange(n_subjects + 1, dtype=np.int32) * n_events,
        ev_time=repeat(0, float),
        ev_kind=repeat(1, np.int8),
        ev_cmt=repeat(2, np.int16),
        ev_amt=repeat(3, float),
        ev_rate=repeat(4, float),
        ev_ii=np.zeros(n_subjects * n_events),
        ev_order=np.tile(np.arange(n_events, dtype=np.int32), n_subjects),
        ob_ptr=np.arange(n_subjects + 1, dtype=np.int32) * n_obs,
        ob_time=np.tile(np.array(observations, dtype=float), n_subjects),
        ob_value=np.zeros(n_subjects * n_obs),
        ob_cmt=np.full(n_subjects * n_obs, observed, dtype=np.int16),
        ob_row=np.arange(n_subjects * n_obs, dtype=np.int32),
        ob_order=np.tile(np.arange(n_events, n_events + n_obs, dtype=np.int32), n_subjects),
        start_time=np.zeros(n_subjects),
        covariate_names=tuple(covariates),
        cov_ptr=np.arange(n_subjects + 1, dtype=np.int32),
        cov_time=np.zeros(n_subjects),
        cov_order=np.zeros(n_subjects, dtype=np.int32),
        cov=np.column_stack(list(covariates.values())) if covariates else np.zeros((n_subjects, 0)),
        record_names=tuple(record_items),
        ob_data=np.column_stack(list(record_items.values())) if record_items else np.zeros((n_subjects * n_obs, 0)),
        subject_labels=tuple(str(i + 1) for i in range(n_subjects)),
    )
