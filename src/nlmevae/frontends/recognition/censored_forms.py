"""Likelihoods of censored records, written with F_FLAG = 1: recognised by their value, whatever the spelling.

With f and sd the prediction and residual standard deviation that the same code has for a record of the same endpoint
that is not censored, and limits that are numbers, data items or computed from data items:

    M3        Y = PHI((L - f) / sd)
    right     Y = 1 - PHI((L - f) / sd)
    interval  Y = PHI((U - f) / sd) - PHI((L - f) / sd)
    M4        Y = (PHI((U - f) / sd) - PHI((L - f) / sd)) / (1 - PHI((L - f) / sd))

(Beal, J. Pharmacokinet. Pharmacodyn. 28 (2001) 481-504; Bergstrand and Karlsson, AAPS J. 11 (2009) 371-380.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.errors import Location, UnsupportedError
from nlmevae.frontends.recognition.data_values import DataValues
from nlmevae.frontends.recognition.endpoints import text_of
from nlmevae.frontends.recognition.error_forms import ErrorForm
from nlmevae.frontends.recognition.error_points import ErrorPoints, run_again, sample_error_inputs
from nlmevae.frontends.recognition.individual_level import MIN_POINTS
from nlmevae.frontends.recognition.points import Points
from nlmevae.frontends.recognition.record_kinds import spellings, truth_of
from nlmevae.frontends.recognition.sigma_blocks import block_of, covariance_of
from nlmevae.ir import CovarianceBlock, Diagnostic, Expression, Model, Number, ObservationModel, initial_elements
from nlmevae.ir.evaluate import evaluate

_FORMS = (
    "supported with F_FLAG=1: Y=PHI((LOQ-IPRED)/W), 1-PHI((LOQ-IPRED)/W), the difference of two PHI, and that "
    "difference over 1-PHI(-IPRED/W), with IPRED and W as in Y=IPRED+W*EPS(1) for the other records; LOQ a number, a "
    "data item or computed from data items"
)
#: What a data item may be set to in place of a censored record's: flags first, then what is above or below any limit.
_LARGE = tuple(sign * 10.0**k for k in range(9, 0, -1) for sign in (1.0, -1.0))
_SMALL = (2.0, 3.0, 4.0, -1.0)
_EXACT, _ROUNDING = 1e-8, 1e-13  # relative, and absolute: 1 - PHI(x) cancels
_INFORMATIVE = 1e-9  # probabilities this far from 0 and 1 tell limits apart


Limits = tuple[Expression | None, Expression | None, Expression | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CensoredForm:
    """`partner` is the form of the same endpoint's records that are not censored."""

    partner: ErrorForm
    lower: Expression | None
    upper: Expression | None
    floor: Expression | None
    stand_in: tuple[tuple[str, float], ...]


