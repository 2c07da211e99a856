"""Tables of studies of many fits: raw_results as PsN's users know them, summaries, subjects of the samples."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nlmevae.results.bootstrap_result import PERCENTILES, BootstrapResult
from nlmevae.results.fit_record import FitRecord, StudyParameter
from nlmevae.results.multistart_result import MultistartResult
from nlmevae.results.run_folder import GENERATOR
from nlmevae.results.sse_result import SseResult
from nlmevae.results.status import FitStatus
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.results_json import plain


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Numbers in the shortest text that reads back as the same number, NaN empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return str(value)


def raw_results_text(
    method: str, parameters: tuple[StudyParameter, ...], records: Iterable[FitRecord], *, first: str = "model"
) -> str:
    """One row per fit, PsN's columns first where they have a meaning here; standard errors of parameters that are
    estimated. The row of a fit that failed has its status and sentence, and no numbers."""
    estimated = [j for j, p in enumerate(parameters) if p.estimated]
    header = [
        "method", first, "name", "minimization_successful", "covariance_step_successful", "estimate_near_boundary",
        "model_run_time", "ofv", *(p.label for p in parameters), *(f"se{parameters[j].label}" for j in estimated),
        "minus_two_ll", "minus_two_ll_mc_se", "n_subjects", "n_observations", "status", "message",
    ]  # fmt: skip
    rows = []
    for r in records:
        values = r.values or (math.nan,) * len(parameters)
        errors = [r.standard_errors[j] if r.standard_errors else math.nan for j in estimated]
        known = bool(r.standard_errors) and all(map(math.isfinite, errors))
        rows.append(
            [
                method, r.number, r.name, r.usable, known, bool(r.at_bound), round(r.seconds, 2), r.ofv, *values,
                *errors, r.minus_two_ll, r.mc_se, r.n_subjects, r.n_known, r.status, _sentence(r),
            ]
        )  # fmt: skip
    return csv_text(header, rows)


def _sentence(record: FitRecord) -> str:
    if record.status == FitStatus.CONVERGED.name and not record.at_bound:
        return ""
    bound = f"At their bound: {', '.join(record.at_bound)}." if record.at_bound else ""
    message = "" if record.status == FitStatus.CONVERGED.name else record.message
    return " ".join(t for t in (message, bound) if t)


def write_bootstrap(folder: Path, result: BootstrapResult) -> tuple[Path, ...]:
    """The tables of a bootstrap; their paths.

    Raises:
        OutputError: one of them cannot be written.
    """
    stem = Path(result.source_path or result.name).stem
    texts = {
        "bootstrap_results.csv": _summary_text(result),
        f"raw_results_{stem}.csv": raw_results_text("bootstrap", result.parameters, (result.original, *result.records)),
        "included_individuals1.csv": "".join(csv_text(ids, ()) for ids in result.subjects),
        "bootstrap_results.json": json_text(result),
    }
    if result.inclusion:
        texts["inclusion_frequencies.csv"] = _inclusion_text(result)
    return write_texts(folder, texts)


def _inclusion_text(result: BootstrapResult) -> str:
    """One row per effect that is searched."""
    chosen = set(result.original.chosen)
    rows = [(name, name in chosen, share) for name, share in result.inclusion.items()]
    return csv_text(["effect", "in_the_data", "frequency"], rows)


def write_texts(folder: Path, texts: dict[str, str]) -> tuple[Path, ...]:
    """Files of a folder, each whole or as it was."""
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return tuple(folder / name for name in texts)


def json_text(result: Any) -> str:
    """A result at full precision."""
    return json.dumps({"generator": GENERATOR, "schema": 1, **plain(result)}, indent=1, allow_nan=False) + "\n"


def _summary_text(result: BootstrapResult) -> str:
    header = [
        "parameter", "name", "estimate", "asymptotic_se", "n", "mean", "median", "bias", "standard_error",
        "rse_percent", *(f"p{level:g}" for level in PERCENTILES), "bca_low", "bca_high",
    ]  # fmt: skip
    rows = [
        [
            s.parameter.label, s.parameter.name, s.parameter.value, s.parameter.standard_error, s.n, s.mean, s.median,
            s.bias, s.standard_error, _percent(s.standard_error, s.parameter.value), *s.percentiles, *s.bca,
        ]
        for s in result.summaries
    ]  # fmt: skip
    return csv_text(header, rows)


def _percent(part: float, whole: float) -> float:
    return 100.0 * part / abs(whole) if whole else math.nan


def write_sse(folder: Path, result: SseResult) -> tuple[Path, ...]:
    """The tables of a simulation-estimation study; their paths.

    Raises:
        OutputError: one of them cannot be written.
    """
    stem = Path(result.models[0].source_path).stem
    texts = {"sse_results.csv": _sse_text(result)}
    if result.comparisons:
        texts["sse_delta_ofv.csv"] = _delta_ofv_text(result)
    for m, model in enumerate(result.models):
        name = f"raw_results_{stem}.csv" if m == 0 else f"raw_results_{stem}_alternative{m}.csv"
        texts[name] = raw_results_text("sse", model.parameters, result.of_model(m), first="sample")
    texts["sse_results.json"] = json_text(result)
    return write_texts(folder, texts)


def _sse_text(result: SseResult) -> str:
    header = [
        "model", "parameter", "name", "true", "n", "mean", "median", "sd", "min", "max", "bias",
        "relative_bias_percent", "rmse", "relative_rmse_percent", "mean_standard_error", "n_intervals", "coverage_95",
    ]  # fmt: skip
    rows = [
        [
            result.models[s.model].source_path, s.parameter.label, s.parameter.name, s.true, s.n, s.mean, s.median,
            s.sd, s.minimum, s.maximum, s.bias, s.relative_bias, s.rmse, s.relative_rmse, s.mean_standard_error,
            s.n_intervals, s.coverage,
        ]
        for s in result.summaries
    ]  # fmt: skip
    return csv_text(header, rows)


def _delta_ofv_text(result: SseResult) -> str:
    header = [
        "alternative", "n", "parameters_more", "mean_delta_ofv", "sd", "min", "max", "mc_error", "df", "level",
        "critical", "type_I_error_if_larger", "power_if_smaller",
    ]  # fmt: skip
    rows = [
        [
            result.models[c.model].source_path, c.n, c.df, c.mean, c.sd, c.minimum, c.maximum, c.mc_error, s.df,
            s.level, s.critical, s.better, s.worse,
        ]
        for c in result.comparisons
        for s in c.shares
    ]  # fmt: skip
    return csv_text(header, rows)


def write_multistart(folder: Path, result: MultistartResult) -> tuple[Path, ...]:
    """The tables of fits from many starts; their paths.

    Raises:
        OutputError: one of them cannot be written.
    """
    stem = Path(result.source_path).stem
    texts = {
        "multistart_results.csv": _multistart_text(result),
        f"raw_results_{stem}.csv": raw_results_text("multistart", result.parameters, result.records, first="start"),
        "multistart_results.json": json_text(result),
    }
    return write_texts(folder, texts)


def _multistart_text(result: MultistartResult) -> str:
    """One row per start: what its fit found, and where it began."""
    best, same = result.best, {r.number for r in result.same}
    header = ["start", "status", "minus_two_ll", "above_best", "same_as_best"]
    header += [f"{p.label}" for p in result.parameters] + [f"initial {p.label}" for p in result.parameters]
    rows = []
    for r in result.records:
        above = math.nan if best is None else r.minus_two_ll - best.minus_two_ll
        values = r.values or (math.nan,) * len(result.parameters)
        rows.append([r.number, r.status, r.minus_two_ll, above, r.number in same, *values, *result.starts[r.number]])
    return csv_text(header, rows)


def write_batch(folder: Path, records: Sequence[FitRecord]) -> tuple[Path, ...]:
    """One row per model, one column per label that some model has.

    Raises:
        OutputError: it cannot be written.
    """
    labels = list(dict.fromkeys(label for r in records for label in r.labels))
    header = ["model", "name", "status", "minimization_successful", "ofv", "minus_two_ll", "minus_two_ll_mc_se"]
    header += [
        "n_subjects",
        "n_observations",
        "model_run_time",
        *labels,
        *(f"se{label}" for label in labels),
        "message",
    ]
    rows = []
    for k, r in enumerate(records, 1):
        values = dict(zip(r.labels, r.values, strict=False))
        errors = dict(zip(r.labels, r.standard_errors, strict=False))
        rows.append(
            [
                k, r.name, r.status, r.completed, r.ofv, r.minus_two_ll, r.mc_se, r.n_subjects, r.n_known,
                round(r.seconds, 2), *(values.get(label, math.nan) for label in labels),
                *(errors.get(label, math.nan) for label in labels), _sentence(r),
            ]
        )  # fmt: skip
    return write_texts(folder, {"raw_results.csv": csv_text(header, rows)})
