"""Control streams with NONMEM's outputs against ours: what is read, executed, equal, refused, wrong.

    python -m tests.benchmarks.control_streams PATH [PATH ...] [--out lines.jsonl] [--workers 2] > report.md

PATH is a control stream or a folder; below a folder every ``.ctl``, ``.mod``, ``.con`` and ``.nmctl`` is taken. A data
file that is not where $DATA says is looked for by its name below the folder. Equal texts are taken once, and of texts
that differ in numbers only the first few (--similar).

Of each stream: time of parsing and reading; records, observations and subjects against the ``.lst``; predictions at
the initial estimates; and, where NONMEM's estimates (``.ext``) and $TABLE files are there, every column of these, at
NONMEM's ETAs (from the table or ``.phi``) or else at our modes. A column is *equal* if every value is NONMEM's to its
last printed digit, give or take one and what the digits of estimates and ETAs leave open; *near* within `NEAR`, which
integration tolerances explain; else *wrong*. Every stream runs in a process that is ended after --limit seconds.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import multiprocessing
import os
import re
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.nonmem_outputs import (
    ListFile,
    PrintedTable,
    list_file,
    phi_etas,
    read_printed_table,
    same_stream,
    table_etas,
)

ENDINGS = {".ctl", ".mod", ".con", ".nmctl"}
#: Relative to the larger of a value and a thousandth of its column's largest.
NEAR = 5e-3
#: What six digits of the estimates in an .ext leave open, relative.
EXT_DIGITS = 1e-5
#: Absolute, for residuals in units of their standard deviation.
NEAR_RESIDUAL = 0.05
#: Residuals: small differences of large numbers; relative tolerances are of the standard deviation.
RESIDUALS = {
    "RES", "NRES", "IRES", "CIRES", "CIRESI", "WRES", "NWRES", "CWRES", "CWRESI", "IWRES", "CIWRES", "CIWRESI", "CRES",
    "CRESI",
}  # fmt: skip
#: By simulation: another random number generator, other values.
RANDOM = {"EPRED", "ERES", "EWRES", "ECWRES", "NPDE", "NPD", "EIPRED", "EIRES", "EIWRES"}
#: After an importance sampling or SAEM step at the conditional means, not at the modes.
AT_MEANS = {
    "CPRED", "CRES", "CWRES", "CIPRED", "CIRES", "CIWRES", "CPREDI", "CRESI", "CWRESI", "CIPREDI", "CIRESI", "CIWRESI",
}  # fmt: skip
MAX_ROWS = 20000
#: What makes the line of one file; takes it and the folder in which its data may be.
Examine = Callable[[Path, Path], dict[str, Any]]


def streams(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """(control stream, folder in which its data may be looked for)."""
    found = []
    for path in paths:
        if path.is_file():
            found.append((path, path.parent))
        else:
            found += [(p, path) for p in sorted(path.rglob("*")) if p.suffix.lower() in ENDINGS and p.is_file()]
    return found


def chosen(found: list[tuple[Path, Path]], similar: int) -> list[tuple[Path, Path]]:
    """Without repetitions; at most `similar` of those that differ in numbers only. A stream has a $PROBLEM."""
    texts: set[str] = set()
    alike: Counter[str] = Counter()
    kept = []
    for path, folder in found:
        text = path.read_bytes().decode("latin-1")
        if not re.search(r"^[ \t]*\$PRO", text, re.M | re.I):
            continue
        digest = hashlib.sha256("".join(text.split()).encode()).hexdigest()
        without = hashlib.sha256(re.sub(r"[\d.]+", "0", "".join(text.split())).encode()).hexdigest()
        if digest in texts or alike[without] >= similar:
            continue
        texts.add(digest)
        alike[without] += 1
        kept.append((path, folder))
    return kept


def examined(stream: Path, folder: Path) -> dict[str, Any]:
    """The line of one stream; never raises but for what ends a process."""
    from nlmevae.errors import NlmevaeError

    line: dict[str, Any] = {"stream": str(stream), "status": "parsed"}
    try:
        _examine(line, stream, folder)
    except NlmevaeError as error:
        line["status"] = "refused" if line.get("stage") != "data" else "data"
        line["message"] = error.message
        line["where"] = str(error.location) if error.location else ""
    except Exception:
        line["status"] = "traceback"
        line["message"] = traceback.format_exc(limit=-4)
    return line


def _examine(line: dict[str, Any], stream: Path, folder: Path) -> None:
    from nlmevae import pipeline
    from nlmevae.comparison.nonmem_ext import final_estimates
    from nlmevae.errors import DataError, NlmevaeError
    from nlmevae.frontends.nonmem.read import lower_control_stream
    from nlmevae.frontends.nonmem.records import read_source
    from nlmevae.results.model_at import model_at

    line["stage"] = "text"
    began = time.process_time()
    lower_control_stream(read_source(stream))
    line["parse_ms"] = 1000.0 * (time.process_time() - began)
    began = time.process_time()
    model = pipeline.read_model(stream)
    line["read_ms"] = 1000.0 * (time.process_time() - began)
    line["stage"] = "data"
    data = data_elsewhere(stream, folder, model.data.path)
    run = pipeline.prepare(model, data=data)
    line["counts"] = {"records": run.dataset.n_rows, "observations": run.table.n_obs_total}
    line["counts"]["subjects"] = run.dataset.n_subjects
    listed = list_file(stream)
    stale = listed is not None and not same_stream(model.source.text, listed.echo)
    line["stale"], line["other_data"] = stale, data is not None
    if listed is not None and not stale:
        line["listed"] = listed.counts
    line["stage"] = "initial"
    _predict(line, "initial", run)
    if listed is None or stale:
        return
    line["stage"] = "estimates"
    ext = stream.with_suffix(".ext")
    if ext.is_file():
        try:
            run = replace(run, model=model_at(model, final_estimates(ext)))
        except DataError as error:
            line["no_estimates"] = error.message
            return
    elif not model.evaluates_only and model.estimation:
        line["no_estimates"] = "no .ext"
        return
    line["stage"] = "tables"
    try:
        _compare(line, stream, run, listed)
    except NlmevaeError as error:
        line["not_compared"] = error.message


def data_elsewhere(stream: Path, folder: Path, named: str) -> Path | None:
    """A file of the same name elsewhere below `folder`, the nearest one; None if $DATA is right or there is none."""
    written = Path(named.replace("\\", "/"))
    if (stream.parent / written).is_file():
        return None
    parents = set(stream.parents)
    others = _files(folder).get(written.name.lower(), [])
    return min(others, key=lambda p: (len(set(p.parents) ^ parents), str(p)), default=None)


@functools.cache
def _files(folder: Path) -> dict[str, list[Path]]:
    """All files below a folder by their names in small letters."""
    found: dict[str, list[Path]] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found.setdefault(path.name.lower(), []).append(path)
    return found


def _predict(line: dict[str, Any], where: str, run: Any) -> None:
    """Share of finite predictions of the typical subjects."""
    from nlmevae.diagnostics.fitted import population_at, problem_at

    began = time.perf_counter()
    problem = problem_at(run.model, run.table, None)
    try:
        joint = problem.joint(population_at(run.model, None))
        prediction = joint.predict(joint.mean)
    finally:
        problem.decoder.close()
    line["status"] = "executed"
    line[f"finite_{where}"] = float(np.isfinite(prediction).mean()) if prediction.size else 1.0
    line[f"{where}_s"] = time.perf_counter() - began


def _compare(line: dict[str, Any], stream: Path, run: Any, listed: ListFile) -> None:
    """Every column of every $TABLE file that is there."""
    from nlmevae.diagnostics.record_items import RecordItems
    from nlmevae.diagnostics.record_tables import _table

    model = run.model
    printed = list(_printed(stream, model))
    if not printed or run.dataset.n_rows > MAX_ROWS:
        line["not_compared"] = "no table" if not printed else f"over {MAX_ROWS} records"
        return
    if listed.simulated:
        line["not_compared"] = "simulated data"
        return
    n_etas = len(model.etas)
    etas = table_etas((table for _, table in printed), n_etas, run.dataset.subject_ptr)
    if etas is None:
        etas = phi_etas(stream.with_suffix(".phi"), n_etas)
    at = _at(run, etas)
    try:
        items = RecordItems.of(at, run.dataset)
        moved = None if etas is None else RecordItems.of(_moved(at), run.dataset)
        line["etas"] = "ours" if etas is None else "NONMEM's"
        line["columns"] = columns = {}
        passed_over = RANDOM | (AT_MEANS if _by_sampling(model) else set())
        for request, theirs in printed:
            ours = _table(items, request, None)
            digits = 0.0 if moved is None else np.abs(_table(moved, request, None).values - ours.values)
            digits = np.broadcast_to(np.nan_to_num(digits), ours.values.shape)
            if len(ours.values) != len(theirs.values):
                columns[f"{request.file} rows"] = ["wrong", len(ours.values), len(theirs.values)]
                continue
            for k, (name, label) in enumerate(zip(_names(request), ours.labels, strict=True)):
                if label in theirs.labels and name not in passed_over and label not in ours.missing:
                    j = theirs.labels.index(label)
                    slack = 1.01 * theirs.resolution[:, j] + digits[:, k] + EXT_DIGITS * np.abs(theirs.values[:, j])
                    columns.setdefault(name, compared(name, ours.values[:, k], theirs.values[:, j], slack))
    finally:
        at.problem.decoder.close()


def _moved(at: Any) -> Any:
    """At ETAs that differ by a unit of the fifth digit, as they are printed."""
    eta = at.modes.mean - at.joint.mean
    return replace(at, modes=replace(at.modes, mean=at.joint.mean + 1.0001 * eta))


def _by_sampling(model: Any) -> bool:
    """The last step is one of those after which NONMEM's conditional items are at the means of the ETAs."""
    method = model.estimation[-1].method.upper() if model.estimation else ""
    return method.startswith(("IMP", "SAEM", "BAYES", "DIRECT", "NUTS"))