def find_censoring(
    model: Model,
    form: ErrorForm,
    partners: Sequence[ErrorForm],
    conditions: Sequence[Expression],
    values: DataValues,
    sizes: Sequence[str],
    rng: np.random.Generator,
    *,
    records: str,
    at: Location | None,
) -> CensoredForm:
    """What the probability of one kind of record is.

    Args:
        partners: forms of records that are not censored.
        sizes: THETAs that only set residual errors; they are scattered widely, so that probabilities are far from 0
            and 1.

    Raises:
        UnsupportedError: it is none of the forms above, or not that of any endpoint.
    """
    deciding = sorted(set().union(*(c.names() for c in conditions)))
    points = sample_error_inputs(model, rng, prediction=form.found.prediction, items=form.kind.items)  # type: ignore[union-attr]
    for name in sizes:
        points[name] = np.asarray(points[name]) * 10.0 ** rng.uniform(-1.0, 4.0, np.shape(points[name]))
    here = replace(form.found, points=points)
    probability, _ = run_again(model, here, {})
    limits = _candidates(values, form.kind.items, len(probability))  # type: ignore[union-attr]
    estimated = ""
    distance = [sum(a != b for a, b in zip(p.kind.truth, form.kind.truth, strict=True)) for p in partners]  # type: ignore[union-attr]
    for k in np.argsort(distance, kind="stable"):
        partner = partners[k]
        stand_in = _stand_in(model, form, partner, conditions, deciding)
        if stand_in is None:
            continue
        changes = {name: np.full(len(probability), v) for item, v in stand_in for name in spellings(model, item)}
        f, w = run_again(model, here, changes)
        found = _match(probability, f, _sd(model, here, w), limits)
        if found is None:
            continue
        free = [name for name in partner.weights if not block_of(model, name).fixed]
        if free and not _follows_sigma(model, here, changes, limits, found, rng):
            estimated = free[0]
            continue
        lower, upper, floor = found
        return CensoredForm(partner=partner, lower=lower, upper=upper, floor=floor, stand_in=stand_in)
    if estimated:
        raise UnsupportedError(
            f"the probability of records with {records} has W for their standard deviation, but the variance of "
            f"{estimated} is estimated too",
            hint="write $SIGMA 1 FIX, so that W itself is the standard deviation, or write SQRT(SIGMA(n,n)) into it",
            location=at,
        )
    raise UnsupportedError(
        f"the likelihood of records with {records} (F_FLAG is 1) is none that this version knows",
        hint=_FORMS,
        location=at,
    )


def _candidates(values: DataValues, items: Points, n: int) -> list[tuple[Expression, np.ndarray]]:
    """Everything the code computes from data items, each value once; 0 is always among them."""
    found: list[tuple[Expression, np.ndarray]] = []
    for expression in (*values.expressions, Number(0.0)):
        value = np.broadcast_to(np.asarray(evaluate(expression, items), dtype=float), (n,))
        if np.isfinite(value).all() and not any(np.array_equal(value, other) for _, other in found):
            found.append((expression, value))
    return found


def _sd(model: Model, found: ErrorPoints, w: np.ndarray) -> np.ndarray:
    names = found.epsilons
    sigma = np.array([[covariance_of(model, i, j) for j in names] for i in names])
    with np.errstate(all="ignore"):
        return np.sqrt(np.einsum("ip,ij,jp->p", w, sigma, w))


def _follows_sigma(
    model: Model,
    found: ErrorPoints,
    changes: Points,
    candidates: list[tuple[Expression, np.ndarray]],
    expected: Limits,
    rng: np.random.Generator,
) -> bool:
    """The code reads SIGMA(n,n) by name: with other variances than the initial ones it still has the same limits."""
    for _ in range(2):
        free = [block for block in model.sigma if not block.fixed and block.same_as is None]
        factors = {id(block): rng.uniform(0.3, 3.0) for block in free}
        sigma = tuple(_scaled(model, block, factors) for block in model.sigma)
        other = replace(model, sigma=sigma)
        here = replace(found, points={**found.points, **initial_elements(other)})
        probability, _ = run_again(other, here, {})
        f, w = run_again(other, here, changes)
        if _match(probability, f, _sd(other, here, w), candidates) != expected:
            return False
    return True


def _scaled(model: Model, block: CovarianceBlock, factors: dict[int, float]) -> CovarianceBlock:
    """The block with all its elements multiplied; one that is SAME as another follows it."""
    source = block if block.same_as is None else model.sigma[block.same_as]
    factor = factors.get(id(source), 1.0)
    return replace(block, matrix=tuple(tuple(factor * value for value in row) for row in block.matrix))


