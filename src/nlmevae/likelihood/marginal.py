"""What every method of computing -2 log p(y_i) returns: one value and one error per subject.

The methods are functions of the joint density and the conditional modes, one file each: `importance`,
`gauss_hermite`, `laplace`, `focei`, `foce`, `first_order`, `linearisation`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nlmevae.likelihood.joint import JointDensity


@dataclass(frozen=True, slots=True, kw_only=True)
class Marginal:
    """-2 log p(y_i), with the 2 pi constant.

    minus_two_ll (N,), NaN where the method has no value; error (N,) of it: Monte-Carlo standard error if
    `random`, else an estimate of the size of the numerical error. The error of an approximation as such (how far
    Laplace's value is from the integral) is in neither. `remark`: a sentence for the user, or "".
    """

    minus_two_ll: np.ndarray
    error: np.ndarray
    random: bool = False
    remark: str = ""

    @property
    def total(self) -> float:
        return float(self.minus_two_ll.sum())

    @property
    def total_error(self) -> float:
        """Independent random errors add in squares, numerical ones in size."""
        return float(np.sqrt((self.error**2).sum()) if self.random else self.error.sum())


def of_subjects(joint: JointDensity, minus_two_ll: np.ndarray, error: np.ndarray, *, remark: str = "") -> Marginal:
    """Deterministic values with subjects without observations at exactly 0: their integral is 1."""
    seen = np.diff(joint.decoder.table.ob_ptr) > 0
    return Marginal(minus_two_ll=np.where(seen, minus_two_ll, 0.0), error=np.where(seen, error, 0.0), remark=remark)


def at_mode(
    joint: JointDensity, value: Callable[[np.ndarray], np.ndarray], modes: tuple[np.ndarray, np.ndarray]
) -> Marginal:
    """A method that depends on the modes alone; its error is what the last step of their search still changed.

    `value(z)`: (N,) -2LL for modes z (N, d); `modes`: the last two of each subject.
    """
    before, after = (value(z) for z in modes)
    return of_subjects(joint, after, np.abs(after - before))
