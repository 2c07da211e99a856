"""One weight w = dY/dEPS as a function of the prediction: sought among the forms with at most one
additive and one proportional coefficient, and accepted only if it holds at every point.

    linear      |w| = c_a A + c_b B |f|^p
    quadratic    w² = (c_a A)² + (c_b B |f|^p)²      A and B each: 1, or the absolute value of one THETA

p is 1, or one of the exponents given: multiples of a THETA, or numbers of the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

_EXACT = 1e-9  # relative error of a relation that holds
_PRESENT = 1e-7  # a term smaller than this, relative to w, everywhere is rounding error


@dataclass(frozen=True, slots=True)
class Term:
    """`factor` times `theta` (times 1 if None)."""

    theta: str | None
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """|w| = a + b|f|^p ("linear") or sqrt(a² + b²|f|^2p) ("quadratic"); a or b None where absent, power None for 1."""

    form: str
    a: Term | None
    b: Term | None
    power: Term | None = None


Key = tuple[str, str | None]


def fit_weight(
    w: np.ndarray, f: np.ndarray, thetas: dict[str, np.ndarray], exponents: Sequence[Term] = ()
) -> Weight | None:
    """The form of one weight, None if none fits. All arrays (n,), finite, w and f not 0 anywhere."""
    found = _fit_form(w, f, thetas)
    for power in exponents if found is None else ():
        p = power.factor * (1.0 if power.theta is None else thetas[power.theta])
        others = {name: value for name, value in thetas.items() if name != power.theta}
        with np.errstate(all="ignore"):
            raised = np.abs(f) ** p
        if np.isfinite(raised).all() and (raised > 0.0).all():
            found = _fit_form(w, raised, others)
        if found is not None and found.b is not None:
            return replace(found, power=power)
        found = None
    return found


def _fit_form(w: np.ndarray, f: np.ndarray, thetas: dict[str, np.ndarray]) -> Weight | None:
    if np.ptp(f) <= _EXACT * abs(f[0]):
        plain = _plainest(np.abs(w), abs(float(f[0])), {name: np.abs(value) for name, value in thetas.items()})
        if plain is not None:
            return plain
    terms = _fit(np.abs(w), np.abs(f), {name: np.abs(value) for name, value in thetas.items()})
    if terms is not None:
        return _weight("linear", terms, 1.0)
    squares = {name: value**2 for name, value in thetas.items()}
    terms = _fit(w**2, f**2, squares)
    return None if terms is None else _weight("quadratic", terms, 0.5)


def _plainest(w: np.ndarray, f: float, thetas: dict[str, np.ndarray]) -> Weight | None:
    """Where the prediction is one number (a floor, the value at a time), values do not tell a from b f: the one of A,
    B f, A + B f and the root of their squares that holds with factors of 1, as codes have them."""
    known: dict[str | None, np.ndarray] = {None: np.ones_like(w), **thetas}

    def holds(value: np.ndarray) -> bool:
        return bool(np.max(np.abs(value / w - 1.0)) <= _EXACT)

    for theta, value in known.items():
        if holds(value):
            return Weight(form="linear", a=Term(theta, 1.0), b=None)
        if holds(value * f):
            return Weight(form="linear", a=None, b=Term(theta, 1.0))
    for form, power in (("linear", 1.0), ("quadratic", 2.0)):
        for a, first in known.items():
            for b, second in known.items():
                if holds((first**power + (second * f) ** power) ** (1.0 / power)):
                    return Weight(form=form, a=Term(a, 1.0), b=Term(b, 1.0))
    return None


def is_variance_weight(w: np.ndarray, f: np.ndarray, thetas: dict[str, np.ndarray]) -> bool:
    """w² is linear in THETAs: they were used as variances."""
    return _fit(w**2, f**2, thetas) is not None


def _weight(form: str, terms: dict[Key, float], exponent: float) -> Weight | None:
    found: dict[str, Term] = {}
    for (part, theta), factor in terms.items():
        if part in found or factor <= 0.0:
            return None
        found[part] = Term(theta, _tidy(factor**exponent))
    return Weight(form=form, a=found.get("a"), b=found.get("b"))


def _fit(w: np.ndarray, f: np.ndarray, thetas: dict[str, np.ndarray]) -> dict[Key, float] | None:
    """w as an exact combination of 1, f, THETA, THETA * f; relative error at every point. None if none."""
    keys: list[Key] = [("a", None), ("b", None)]
    columns = [1.0 / w, f / w]
    for name, value in thetas.items():
        keys += [("a", name), ("b", name)]
        columns += [value / w, value * f / w]
    matrix = np.array(columns).T
    if not np.isfinite(matrix).all():  # squares of weights near the end of the range of numbers
        return None
    single = _one_term(matrix, keys)
    if single is not None:
        return {keys[single]: float(1.0 / matrix[0, single])}
    size = np.max(np.abs(matrix), axis=0)
    kept = np.flatnonzero(size > 0.0)
    for _ in range(2):  # once with everything, once with the terms that matter
        if not len(kept):
            return None
        scaled = matrix[:, kept] / size[kept]
        factors = np.linalg.lstsq(scaled, np.ones(len(w)), rcond=1e-13)[0]
        present = np.abs(factors) > _PRESENT
        residual = scaled @ factors - 1.0
        if np.max(np.abs(residual)) > _EXACT:
            return None
        kept, factors = kept[present], factors[present]
    return {keys[k]: float(c / size[k]) for k, c in zip(kept, factors, strict=True)}


def _one_term(matrix: np.ndarray, keys: list[Key]) -> int | None:
    """The column that is constant: w is one term alone. Least squares over all terms lose it where f spans more
    decades than numbers have digits. Where f itself is constant, so are two: the additive one says it."""
    start = matrix[0]
    with np.errstate(all="ignore"):
        constant = np.max(np.abs(matrix / start - 1.0), axis=0) <= _EXACT
    found = [int(k) for k in np.flatnonzero(constant & (start != 0.0))]
    if len(found) > 1:
        found = [k for k in found if keys[k][0] == "a"]
    return found[0] if len(found) == 1 else None


def _tidy(factor: float) -> float:
    """Factors are numbers the user wrote: round the rounding error away."""
    return float(f"{factor:.10g}")
