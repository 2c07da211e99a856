"""The kinds of records that an observation code tells apart, and the form of the residual error of each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.errors import Location, SemanticError, UnsupportedError
from nlmevae.frontends.recognition.data_values import DataValues, data_values
from nlmevae.frontends.recognition.dependencies import (
    ArmProbe,
    assignment_place,
    error_program,
    individual_program,
    outputs,
    place_of,
    with_arm_probes,
    with_target_probes,
)
from nlmevae.frontends.recognition.error_forms import ErrorForm, find_form
from nlmevae.frontends.recognition.error_points import (
    N_POINTS,
    Prediction,
    run_error,
    sample_error_inputs,
    usual_amounts,
)
from nlmevae.frontends.recognition.error_refusals import refuse_form, splitting_items
from nlmevae.frontends.recognition.individual_level import initial_dependencies
from nlmevae.frontends.recognition.log_scale import with_log_probes
from nlmevae.frontends.recognition.points import Points
from nlmevae.frontends.recognition.record_kinds import RecordKind, record_kinds
from nlmevae.frontends.recognition.sigma_blocks import block_of, check_sigma
from nlmevae.ir import (
    Compare,
    Expression,
    Model,
    Number,
    Statement,
    Symbol,
    needed_for,
)
from nlmevae.ir.evaluate import evaluate
from nlmevae.ir.program import names_assigned

#: What the observation code may state beside Y, and what it is where the code does not.
STATED = ("Y", "F_FLAG", "YLO")
DEFAULTS = {"F_FLAG": Number(0.0), "YLO": Number(-math.inf)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCode:
    """What is run: `statements` compute Y, with probes; `values` is what the code knows from data items."""

    model: Model
    epsilons: tuple[str, ...]
    statements: tuple[Statement, ...]
    arm_probes: tuple[ArmProbe, ...]
    log_probes: tuple[str, ...]
    y_probes: dict[str, Location | None]
    values: DataValues
    at: Location | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Forms of all kinds of records that `conditions` tell apart; those at `needed` hold where a form was verified."""

    conditions: tuple[Expression, ...]
    needed: tuple[int, ...]
    forms: tuple[ErrorForm, ...]

    @property
    def failed(self) -> ErrorForm | None:
        return next((form for form in self.densities if form.failed is not None), None)

    @property
    def densities(self) -> list[ErrorForm]:
        """Of records with a normal residual error."""
        return [form for form in self.forms if not form.empty and not form.probability]


def read_error_code(model: Model) -> ErrorCode:
    at = assignment_place(model.program.error, "Y")
    epsilons = _active_epsilons(model, at)
    statements, arm_probes = with_arm_probes(error_program(model), "#arm")
    statements, log_probes = with_log_probes(statements)
    statements, y_probes = with_target_probes(statements, "Y")
    values = data_values(needed_for(model.program.error, STATED), model.data_items, DEFAULTS)
    return ErrorCode(
        model=model,
        epsilons=epsilons,
        statements=statements,
        arm_probes=arm_probes,
        log_probes=log_probes,
        y_probes=y_probes,
        values=values,
        at=at,
    )


def _active_epsilons(model: Model, at: Location | None) -> tuple[str, ...]:
    """The EPSs that act on Y."""
    error = model.program.error
    if "Y" not in names_assigned(error):
        raise SemanticError("the code assigns no Y", hint="assign Y = prediction + residual error in $ERROR or $PRED")
    for name in ("F_FLAG", "YLO"):
        if name in names_assigned(model.program.pk):
            raise UnsupportedError(
                f"{name} is assigned in $PK",
                hint=f"assign {name} in $ERROR",
                location=assignment_place(model.program.pk, name),
            )
    reads = outputs(model, initial_dependencies(model))["Y"]
    zero = model.zero_epsilons
    active = tuple(name for name in model.epsilons if name not in zero)
    for name in active:
        if name not in reads:
            raise SemanticError(
                f"{name} has no effect on Y", hint=f"use {name} in Y, or remove it and its SIGMA",
                location=place_of(error, name) or block_of(model, name).at,
            )  # fmt: skip
    if not active:
        raise SemanticError("Y has no residual error", hint="add one, as in Y = F + F*EPS(1)", location=at)
    check_sigma(model)
    return active