def _names(request: Any) -> list[str]:
    from nlmevae.diagnostics.record_tables import columns_of

    return [name for name, _ in columns_of(request)]


def _printed(stream: Path, model: Any) -> Iterator[tuple[Any, PrintedTable]]:
    from nlmevae.diagnostics.record_tables import columns_of

    for request in model.tables:
        if request.file is None or request.omitted:
            continue
        path = stream.parent / request.file
        if path.is_file():
            table = read_printed_table(path, tuple(label for _, label in columns_of(request)))
            if table is not None:
                yield request, table


def _at(run: Any, etas: np.ndarray | None) -> Any:
    """The model at its initial estimates, at given ETAs or at its modes."""
    from nlmevae.diagnostics.fitted import at_fit, population_at, problem_at
    from nlmevae.estimation.at_estimates import AtEstimates
    from nlmevae.estimation.refine import Modes

    if etas is None or len(etas) != run.dataset.n_subjects:
        return at_fit(run.model, run.table, None)
    problem = problem_at(run.model, run.table, None)
    population = population_at(run.model, None)
    joint = problem.joint(population)
    n, d = joint.mean.shape
    modes = Modes(
        mean=joint.mean + etas[:, problem.latent_index],
        chol=np.broadcast_to(np.eye(d), (n, d, d)),
        log_joint=np.zeros(n),
        decrement=np.zeros(n),
        ok=np.ones(n, dtype=bool),
    )
    return AtEstimates(problem=problem, population=population, joint=joint, modes=modes, second=modes)


