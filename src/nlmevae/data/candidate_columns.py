"""The regressors x of candidate effects: the one definition of what a coefficient multiplies."""

from __future__ import annotations

import re

import numpy as np

from nlmevae.data.covariate_values import Covariate
from nlmevae.errors import DataError
from nlmevae.ir import CandidateColumn
from nlmevae.ir.candidate import EffectForm

#: Centres are written into control streams: enough digits to be the mean for every purpose, few to read.
_CENTRE_DIGITS = 7


def candidate_values(column: CandidateColumn, values: np.ndarray, missing_code: float | None = None) -> np.ndarray:
    """x of one coefficient; z = h(psi) gets + beta x (beta c of Rohleff et al. 2025, equation 3, with c = x).

    Args:
        values: covariate values as a program reads them, any shape.
        missing_code: the value that means missing; x is 0 there.

    Returns:
        float64 of the same shape.

    Raises:
        DataError: the logarithm of a value that is not positive.
    """
    values = np.asarray(values, dtype=float)
    missing = np.zeros(values.shape, dtype=bool) if missing_code is None else values == missing_code
    if column.shape == "indicator":
        return np.where(missing, 0.0, (values == column.level).astype(float))
    centre = 0.0 if column.centre is None else column.centre
    filled = np.where(missing, centre, values)
    if column.shape == "linear":
        return filled - centre
    if np.any(filled <= 0.0):
        raise DataError(
            f"{column.name} needs the logarithm of {np.min(filled):g}", hint="use the form exponential or linear"
        )
    return np.log(filled / centre)


def continuous_column(covariate: Covariate, name: str, form: EffectForm, centre: float | str) -> CandidateColumn:
    """The column of a continuous effect.

    Args:
        centre: a number, or "mean" or "median" over the subjects that have a value.
    """
    if isinstance(centre, str):
        middle = covariate.mean if centre == "mean" else covariate.median
        centre = float(f"{middle:.{_CENTRE_DIGITS}g}")
    return CandidateColumn(name=name, shape="log" if form == "power" else "linear", centre=centre)


def reference_level(covariate: Covariate) -> float:
    """The most frequent level, the smallest of several."""
    return float(covariate.levels[int(np.argmax(covariate.counts))])


def level_name(level: float) -> str:
    """A level as part of a name: 2, 1_5, M1.

    >>> [level_name(v) for v in (2.0, 1.5, -1.0)]
    ['2', '1_5', 'M1']
    """
    return re.sub(r"\W", "_", f"{level:.10g}".replace("-", "M").replace("+", ""))