# kinds of records ---------------------------------------------------------------------------------
def survey_records(code: ErrorCode, rng: np.random.Generator) -> Survey:
    """All records alike if one form holds for all; else told apart by conditions of the observation code, by data
    items that act as flags, by conditions of $PK: as little as will do.

    Raises:
        UnsupportedError: some kind of record has no supported form.
    """
    stated = names_assigned(code.model.program.error) & {"F_FLAG", "YLO"}
    tried = [] if stated and code.values.conditions else [_tried(code, (), (), rng)]
    for conditions in _conditions(code):
        if not tried or tried[-1].failed is not None:
            tried.append(_tried(code, conditions, (), rng))
    for before in tried[1:] or tried:
        flags = _flags(code, before.failed) if tried[-1].failed is not None else ()
        if flags:
            count = len(before.conditions)
            needed = tuple(range(count, count + len(flags)))
            tried.append(_tried(code, (*before.conditions, *flags), needed, rng))
    if tried[-1].failed is not None:
        worst = tried[1] if code.values.conditions and not stated else tried[0]
        raise refuse_form(code.model, worst.failed, worst.conditions, code.at)
    return tried[-1]


def _conditions(code: ErrorCode) -> list[tuple[Expression, ...]]:
    """Those of the observation code, and those of $PK beside them, where there are any."""
    found = [tuple(code.values.conditions)]
    if code.model.structural.compartments:
        program = (*individual_program(code.model), *needed_for(code.model.program.error, STATED))
        found.append(tuple(data_values(program, code.model.data_items, DEFAULTS).conditions))
    return [conditions for conditions in dict.fromkeys(found) if conditions]


def _tried(
    code: ErrorCode, conditions: tuple[Expression, ...], needed: tuple[int, ...], rng: np.random.Generator
) -> Survey:
    kinds: list[RecordKind | None] = [None]
    if conditions:
        found = record_kinds(code.model, conditions, N_POINTS, rng)
        pairs = [needed[k : k + 2] for k in range(0, len(needed), 2)]
        kinds = [kind for kind in found if all(any(kind.truth[k] for k in pair) for pair in pairs)]
    for prediction in _ways(code.model):
        forms = tuple(_form(code, kind, prediction, rng) for kind in kinds)
        survey = Survey(conditions=conditions, needed=needed, forms=forms)
        if survey.failed is None and survey.densities:
            break
    if not survey.densities:
        return replace(survey, forms=(replace(survey.forms[0], empty=False, probability=False, failed=0),))
    return survey


def _form(code: ErrorCode, kind: RecordKind | None, prediction: Prediction, rng: np.random.Generator) -> ErrorForm:
    items = None if kind is None else kind.items
    points = sample_error_inputs(code.model, rng, prediction=prediction, items=items)
    found = run_error(code.model, points, code.epsilons, code.statements, rng, prediction=prediction)
    other = usual_amounts(code.model, found)
    if other is not None:
        found = run_error(code.model, other, code.epsilons, code.statements, rng, prediction=prediction)
    if _is_probability(code, items):
        return ErrorForm(found=found, weights={}, kind=kind, probability=True, empty=not np.isfinite(found.f).any())
    return find_form(code.model, found, kind)


def _is_probability(code: ErrorCode, items: Points | None) -> bool:
    """F_FLAG is 1 on all records with these data items; it is 0 unless the code says otherwise.

    Raises:
        UnsupportedError: it has another value, or depends on more than data items.
    """
    flag = code.values.known["F_FLAG"]
    at = assignment_place(code.model.program.error, "F_FLAG")
    if flag is None or (flag.names() and items is None):
        raise UnsupportedError(
            "F_FLAG depends on more than conditions on data items",
            hint="choose it with IF and a data item, as in IF (BLQ.EQ.1) THEN, and set it in every branch",
            location=at,
        )
    value = np.unique(evaluate(flag, items or {}))
    if len(value) != 1 or value[0] not in (0.0, 1.0):
        raise UnsupportedError(
            f"F_FLAG is {', '.join(f'{v:g}' for v in value[:3])}: only 0 (Y is a prediction with residual error) and 1 "
            "(Y is a probability) are supported",
            hint="write the probability itself with F_FLAG=1",
            location=at,
        )
    return value[0] == 1.0


def _ways(model: Model) -> tuple[Prediction, ...]:
    """F first as an unknown of its own; equal to A / S only where one compartment is observed."""
    if not model.structural.compartments or any(c.role == "cmt" for c in model.data.columns):
        return ("free",)
    return ("free", "tied")


def _flags(code: ErrorCode, failed: ErrorForm | None) -> tuple[Expression, ...]:
    """Two conditions, 0 and 1, for each data item that switches errors by being multiplied with them."""
    if failed is None:
        return ()
    items = splitting_items(code.model, failed)
    return tuple(Compare("==", Symbol(item), Number(value)) for item in items for value in (0.0, 1.0))
