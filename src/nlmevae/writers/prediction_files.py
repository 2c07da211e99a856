"""The files of one prediction: a table of subjects, a table of records, and samples where they were asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nlmevae.results.prediction_folder import PredictionFolder
from nlmevae.results.prediction_result import PredictionResult
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.ets import write_ets
from nlmevae.writers.individuals_csv import csv_text, write_individuals_csv


def write_prediction(folder: PredictionFolder, result: PredictionResult) -> tuple[Path, ...]:
    """Write all files, replacing those of an earlier prediction; the paths written.

    Raises:
        OutputError: a file cannot be written.
    """
    for path in folder.files:
        path.unlink(missing_ok=True)
    write_individuals_csv(folder.individuals_csv, result.individuals, _marks(result))
    write_atomically(folder.predictions_csv, predictions_csv_text(result))
    if not len(result.individuals.eta_samples):
        return (folder.individuals_csv, folder.predictions_csv)
    write_ets(folder.ets, result.individuals)
    return folder.files


def _marks(result: PredictionResult) -> dict[str, Iterable]:
    """What a reader must know of a subject before using its numbers."""
    marks: dict[str, Iterable] = {"OUTSIDE_DATA": result.outside_subjects}
    check = result.encoder_check
    if check is not None:
        marks |= {"ENCODER_DIFFERS": check.differs, "ENCODER_MEAN_DIFFERENCE": check.mean_difference}
        marks["ENCODER_SD_DIFFERENCE"] = check.sd_difference
    return marks


def predictions_csv_text(result: PredictionResult) -> str:
    """One row per record: the observation, the predictions, and intervals of the stated level."""
    records, people = result.records, result.individuals
    percent = f"{100 * result.level:g}"
    marks = {name: np.asarray(values)[records.subject] for name, values in _marks(result).items()}
    columns: dict[str, Iterable] = {
        "ID": [people.labels[i] for i in records.subject],
        "n_obs": people.n_obs[records.subject],
        "LINE": records.line,
        "TIME": records.time,
        "DV": records.dv,
        "PRED": records.pred,
        "IPRED": records.ipred,
        "MEAN": records.mean,
        "SD": records.sd,
        f"LOWER{percent}": records.lower,
        f"UPPER{percent}": records.upper,
        f"DV_LOWER{percent}": records.dv_lower,
        f"DV_UPPER{percent}": records.dv_upper,
    }
    return csv_text({**columns, **{name: marks[name] for name in marks if not name.endswith("_DIFFERENCE")}})
