"""Monolix projects with Monolix's results against ours: what is read, executed, equal, refused.

    python -m tests.benchmarks.mlxtran_projects PATH [PATH ...] [--out lines.jsonl] [--workers 2] > report.md

PATH is a project or a folder; below a folder every ``.mlxtran`` is taken, equal texts once. A data file or model file
that is not where the project says is looked for by its name below the folder.

Of each project: *parsed* (the text has a meaning), *resolved* (a model of it: programs, random effects, recognised
residual errors), *executable* (its data are read and it predicts); times of both readings. Where a results folder is
there (exportpath, the project's name, or around a copy in ``.Internals``), our predictions at the printed individual
modes against ``indivPred_mode``: the largest relative difference, of values above a hundredth of the largest. SAEM
and mean columns belong to other points and are not compared. Every project runs in a process that is ended after
--limit seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.control_streams import _files, data_elsewhere, run_all

#: Relative: what six printed digits of parameters and predictions leave open, and what integration tolerances explain.
EQUAL, NEAR = 1e-3, 1e-2


def projects(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """(project, folder in which its files may be looked for); of equal texts that with results, else the first."""
    found: dict[str, tuple[Path, Path]] = {}
    for path in paths:
        below = [path] if path.is_file() else sorted(path.rglob("*.mlxtran"))
        for project in below:
            folder = path.parent if path.is_file() else path / project.relative_to(path).parts[0]
            digest = hashlib.sha256(b"".join(project.read_bytes().split())).hexdigest()
            known = found.get(digest)
            if known is None or (results_of(known[0]) is None and results_of(project) is not None):
                found[digest] = (project, folder if folder.is_dir() else path)
    return list(found.values())


def results_of(project: Path) -> Path | None:
    """The results folder beside a project."""
    stated = re.search(r"^\s*exportpath\s*=\s*['\"]([^'\"]+)['\"]", project.read_bytes().decode("latin-1"), re.M | re.I)
    export = stated[1] if stated else ""
    stems = [Path(export.replace("\\", "/")).name] if export else []
    stems += [project.stem, project.stem.removesuffix("_project"), "RESULTS", "Monolix"]
    candidates = [project.parent / export.replace("\\", "/")] if export else []
    if project.parent.name == ".Internals":
        candidates.append(project.parent.parent)
    candidates += [project.parent / stem for stem in stems]
    return next((c for c in candidates if (c / "populationParameters.txt").is_file()), None)


def examined(path: Path, folder: Path) -> dict[str, Any]:
    """The line of one project; never raises but for what ends a process."""
    from nlmevae.errors import NlmevaeError

    line: dict[str, Any] = {"project": str(path), "status": "text"}
    with tempfile.TemporaryDirectory() as scratch:
        try:
            _examine(line, path, folder, Path(scratch))
        except NlmevaeError as error:
            line["message"] = error.message
            line["where"] = str(error.location) if error.location else ""
        except Exception:
            line["status"] = "traceback"
            line["message"] = traceback.format_exc(limit=-4)
    return line


def _examine(line: dict[str, Any], path: Path, folder: Path, scratch: Path) -> None:
    from nlmevae.errors import NlmevaeError
    from nlmevae.frontends.monolix.lower import lower_project
    from nlmevae.frontends.monolix.read import read_project
    from nlmevae.frontends.recognition import recognise

    path = _with_model_file(path, folder, scratch, line)
    began = time.process_time()
    project = read_project(path)
    line["parse_ms"], line["status"] = 1000.0 * (time.process_time() - began), "parsed"
    data = data_elsewhere(path, folder, project.data.path)
    line["other_data"] = data is not None
    results = results_of(Path(line["project"]))
    line["results"] = None if results is None else str(results)
    refusal = None
    try:
        began = time.process_time()
        model = recognise(lower_project(project))
        line["read_ms"], line["status"] = 1000.0 * (time.process_time() - began), "resolved"
        _execute(line, model, data)
    except NlmevaeError as error:
        refusal = error
    if results is not None:
        try:
            _compare(line, project, results, data)
        except NlmevaeError as error:
            line["not_compared"] = error.message
        except AssertionError:
            line["not_compared"] = "no modes are printed"
        except KeyError as error:
            line["not_compared"] = f"no printed {error}"
    if refusal is not None:
        raise refusal


def _with_model_file(path: Path, folder: Path, scratch: Path, line: dict[str, Any]) -> Path:
    """The project, or a copy beside its model file where that is elsewhere below `folder`."""
    text = path.read_bytes().decode("utf-8", errors="replace")
    model = text[text.find("<MODEL>") :]
    named = re.search(r"^\s*file\s*=\s*['\"]([^'\"]+)['\"]", model, re.M)
    if named is None or named[1].startswith("lib:"):
        return path
    written = Path(named[1].replace("\\", "/"))
    if (path.parent / written).is_file() or (path.parent / written.name).is_file():
        return path
    parents = set(path.parents)
    others = _files(folder).get(written.name.lower(), [])
    other = min(others, key=lambda p: (len(set(p.parents) ^ parents), str(p)), default=None)
    if other is None:
        return path
    line["other_model"] = str(other)
    shutil.copy(path, scratch)
    shutil.copy(other, scratch / written.name)
    return scratch / path.name


def _execute(line: dict[str, Any], model: Any, data: Path | None) -> None:
    """Data read, and the share of finite predictions of the typical subjects."""
    import numpy as np

    from nlmevae import pipeline
    from nlmevae.diagnostics.fitted import population_at, problem_at

    run = pipeline.prepare(model, data=data)
    line["counts"] = {"subjects": run.dataset.n_subjects, "observations": run.table.n_obs_total}
    began = time.perf_counter()
    problem = problem_at(run.model, run.table, None)
    try:
        joint = problem.joint(population_at(run.model, None))
        prediction = joint.predict(joint.mean)
    finally:
        problem.decoder.close()
    line["status"], line["predict_s"] = "executable", time.perf_counter() - began
    line["finite"] = float(np.isfinite(prediction).mean()) if prediction.size else 1.0


def _compare(line: dict[str, Any], project: Any, results: Path, data: Path | None) -> None:
    from tests.helpers.printed_modes import differences

    line["modes"] = {
        name: {"largest": d.largest, "share": d.share, "n": d.n, "where": d.where or d.reason}
        for name, d in differences(project, results, data=data).items()
    }


def verdict(line: dict[str, Any]) -> str:
    """One word for the comparison with Monolix's predictions."""
    if "modes" not in line:
        return "not compared" if line.get("results") else "no results"
    largest = [m["largest"] for m in line["modes"].values() if not math.isnan(m["largest"])]
    if not largest:
        return "not compared"
    return "equal" if max(largest) < EQUAL else "near" if max(largest) < NEAR else "different"


