"""The one interface every decoder back end has."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from nlmevae.codegen.latent_form import LatentForm
from nlmevae.data.events import EventTable


class SolveStatus(enum.IntEnum):
    OK = 0
    MAX_STEPS = 1
    NON_FINITE = 2
    NO_STEADY_STATE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """Predictions of R rows. Row r is subject rows[r]; its predictions are
    prediction[ptr[r]:ptr[r+1]], in the subject's observation order.

    prediction (M,) float64; jacobian (M, n_inputs) or None; status (R,) int32 SolveStatus;
    n_steps (R,) int32; ptr (R+1,) int64. A failed row has NaN predictions and zero Jacobian and
    never touches other rows.
    """

    prediction: np.ndarray
    jacobian: np.ndarray | None
    status: np.ndarray
    n_steps: np.ndarray
    ptr: np.ndarray


class Decoder(ABC):
    """x -> prediction and d prediction / d x for any set of subjects.

    x (R, n_inputs) float64 = [z on the Gaussian scale | structural THETAs on the natural scale].
    rows (R,) subject index of each row of x; default: all subjects in order. Monte-Carlo draws use
    rows = tile(arange(n_subjects), K), which makes predictions reshape to (K, n_obs_total).
    """

    backend: str
    #: Where predictions are computed: "cpu", "cuda", "cuda:1".
    device: str = "cpu"
    #: What earlier calls taught it about how to solve, on which the last digits of later ones depend; may be set to
    #: what another decoder of the same model and data has learned.
    learned: bool | None = None

    def __init__(self, form: LatentForm, table: EventTable) -> None:
        self.form = form
        self.table = table
        self.n_inputs = form.n_inputs
        self.n_latents = form.n_latents
        self.n_subjects = table.n_subjects
        self.n_obs_total = table.n_obs_total

    @abstractmethod
    def predict(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        """Predictions only."""

    @abstractmethod
    def linearise(self, x: np.ndarray, rows: np.ndarray | None = None) -> Solution:
        """Predictions and Jacobian."""

    def at(self, rtol: float) -> Decoder:
        """The same model and data, integrated with this relative tolerance; itself where nothing is integrated.

        It lives no longer than this one."""
        return self

    @property
    def for_draws(self) -> Decoder:
        """One exact enough for importance draws, which are only weighed; itself where nothing would be saved."""
        return self

    def row_ptr(self, rows: np.ndarray | None) -> np.ndarray:
        """(R+1,) start of each row's predictions."""
        counts = np.diff(self.table.ob_ptr)
        if rows is not None:
            counts = counts[rows]
        ptr = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=ptr[1:])
        return ptr

    def close(self) -> None:  # noqa: B027  (most back ends hold nothing)
        """Release native resources."""