def _match(
    probability: np.ndarray, f: np.ndarray, sd: np.ndarray, candidates: list[tuple[Expression, np.ndarray]]
) -> Limits | None:
    """(lower, upper, floor) with which the probability is one of the forms at every point."""
    usable = np.isfinite(probability) & np.isfinite(f) & np.isfinite(sd) & (sd > 0.0)
    far = usable & (probability > _INFORMATIVE) & (probability < 1.0 - _INFORMATIVE)
    if far.sum() < MIN_POINTS:
        return None
    y, f, sd = probability[usable], f[usable], sd[usable]
    limits = [(expression, value[usable], _phi((value[usable] - f) / sd)) for expression, value in candidates]
    for found, expected in _forms(limits):
        told = np.isfinite(expected)
        informative = told & (y > _INFORMATIVE) & (y < 1.0 - _INFORMATIVE)
        if informative.sum() >= MIN_POINTS and np.all(
            np.abs(y - expected)[told] <= _EXACT * np.abs(expected[told]) + _ROUNDING
        ):
            return found
    return None


def _forms(limits: list[tuple[Expression, np.ndarray, np.ndarray]]) -> Iterator[tuple[Limits, np.ndarray]]:
    """Limits and the probability they give; NaN where the lower one is not below the upper one."""
    for limit, _, p in limits:
        yield (None, limit, None), p
    for limit, _, p in limits:
        yield (limit, None, None), 1.0 - p
    for high, upper, p in limits:
        for low, lower, q in limits:
            if high is not low:
                between = np.where(lower < upper, p - q, np.nan)
                yield (low, high, None), between
                with np.errstate(all="ignore"):
                    yield (low, high, low), np.where(q < 1.0, between / (1.0 - q), np.nan)


def _phi(x: np.ndarray) -> np.ndarray:
    return np.array([0.5 * math.erfc(-v * math.sqrt(0.5)) for v in x])


def _stand_in(
    model: Model, form: ErrorForm, partner: ErrorForm, conditions: Sequence[Expression], deciding: Sequence[str]
) -> tuple[tuple[str, float], ...] | None:
    """Values of as few data items as possible that turn a record of this kind into one of its partner's."""
    items, wanted = form.kind.items, partner.kind.items  # type: ignore[union-attr]
    n = len(form.found.f)

    def turns(changes: dict[str, float]) -> bool:
        moved = {**items, **{name: np.full(n, v) for item, v in changes.items() for name in spellings(model, item)}}
        return bool((truth_of(conditions, moved, n) == np.array(partner.kind.truth)).all())  # type: ignore[union-attr]

    for item in deciding:
        for value in (0.0, 1.0, *_LARGE, *_SMALL):
            if turns({item: value}):
                return ((item, value),)
    for row in range(0, n, max(1, n // 20)):
        changes = {item: float(wanted[item][row]) for item in deciding}
        if turns(changes):
            return tuple(changes.items())
    return None


def with_conditional_densities(
    observations: tuple[ObservationModel, ...], at: Location | None
) -> tuple[tuple[ObservationModel, ...], tuple[Diagnostic, ...]]:
    """Beal's M4 is a model of y given y > L: where censored records say so, the values of their endpoint are
    conditioned too.

    NONMEM does that only where the code also assigns YLO, hence the warning.
    """
    found, notes = [], []
    for observation in observations:
        floors = {c.floor for c in observation.censoring}
        if observation.floor is not None or floors <= {None}:
            found.append(observation)
            continue
        if len(floors) > 1:
            raise UnsupportedError(
                f"{observation.name}: some censored records are conditional on a lower limit and others are not",
                hint="write all of them as M3, or all as M4",
                location=at,
            )
        floor = floors.pop()
        found.append(replace(observation, floor=floor))
        notes.append(
            Diagnostic(
                code="m4-without-ylo",
                severity="warning",
                message=f"{observation.name}: censored records are conditional on y > {text_of(floor)} (M4), so the "
                "density of the other records is taken conditional on it too; NONMEM does that only with YLO",
                hint=f"assign YLO={text_of(floor)} with F_FLAG=0, or write M3: Y=PHI((LOQ-IPRED)/W)",
                location=at,
            )
        )
    return tuple(found), tuple(notes)