def warm_up() -> None:
    """Imports and the tables of the grammar are no part of the time of reading."""
    from nlmevae.frontends.monolix.lower import lower_project
    from nlmevae.frontends.recognition import recognise
    from tests.helpers.monolix_projects import project

    recognise(lower_project(project()))


def report(lines: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown."""
    yield f"{len(lines)} projects\n\n| how far | projects |\n|---|---|"
    for name, count in Counter(line["status"] for line in lines).most_common():
        yield f"| {name} | {count} |"
    for what, key in (("Reading the text", "parse_ms"), ("Its model, with recognition", "read_ms")):
        times = sorted(line[key] for line in lines if key in line)
        if times:
            middle, high = times[len(times) // 2], times[int(0.95 * (len(times) - 1))]
            yield f"\n{what}: median {middle:.1f} ms, 95 % below {high:.1f} ms, longest {times[-1]:.1f} ms (processor)"
    yield "\n| predictions at printed modes | projects |\n|---|---|"
    for name, count in Counter(map(verdict, lines)).most_common():
        yield f"| {name} | {count} |"
    yield "\n| project | outcome | largest relative difference | beyond 1e-3 | values | where |"
    yield "|---|---|---|---|---|---|"
    for line in lines:
        for name, m in line.get("modes", {}).items():
            where = m["where"].replace("|", "/")
            yield f"| {_short(line)} | {name} | {m['largest']:.1e} | {m['share']:.3f} | {m['n']} | {where} |"
    yield "\n| not compared | reason |\n|---|---|"
    for line in lines:
        if "not_compared" in line or (line.get("results") and "modes" not in line):
            yield f"| {_short(line)} | {line.get('not_compared') or line.get('message', '')} |"
    reasons = Counter((line["status"], line["message"]) for line in lines if line.get("message"))
    yield "\n| stopped after | reason | projects |\n|---|---|---|"
    yield from (f"| {status} | {reason} | {count} |" for (status, reason), count in reasons.most_common())


def _short(line: dict[str, Any]) -> str:
    return "/".join(Path(line["project"]).parts[-3:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, help="also one JSON line for each project")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=float, default=180.0, help="seconds for one project")
    arguments = parser.parse_args()
    lines = []
    out = arguments.out.open("w") if arguments.out else None
    for found in run_all(projects(arguments.paths), arguments.workers, arguments.limit, examined, warm_up):
        line = {"project": found.pop("stream"), **found} if "stream" in found else found  # one that was ended
        lines.append(line)
        if out is not None:
            print(json.dumps(line), file=out, flush=True)
    if out is not None:
        out.close()
    print("\n".join(report(sorted(lines, key=lambda line: line["project"]))))


if __name__ == "__main__":
    main()
