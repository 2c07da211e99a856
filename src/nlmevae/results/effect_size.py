"""How much a covariate changes a parameter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectSize:
    """A typical individual parameter at one covariate value, relative to the reference subject's.

    Attributes:
        parameter, covariate: names; at: the value and what it is (``55 (5 %)``, ``= 1``).
        reference: what the reference subject has (``median 70``, ``most frequent 0``).
        ratio: parameter there over parameter of the reference subject, all else equal.
        low, high: ends of the 95 % confidence interval, NaN without standard errors.
    """

    parameter: str
    covariate: str
    at: str
    reference: str
    ratio: float
    low: float
    high: float
