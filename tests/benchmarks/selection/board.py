"""What the boards share: options, a resumable run over data sets, one selection as a record.

A board hands over its tasks (JSON values) and one function task -> record. One JSON line per data set is appended to
`--out` as it ends; started again with the same file, a board goes on with what is missing. A task that raises leaves a
record with "error".
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.measurement import peak_memory_mb

Task = dict[str, Any]
Record = dict[str, Any]


def parser(description: str | None, *, sets: int, criteria: str = "bicc,ebic,lrt:0.01") -> argparse.ArgumentParser:
    """The options every board has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--sets", type=int, default=sets, help=f"data sets (seeds) per case, default {sets}")
    made.add_argument("--first", type=int, default=0, help="number of the first data set")
    made.add_argument("--criteria", default=criteria, help=f"scored criteria, default {criteria}")
    made.add_argument(
        "--each",
        action="store_true",
        help="a run of its own for every criterion; else the first runs and the others are read off its final "
        "quadratic form",
    )
    made.add_argument("--processes", type=int, default=1)
    made.add_argument("--out", type=Path, help="JSON lines, also what is resumed from")
    made.add_argument("--settings", default="", help="of the fit: name=value,name=value")
    made.add_argument("--time-limit", type=float, default=0.0, help="start no task after so many seconds")
    return made


def fit_settings(text: str) -> dict[str, Any]:
    """``n_draws=64,method=vae`` as keyword arguments."""
    settings: dict[str, Any] = {}
    for item in filter(None, text.split(",")):
        name, value = item.split("=")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


def criteria_of(options: argparse.Namespace) -> list[str]:
    return [c.strip() for c in options.criteria.split(",") if c.strip()]


def run_tasks(
    tasks: Sequence[Task], run: Callable[[Task], Record], options: argparse.Namespace, *, fresh: bool = False
) -> list[Record]:
    """Records of all tasks, those on file included. `fresh`: a process per task, so that its peak memory is its own."""
    done = {_key(record["task"]): record for record in _read(options.out)}
    todo = [task for task in tasks if _key(task) not in done]
    began = time.perf_counter()
    for record in _results(todo, run, options.processes, fresh=fresh, limit=options.time_limit, began=began):
        done[_key(record["task"])] = record
        if options.out is not None:
            with options.out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")
        print(_line(record), flush=True)
    return [done[_key(task)] for task in tasks if _key(task) in done]


def _results(
    tasks: Sequence[Task], run: Callable[[Task], Record], processes: int, *, fresh: bool, limit: float, began: float
) -> Iterator[Record]:
    jobs = ((run, task, limit, began) for task in tasks)
    if processes == 1 and not fresh:
        yield from (r for r in map(_guarded, jobs) if r is not None)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, maxtasksperchild=1 if fresh else None) as pool:
        yield from (r for r in pool.imap_unordered(_guarded, jobs) if r is not None)


def _guarded(job: tuple[Callable[[Task], Record], Task, float, float]) -> Record | None:
    run, task, limit, began = job
    if limit and time.perf_counter() - began > limit:
        return None
    clock = time.perf_counter()
    try:
        record = run(task)
    except Exception as error:  # one bad data set must not end a board of hundreds
        record = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc(limit=-4)}
    record |= {"task": task, "wall": round(time.perf_counter() - clock, 2), "peak_mb": round(peak_memory_mb())}
    return record


def _key(task: Task) -> str:
    return json.dumps(task, sort_keys=True)


def _read(path: Path | None) -> list[Record]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _line(record: Record) -> str:
    what = record.get("error") or "  ".join(f"{c}: {' '.join(s) or '-'}" for c, s in record["supports"].items())
    return f"{_key(record['task'])}  {record['wall']:.1f} s  {what}"


def selection_record(stream: Path, criteria: Sequence[str], **options: Any) -> Record:
    """One `nlmevae.select` with the first criterion, as plain values; `supports` has all criteria asked for, those
    after the first from the run's final quadratic form."""
    import nlmevae

    began = time.perf_counter()
    result = nlmevae.select(stream, criterion=criteria[0], **options)
    fit, seconds = result.fit, time.perf_counter() - began
    supports = {criteria[0]: list(result.support)}
    supports |= {c: list(result.alternatives[c]) for c in criteria[1:] if c in result.alternatives}
    value = fit.likelihood("is")
    return {
        "supports": supports,
        "seconds": round(seconds, 2),
        "phases": {k: round(v, 2) for k, v in result.seconds.items()},
        "status": fit.status.name,
        "minus_two_ll": round(fit.minus_two_ll, 3),
        "mc_se": None if value is None else round(value.mc_se, 3),
        "bicc": None if value is None else round(value.bicc, 3),
        "estimates": {e.label: float(f"{e.value:.5g}") for e in fit.estimates},
        "margins": {e.name: round(e.margin, 2) for e in result.effects if e.margin == e.margin and e.margin < 10},
        "certificate": [result.certificate.n_solves, result.certificate.n_uncertified, result.certificate.solver],
        "warnings": [*result.warnings, *fit.warnings],
    }


def selection_records(stream: Path, criteria: Sequence[str], *, each: bool, **options: Any) -> Record:
    """As `selection_record`; with `each` a run per criterion, whose supports are merged into the first's record."""
    record = selection_record(stream, criteria, **options)
    if each:
        runs = {c: selection_record(stream, [c], **options) for c in criteria[1:]}
        record["read_off"] = {c: s for c, s in record["supports"].items() if c != criteria[0]}
        record["supports"] = {criteria[0]: record["supports"][criteria[0]]}
        record["supports"] |= {c: run["supports"][c] for c, run in runs.items()}
        record["runs"] = {
            c: {k: run[k] for k in ("seconds", "status", "minus_two_ll", "bicc")} for c, run in runs.items()
        }
    return record


def one_thread() -> None:
    """Numerical libraries use one thread; call before numpy is imported in child processes."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
