"""Control streams, projects, model files and data changed at random, through `nlmevae convert` both ways.

    python -m tests.benchmarks.fuzz_conversions [--seconds 600] [--seed 1] [--out found]

Takes the syntax fixtures (with made-up data), the fixtures with data and the twins, changes one to three tokens, lines,
numbers, bytes or sections of one of their files, and converts. A defect is an exception that is not one of ours or has
no hint, more than `LIMIT` seconds of the processor, a conversion whose proof fails (the command writes nothing then,
but the translator said it could), files where something is refused, or a report that cannot be printed. One line for
each kind of defect; --out keeps the files.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nlmevae.diagnostics.fitted import population_at, problem_at
from nlmevae.errors import NlmevaeError
from nlmevae.frontends.monolix.read import read_project
from nlmevae.pipeline import prepare, read_model
from nlmevae_translators.convert import convert
from nlmevae_translators.report import Conversion
from tests.benchmarks.fuzz_control_streams import (
    Corpus,
    SlowError,
    _insert,
    _lines,
    _numbers,
    _records,
    _tokens,
    last_place,
    time_limit,
)
from tests.helpers.control_streams import ACCEPTED as STREAMS
from tests.helpers.made_up_data import made_up_data
from tests.helpers.made_up_project_data import made_up_project_data
from tests.helpers.monolix_projects import ACCEPTED as PROJECTS

FIXTURES = Path(__file__).parents[2] / "fixtures"
#: Seconds of the processor for reading, writing, reading again and two proofs.
LIMIT = 60.0
_SECTION = re.compile(r"(?=^[ \t]*(?:[<\[]|[A-Z]+:))", re.M)
Change = Callable[[str, Corpus, np.random.Generator], str]


def _sections(text: str, corpus: Corpus, rng: np.random.Generator) -> str:
    """Delete, repeat or move a section of a project, or put in one of another."""
    parts = _SECTION.split(text)
    i, j = rng.integers(len(parts), size=2)
    match rng.integers(4):
        case 0:
            del parts[i]
        case 1:
            parts.insert(j, parts[i])
        case 2:
            parts[i], parts[j] = parts[j], parts[i]
        case _:
            parts[i] = corpus.records[rng.integers(len(corpus.records))]
    return "".join(parts)


STREAM_CHANGES: tuple[Change, ...] = (_tokens, _tokens, _tokens, _lines, _numbers, _numbers, _insert, _records)
PROJECT_CHANGES: tuple[Change, ...] = (_tokens, _tokens, _tokens, _lines, _numbers, _numbers, _insert, _sections)
DATA_CHANGES: tuple[Change, ...] = (_tokens, _lines, _lines, _numbers, _numbers)
_DATA_WORDS = Corpus(texts=(), records=("",), words=("1", ".", "2", "0", "-2", "12", "1E5", "4"))


@dataclass(frozen=True, slots=True)
class Source:
    """Files (name -> text) of one model; `main` is converted to the language `to`."""

    main: str
    to: str
    files: dict[str, str]

    def mutant(self, corpus: Corpus, rng: np.random.Generator) -> Source:
        """With one to three changes, of the data one time in four."""
        data = [name for name in self.files if name.endswith((".csv", ".dat"))]
        texts = [name for name in self.files if name not in data]
        of_data = bool(data) and rng.random() < 0.25
        name = (data if of_data else texts)[rng.integers(len(data if of_data else texts))]
        changes = DATA_CHANGES if of_data else STREAM_CHANGES if self.to == "mlxtran" else PROJECT_CHANGES
        text = self.files[name]
        for _ in range(rng.integers(1, 4)):
            text = changes[rng.integers(len(changes))](text, _DATA_WORDS if of_data else corpus, rng)
        return replace(self, files={**self.files, name: text})


def sources(folder: Path) -> list[Source]:
    """All that are executable, with data."""
    found = [source for path in STREAMS if (source := _of_stream(path, folder)) is not None]
    found += [source for path in PROJECTS if (source := _of_project(path, folder)) is not None]
    for path in (*FIXTURES.glob("translate/*/run.ctl"), *FIXTURES.glob("twins/*/run.ctl")):
        found.append(_with_neighbours(path, "mlxtran"))
    return found + [_with_neighbours(p, "nonmem") for p in FIXTURES.glob("twins/*/project.mlxtran")]


def _of_stream(path: Path, folder: Path) -> Source | None:
    try:
        model = read_model(path)
        data = made_up_data(model, folder / "made_up.csv").read_text()
    except NlmevaeError:
        return None
    name = Path(model.data.path.replace("\\", "/")).name
    if not name.endswith(".csv"):
        return None
    return Source(path.name, "mlxtran", {path.name: _text(path), name: data})


def _of_project(path: Path, folder: Path) -> Source | None:
    try:
        data = made_up_project_data(read_project(path), folder)
    except NlmevaeError:
        return None
    named = {p.name: _text(p) for p in path.parent.glob("*.txt") if p.name in _text(path)}
    return Source(path.name, "nonmem", {path.name: _text(path), **named, data.name: data.read_text()})


def _with_neighbours(path: Path, to: str) -> Source:
    files = {p.name: _text(p) for p in path.parent.iterdir() if p.suffix in (".csv", ".txt", path.suffix)}
    return Source(path.name, to, files)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def tried(source: Source, folder: Path) -> tuple[str, str]:
    """What is wrong with the conversion, "" if nothing; and how it ended."""
    for name, text in source.files.items():
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    try:
        with time_limit(LIMIT), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            conversion = convert(folder / source.main, to=source.to, out=folder / "out")
            wrong = _wrong_report(conversion)
            # at the draws of the proof, or already at typical values
            without_values = "the model that is converted is not executed" in wrong
            if wrong.startswith("proof failed") and (without_values or not _executable(folder / source.main)):
                return "", "not executable"
            return wrong, "converted" if conversion.files else "refused"
    except NlmevaeError as error:
        return "" if error.hint else f"no hint: {error.message}", "not read"
    except SlowError:
        return f"over {LIMIT:g} s: " + last_place(traceback.format_exc()), "late"
    except Exception as error:
        return f"{type(error).__name__}: {last_place(traceback.format_exc())}", "traceback"


def _wrong_report(conversion: Conversion) -> str:
    report = conversion.report
    code = 2 if report.of("refused") or report.failed else 1 if report.of("lossy") else 0
    if report.exit_code != code or json.loads(report.json)["exit_code"] != code:
        return "the exit code is not that of the entries"
    if (code == 2) == bool(conversion.files):
        return "files are written although something is refused, or none although nothing is"
    if report.failed and any("at a prediction of 0" in entry.reason for entry in report.of("lossy")):
        return ""  # the report says why densities differ where a prediction is 0
    if report.failed:
        return "proof failed: " + re.sub(r"[\d.]+", "n", report.proof.sentence)
    if report.proof is not None and report.proof.sentence.startswith("there are no data"):
        return ""  # the name of the data file was changed
    if not report.of("refused") and (report.proof is None or not report.proof.done):
        return "proof not made: " + ("none" if report.proof is None else report.proof.sentence)
    return "" if report.text and all(entry.reason for entry in report.entries) else "an entry without a reason"


def _executable(path: Path) -> bool:
    """The model that is converted has values for all subjects at its initial estimates."""
    run = prepare(path)
    try:
        problem = problem_at(run.model, run.table, None)
        joint = problem.joint(population_at(run.model, None))
        prediction = joint.predict(joint.mean)
        problem.decoder.close()
    except NlmevaeError:
        return False
    return bool(np.isfinite(prediction).all())


def mutants_tried(seconds: float, seed: int) -> Iterator[tuple[str, str, Source]]:
    """(defect or "", how it ended, files) of mutants for `seconds`."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as scratch:
        every = sources(Path(scratch))
        corpora = {
            "mlxtran": Corpus.of([*STREAMS]),
            "nonmem": replace(Corpus.of([*PROJECTS]), records=_all_sections(every)),
        }
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            mutant = every[rng.integers(len(every))]
            mutant = mutant.mutant(corpora[mutant.to], rng)
            folder = Path(tempfile.mkdtemp(dir=scratch))
            yield *tried(mutant, folder), mutant
            shutil.rmtree(folder)


def _all_sections(every: list[Source]) -> tuple[str, ...]:
    texts = [s.files[s.main] for s in every if s.to == "nonmem"]
    return tuple(sorted({part for text in texts for part in _SECTION.split(text) if part.strip()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    kinds: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for wrong, how, source in mutants_tried(arguments.seconds, arguments.seed):
        ends[how] += 1
        kinds[wrong] += bool(wrong)
        if wrong and arguments.out and kinds[wrong] == 1:
            folder = arguments.out / f"{len(+kinds):03d}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "DEFECT").write_text(f"{wrong}\n{source.main} --to {source.to}\n")
            for name, text in source.files.items():
                (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    for wrong, n in (+kinds).most_common():
        print(f"{n:6d} {wrong}")
    print(f"{sum(kinds.values())} defects of {len(+kinds)} kinds in {sum(ends.values())} conversions: {dict(ends)}")


if __name__ == "__main__":
    main()
