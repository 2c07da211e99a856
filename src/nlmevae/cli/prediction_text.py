"""The text `nlmevae predict` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nlmevae.cli.text_table import duration, short_number, text_table
from nlmevae.results.prediction_result import MEAN_LIMIT, SD_LIMIT, PredictionResult

MOST_ROWS, MOST_SENTENCES = 20, 10


def prediction_text(result: PredictionResult, *, paths: Sequence[Path]) -> str:
    """What was computed, the parameters of the first subjects, how the encoder compares, files."""
    blocks = [_head(result), _subjects(result), _encoder(result), [f"Wrote {path}" for path in paths]]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def prediction_warnings(result: PredictionResult) -> list[str]:
    """Also what lies outside the data of the fit."""
    shown = list(result.outside[:MOST_SENTENCES])
    more = len(result.outside) - len(shown)
    if more > 0:
        shown.append(f"and {more} more outside the data of the fit, marked OUTSIDE_DATA in the tables")
    return [*result.warnings, *shown]


def _head(result: PredictionResult) -> list[str]:
    people = result.individuals
    n, empty = len(people.labels), int((people.n_obs == 0).sum())
    how = "mode search and importance sampling" if result.route == "refined" else "encoder alone, not checked"
    lines = [
        f"{result.data_path}: {n} subjects, {int(people.n_obs.sum())} observations, "
        f"{len(result.records.subject)} predictions",
        f"Posteriors by {how}, at the estimates of {result.name}; {duration(result.seconds['total'])}",
    ]
    if empty:
        lines.append(f"{empty} subjects without observations: their posterior is the prior of the population.")
    return lines


def _subjects(result: PredictionResult) -> list[str]:
    people = result.individuals
    if not people.psi_names:
        return []
    header = ("ID", "Obs", *(column for name in people.psi_names for column in (name, "mode", "SD")), "Remark")
    rows = []
    for i, label in enumerate(people.labels[:MOST_ROWS]):
        values = [
            short_number(float(table[i, j]))
            for j in range(len(people.psi_names))
            for table in (people.psi_mean, people.psi_mode, people.psi_sd)
        ]
        rows.append((label, str(int(people.n_obs[i])), *values, _remark(result, i)))
    lines = ["Individual parameters: posterior mean, mode and standard deviation", *text_table(header, rows)]
    more = len(people.labels) - len(rows)
    return [*lines, f"... and {more} more"] if more else lines


def _remark(result: PredictionResult, subject: int) -> str:
    check = result.encoder_check
    remarks = ["outside data"] if result.outside_subjects[subject] else []
    return ", ".join([*remarks, *(["encoder differs"] if check is not None and check.differs[subject] else [])])


def _encoder(result: PredictionResult) -> list[str]:
    check = result.encoder_check
    if check is None:
        return []
    seconds = result.seconds
    return [
        f"Encoder: for {int(check.differs.sum())} of {len(check.differs)} subjects it differs from the refined "
        f"posterior by more than {MEAN_LIMIT:g} standard deviations in a mean or {100 * SD_LIMIT:.0f} % in a "
        "standard deviation.",
        f"It took {seconds['encoder']:.3f} s, the refined posteriors {seconds['refined']:.3f} s.",
    ]