def compared(name: str, ours: np.ndarray, theirs: np.ndarray, slack: np.ndarray) -> list[Any]:
    """[verdict, worst difference, ours there, theirs there, row there, share of rows beyond near].

    Args:
        slack: what printed digits leave open, of the column and of the ETAs.
    """
    both = np.isfinite(ours) & np.isfinite(theirs)
    if not both.any():
        return ["missing", 0.0]
    difference = np.where(both, np.abs(ours - theirs), 0.0)
    size = max(float(np.abs(theirs[both]).max()), 1e-300)
    near = NEAR * np.maximum(np.abs(theirs), 1e-3 * size) + slack
    if name in RESIDUALS:
        near = near + (NEAR_RESIDUAL if "WRES" in name else NEAR * size)
    beyond = difference > near
    k = int(np.argmax(np.where(beyond, difference, 0.0) if beyond.any() else difference))
    verdict = "wrong" if beyond.any() else "near" if (difference > slack).any() else "equal"
    if verdict == "equal" and not both.all():
        verdict = "equal where known"
    return [verdict, float(difference[k]), float(ours[k]), float(theirs[k]), k, float(beyond.mean())]


def warm_up() -> None:
    """Imports are no part of the time of reading."""
    from nlmevae.frontends.nonmem.read import parse_control_stream

    code = "Y = THETA(1) + ETA(1) + EPS(1)"
    parse_control_stream(f"$PROBLEM a\n$INPUT ID TIME DV\n$DATA a\n$PRED\n{code}\n$THETA 1\n$OMEGA 1\n$SIGMA 1\n")


def _worker(pipe: Connection, examine: Examine, prepare: Callable[[], None]) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    prepare()
    while True:
        task = pipe.recv()
        if task is None:
            return
        pipe.send(examine(*task))


class Worker:
    """One process; `since` is when its present task began. `examine` and `prepare` are functions of a module."""

    def __init__(self, examine: Examine, prepare: Callable[[], None]) -> None:
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(
            target=_worker, args=(other, examine, prepare), daemon=True
        )
        self.process.start()
        other.close()
        self.task: tuple[Path, Path] | None = None
        self.since = 0.0

    def give(self, task: tuple[Path, Path]) -> None:
        self.task, self.since = task, time.monotonic()
        self.pipe.send(task)

    def end(self) -> None:
        self.process.kill()
        self.process.join()


