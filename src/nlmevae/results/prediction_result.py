"""What is predicted for subjects that a fit has not seen: frozen, plain numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from nlmevae.results.fit_result import IndividualResults

if TYPE_CHECKING:
    import pandas

Route = Literal["refined", "encoder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPredictions:
    """One entry per record that is an observation or can be predicted (R,), in data order; units of DV.

    Attributes:
        subject: index into the labels. line: of the data file, from 1. time: as in the data.
        dv: the observation, NaN where nothing was observed (EVID 2 or MDV 1).
        pred: prediction for the typical subject with these covariates, ETA = 0.
        ipred: at the mode of the posterior.
        mean, sd, lower, upper: of the prediction over the posterior.
        dv_lower, dv_upper: of a new observation, residual error included.
    """

    subject: np.ndarray
    line: np.ndarray
    time: np.ndarray
    dv: np.ndarray
    pred: np.ndarray
    ipred: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    dv_lower: np.ndarray
    dv_upper: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderCheck:
    """The encoder's posterior beside the refined one, (N,) each: the largest difference of a latent's mean in refined
    standard deviations, and of its standard deviation as a share. `differs`: beyond `MEAN_LIMIT` or `SD_LIMIT`."""

    mean_difference: np.ndarray
    sd_difference: np.ndarray
    differs: np.ndarray


#: Posterior standard deviations, and share of a standard deviation.
MEAN_LIMIT, SD_LIMIT = 0.2, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionResult:
    """What `nlmevae.predict` returns.

    `route`: "refined" (mode search and importance sampling) or "encoder" (the network alone). `encoder_check` is there
    where both were computed. `level` is the probability within the intervals of `records`. `outside` names what lies
    beyond the data of the fit, one sentence per subject and item; `outside_subjects` (N,) bool.
    """

    name: str
    source_path: str
    data_path: str
    route: Route
    individuals: IndividualResults
    records: RecordPredictions
    encoder_check: EncoderCheck | None
    outside: tuple[str, ...]
    outside_subjects: np.ndarray
    warnings: tuple[str, ...]
    level: float
    n_samples: int
    seed: int
    seconds: dict[str, float]

    @property
    def complete(self) -> bool:
        """Every prediction is a number."""
        return bool(np.isfinite(self.records.ipred).all() and np.isfinite(self.individuals.eta_mean).all())

    def to_frame(self) -> pandas.DataFrame:
        """The predictions as a pandas table, one row per record."""
        import pandas as pd

        labels = self.individuals.labels
        columns = {f: getattr(self.records, f) for f in self.records.__dataclass_fields__ if f != "subject"}
        return pd.DataFrame({"ID": [labels[i] for i in self.records.subject], **columns})
