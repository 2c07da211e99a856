"""-2LL of a model at given parameters by several methods, overall and per subject: frozen, plain numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nlmevae.results.fit_result import LikelihoodValue

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectLikelihood:
    """One method's -2LL of every subject, with the 2 pi constant, and its error (N,): the Monte-Carlo standard error
    of method "is", else the size of the numerical error. `remark`: a sentence, or ""; `seconds` it took."""

    method: str
    minus_two_ll: np.ndarray
    error: np.ndarray
    seconds: float
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodResult:
    """What `nlmevae.likelihoods` returns.

    `parameters_from` says where the parameters are from, `parameters` are they (name -> value);
    `objective_there` is the objective the file states, NaN if none. `values` and `subjects` are in the same order;
    `labels` and `n_obs` (N,) in that of the data. `ess`, `khat` (N,): share of effective draws and Pareto tail index
    of method "is", NaN without it. `ofv` = -2LL - n_obs_total * log(2 pi) is the scale of NONMEM's OBJ.
    """

    name: str
    source_path: str
    data_path: str
    problem: str
    parameters_from: str
    objective_there: float
    parameters: dict[str, float]
    seed: int
    n_draws: int
    n_subjects: int
    n_obs_total: int
    values: tuple[LikelihoodValue, ...]
    subjects: tuple[SubjectLikelihood, ...]
    labels: tuple[str, ...]
    n_obs: np.ndarray
    ess: np.ndarray
    khat: np.ndarray
    warnings: tuple[str, ...]
    versions: dict[str, str]

    @property
    def constant(self) -> float:
        """n_obs_total * log(2 pi): what NONMEM's OBJ leaves out."""
        return self.n_obs_total * float(np.log(2 * np.pi))

    def value(self, method: str) -> LikelihoodValue | None:
        """None if that was not computed."""
        return next((v for v in self.values if v.method == method), None)

    def minus_two_ll(self, method: str = "is") -> float:
        """NaN if that was not computed."""
        found = self.value(method)
        return float("nan") if found is None else found.minus_two_ll

    def ofv(self, method: str = "is") -> float:
        """On the scale of NONMEM's OBJ."""
        return self.minus_two_ll(method) - self.constant

    def to_frame(self) -> pandas.DataFrame:
        """Per subject: observations, -2LL by every method (columns by its name) and the errors (``is_error``)."""
        import pandas as pd

        columns: dict[str, object] = {"n_obs": self.n_obs}
        for s in self.subjects:
            columns |= {s.method: s.minus_two_ll, f"{s.method}_error": s.error}
        return pd.DataFrame(columns, index=pd.Index(self.labels, name="ID"))