def run_all(
    tasks: list[tuple[Path, Path]],
    n_workers: int,
    limit: float,
    examine: Examine = examined,
    prepare: Callable[[], None] = warm_up,
) -> Iterator[dict[str, Any]]:
    """Lines as they come."""
    waiting = list(reversed(tasks))
    workers = [Worker(examine, prepare) for _ in range(n_workers)]
    while waiting or any(w.task for w in workers):
        for worker in workers:
            if worker.task is None and waiting:
                worker.give(waiting.pop())
        ready = wait([w.pipe for w in workers if w.task], timeout=1.0)
        for k, worker in enumerate(workers):
            if worker.task is None:
                continue
            late = time.monotonic() - worker.since > limit
            line = None
            if worker.pipe in ready:
                try:
                    line = worker.pipe.recv()
                except EOFError:
                    line = {"stream": str(worker.task[0]), "status": "crash", "message": "the process ended"}
            elif late:
                line = {"stream": str(worker.task[0]), "status": "time", "message": f"over {limit:g} s"}
            if line is None:
                continue
            worker.task = None
            if line["status"] in ("crash", "time"):
                worker.end()
                workers[k] = Worker(examine, prepare)
            yield line
    for worker in workers:
        worker.end()


def verdict(line: dict[str, Any]) -> str:
    """One word for a stream."""
    if line["status"] != "executed":
        return line["status"]
    found = {entry[0] for entry in line.get("columns", {}).values()}
    listed, counts = line.get("listed", {}), line["counts"]
    if "wrong" in found or any(counts[k] != n for k, n in listed.items() if k in counts):
        return "other data" if line.get("other_data") else "wrong"
    if not found:
        return "executed, nothing to compare"
    return "near" if "near" in found else "equal"


def report(lines: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown."""
    yield f"{len(lines)} streams\n\n| outcome | streams |\n|---|---|"
    for name, count in Counter(map(verdict, lines)).most_common():
        yield f"| {name} | {count} |"
    for what, key in (("Parsing the text", "parse_ms"), ("Reading it, with recognition", "read_ms")):
        times = sorted(line[key] for line in lines if key in line)
        if times:
            middle, high = times[len(times) // 2], times[int(0.95 * (len(times) - 1))]
            yield f"\n{what}: median {middle:.1f} ms, 95 % below {high:.1f} ms, longest {times[-1]:.1f} ms (processor)"
    with_list = [line for line in lines if line.get("listed")]
    same = sum(all(line["counts"][k] == n for k, n in line["listed"].items()) for line in with_list)
    yield f"\nRecords, observations and subjects as in the .lst: {same} of {len(with_list)}"
    kinds: dict[str, Counter[str]] = {}
    for line in lines:
        if not line.get("other_data"):
            for name, entry in line.get("columns", {}).items():
                kinds.setdefault(name if name in ("PRED", "IPRED", *RESIDUALS) else "other", Counter())[entry[0]] += 1
    yield "\n| column | equal | equal where known | near | wrong | missing |\n|---|---|---|---|---|---|"
    for name, c in sorted(kinds.items()):
        yield f"| {name} | {c['equal']} | {c['equal where known']} | {c['near']} | {c['wrong']} | {c['missing']} |"
    for status in ("refused", "data"):
        reasons = Counter(re.sub(r"\d+", "n", li.get("message", "")) for li in lines if li["status"] == status)
        yield f"\n| {status} | streams |\n|---|---|"
        yield from (f"| {reason} | {count} |" for reason, count in reasons.most_common())
    yield "\n"
    for line in lines:
        word = verdict(line)
        if word in ("wrong", "traceback", "crash", "time"):
            entries = {k: v for k, v in line.get("columns", {}).items() if v[0] == "wrong"}
            yield f"* {word} {line['stream']} {line.get('message', '')} {line.get('counts')} {line.get('listed')}"
            yield from (f"    * {name}: {entry}" for name, entry in entries.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, help="also one JSON line for each stream")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for one stream")
    parser.add_argument("--similar", type=int, default=3, help="streams that differ in numbers only")
    arguments = parser.parse_args()
    lines = []
    out = arguments.out.open("w") if arguments.out else None
    for line in run_all(chosen(streams(arguments.paths), arguments.similar), arguments.workers, arguments.limit):
        lines.append(line)
        if out is not None:
            print(json.dumps(line), file=out, flush=True)
    if out is not None:
        out.close()
    print("\n".join(report(lines)))


if __name__ == "__main__":
    main()
