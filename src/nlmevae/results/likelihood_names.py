"""The methods that compute -2LL: their short names and what they are called in full, in the order they are shown."""

from __future__ import annotations

from typing import Literal, get_args

LikelihoodMethod = Literal["is", "gauss-hermite", "laplace", "focei", "foce", "fo", "lin"]

METHODS: tuple[LikelihoodMethod, ...] = get_args(LikelihoodMethod)

LABELS: dict[str, str] = {
    "is": "importance sampling",
    "gauss-hermite": "Gauss-Hermite quadrature",
    "laplace": "Laplace, exact Hessian",
    "focei": "FOCE with interaction",
    "foce": "FOCE without interaction",
    "fo": "first order",
    "lin": "linearisation",
}

#: Converge to the exact likelihood with more work; the others approximate it by an error that they do not know.
EXACT: tuple[LikelihoodMethod, ...] = ("is", "gauss-hermite")
