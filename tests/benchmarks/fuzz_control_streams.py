"""Control streams changed at random: whatever the text, it is read or refused, quickly.

    python -m tests.benchmarks.fuzz_control_streams [FOLDER ...] [--seconds 600] [--seed 1] [--out found]

Takes the syntax fixtures and every control stream below the folders, changes tokens, lines, numbers and bytes, puts in
records of other streams and words of their vocabulary, and reads the result. A defect is any exception that is not one
of ours, more than 2 s of the processor, or a model that `nlmevae select` would write so that it reads back as another
one (it writes the user's text with effects in it; without effects, the text itself). Data files beside a stream are
changed, too. One line for each kind of defect; --out keeps the texts.
"""

from __future__ import annotations

import argparse
import re
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlmevae.errors import NlmevaeError
from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.ir import Candidate, CandidateColumn, Model
from nlmevae.pipeline import prepare, with_data
from nlmevae.writers.selected_control_stream import SelectedEffect, selected_control_stream
from tests.helpers.control_streams import ACCEPTED, REJECTED

LIMIT = 2.0
_TOKEN = re.compile(r"[ \t]+|\r?\n|\w+|.", re.DOTALL)
_NUMBER = re.compile(r"\d+\.?\d*(?:[EeDd][+-]?\d+)?")
_RECORD = re.compile(r"(?=^[ \t]*\$[A-Za-z])", re.M)
NUMBERS = ("0", "1", "-1", "1E400", "1D-300", "99999999999999999999", "1.5.2", "00", "0x1F", "NaN", "1E", ".", "-0")
BYTES = (
    "\x00",
    "\t",
    "\r",
    "\x0c",
    "&",
    "'",
    '"',
    "(",
    ")",
    ";",
    "$",
    "=",
    ",",
    "é",
    "\udcff",
    "\u2028",
    "@",
    "\x1a",
    "**",
)


class SlowError(Exception):
    """Reading took more than `LIMIT` seconds of the processor."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Texts, records of all of them, and their words."""

    texts: tuple[str, ...]
    records: tuple[str, ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Corpus:
        texts = tuple(path.read_bytes().decode("utf-8", "surrogateescape") for path in paths)
        records = sorted({part for text in texts for part in _RECORD.split(text) if part.lstrip().startswith("$")})
        words = sorted({word for text in texts for word in re.findall(r"[\w.$]+", text)})
        return cls(texts=texts, records=tuple(records), words=tuple(words))


def fixture_corpus() -> Corpus:
    return Corpus.of([*ACCEPTED, *REJECTED])


def mutant(corpus: Corpus, rng: np.random.Generator) -> str:
    """One text with one to four changes."""
    text = corpus.texts[rng.integers(len(corpus.texts))]
    for _ in range(rng.integers(1, 5)):
        text = CHANGES[rng.integers(len(CHANGES))](text, corpus, rng)
    return text


def _tokens(text: str, corpus: Corpus, rng: np.random.Generator) -> str:
    """Delete, repeat, swap or replace a token."""
    tokens = _TOKEN.findall(text)
    if len(tokens) < 2:
        return text
    i, j = rng.integers(len(tokens), size=2)
    match rng.integers(4):
        case 0:
            del tokens[i]
        case 1:
            tokens.insert(i, tokens[i])
        case 2:
            tokens[i], tokens[j] = tokens[j], tokens[i]
        case _:
            tokens[i] = corpus.words[rng.integers(len(corpus.words))]
    return "".join(tokens)


def _lines(text: str, corpus: Corpus, rng: np.random.Generator) -> str:
    """Delete, repeat, swap or join lines."""
    lines = text.split("\n")
    i, j = rng.integers(len(lines), size=2)
    match rng.integers(4):
        case 0:
            del lines[i]
        case 1:
            lines.insert(j, lines[i])
        case 2:
            lines[i], lines[j] = lines[j], lines[i]
        case _:
            lines[i : i + 2] = [" ".join(lines[i : i + 2])]
    return "\n".join(lines)


def _numbers(text: str, corpus: Corpus, rng: np.random.Generator) -> str:
    found = list(_NUMBER.finditer(text))
    if not found:
        return text
    match = found[rng.integers(len(found))]
    new = NUMBERS[rng.integers(len(NUMBERS))] if rng.random() < 0.5 else str(rng.integers(0, 12))
    return text[: match.start()] + new + text[match.end() :]


def _cut(text: str, corpus: Corpus, rng: np.random.Generator) -> str:
    return text[: rng.integers(len(text) + 1)]


def _insert(text: str, corpus: Corpus, rng: np.random.Generator) -> str:
    i = rng.integers(len(text) + 1)
    return text[:i] + BYTES[rng.integers(len(BYTES))] + text[i:]


def _records(text: str, corpus: Corpus, rng: np.random.Generator) -> str:
    """Put in a record of another stream, in place of one or beside it."""
    parts = _RECORD.split(text)
    i = rng.integers(len(parts))
    new = corpus.records[rng.integers(len(corpus.records))]
    parts[i : i + rng.integers(2)] = [new if new.endswith("\n") else new + "\n"]
    return "".join(parts)


CHANGES: tuple[Callable[[str, Corpus, np.random.Generator], str], ...] = (
    _tokens, _tokens, _tokens, _lines, _lines, _numbers, _numbers, _insert, _records, _records, _cut,
)  # fmt: skip


def defect(text: str, data: Path | None = None, *, write: bool = True) -> str:
    """What is wrong with how `text` is read, "" if nothing."""
    try:
        with time_limit(LIMIT):
            model = parse_control_stream(text, "mutant.ctl")
            if write:
                wrong = written_back(model)
                if wrong:
                    return wrong
            if data is not None:
                prepare(with_data(model, data))
    except NlmevaeError as error:
        return "" if error.hint else f"no hint: {error.message}"
    except SlowError:
        return "over 2 s: " + last_place(traceback.format_exc())
    except Exception as error:
        return f"{type(error).__name__}: {last_place(traceback.format_exc())}"
    return ""


def last_place(text: str) -> str:
    """The innermost line of our own code."""
    places = [line.strip() for line in text.splitlines() if "/nlmevae/" in line and line.lstrip().startswith("File")]
    return re.sub(r'File ".*/nlmevae/', "", places[-1]).replace('"', "") if places else text.strip()[-100:]


class time_limit:  # noqa: N801 - a context manager
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        signal.signal(signal.SIGPROF, self._late)
        signal.setitimer(signal.ITIMER_PROF, self.seconds)

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.0)

    @staticmethod
    def _late(number: int, frame: object) -> None:
        raise SlowError


def written_back(model: Model) -> str:
    """ "" if what is written without effects is the text, and with an effect reads back (which the writer checks)."""
    if selected_control_stream(model, []).text != model.source.text:
        return "written without effects: another text"
    covariate = next((c.name for c in model.data.columns if c.role == "covariate"), None)
    if not model.individual_parameters or covariate is None:
        return ""
    name = model.individual_parameters[0].name
    column = CandidateColumn(name=f"{name}_{covariate}", shape="linear", centre=1.0)
    candidate = Candidate(
        name=f"{name}~{covariate}", parameter=name, covariate=covariate, form="exponential", columns=(column,)
    )
    written = selected_control_stream(model, [SelectedEffect(candidate=candidate, beta=(0.25,))])
    again = parse_control_stream(written.text, "mutant.ctl")
    kept = again.omega == model.omega and again.sigma == model.sigma and again.data == model.data
    return "" if kept and len(again.thetas) == len(model.thetas) + 1 else "written with an effect: another model"


def mutant_data(path: Path, rng: np.random.Generator, folder: Path) -> Path:
    """The data file with a few changes, in `folder`."""
    empty = Corpus(texts=(), records=("$X\n",), words=("1", ".", "A", "-99", "1E5", "12:30"))
    text = path.read_bytes().decode("latin-1")
    for _ in range(rng.integers(1, 4)):
        text = (_tokens, _lines, _numbers, _insert)[rng.integers(4)](text, empty, rng)
    new = folder / "mutant.csv"
    new.write_bytes(text.encode("utf-8", "replace"))
    return new


def found_defects(
    corpus: Corpus, rng: np.random.Generator, count: int | None, seconds: float
) -> Iterator[tuple[str, str]]:
    """(defect, text) of `count` mutants or `seconds`; writing back is tried on some of them."""
    end, k = time.monotonic() + seconds, 0
    while (count is None or k < count) and time.monotonic() < end:
        k += 1
        text = mutant(corpus, rng)
        wrong = defect(text, write=k % 3 == 0)
        if wrong:
            yield wrong, text


def found_in_data(pairs: list[tuple[str, Path]], rng: np.random.Generator, seconds: float) -> Iterator[tuple[str, str]]:
    """(defect, data text): streams that are right, with changed data."""
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        while pairs and time.monotonic() < end:
            text, path = pairs[rng.integers(len(pairs))]
            data = mutant_data(path, rng, Path(folder))
            wrong = defect(text, data, write=False)
            if wrong:
                yield f"data: {wrong}", f"{path}\n{data.read_bytes().decode('utf-8', 'replace')}"


def with_small_data(paths: Iterable[Path], most: int = 100_000) -> list[tuple[str, Path]]:
    """Streams that are read, with the data file that they name."""
    pairs = []
    for path in paths:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        try:
            data = path.parent / parse_control_stream(text).data.path
            if data.is_file() and data.stat().st_size < most:
                pairs.append((text, data))
        except NlmevaeError:
            continue
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    streams = [p for f in arguments.folders for p in sorted(f.rglob("*")) if p.suffix.lower() in (".ctl", ".mod")]
    streams = [p for p in streams if p.is_file() and p.stat().st_size < 20_000]
    corpus = Corpus.of([*ACCEPTED, *REJECTED, *streams])
    rng = np.random.default_rng(arguments.seed)
    pairs = with_small_data(streams)
    kinds: Counter[str] = Counter()
    share = 0.25 if pairs else 0.0
    for wrong, text in [
        *found_defects(corpus, rng, None, (1.0 - share) * arguments.seconds),
        *found_in_data(pairs, rng, share * arguments.seconds),
    ]:
        kinds[wrong] += 1
        if arguments.out and kinds[wrong] == 1:
            arguments.out.mkdir(parents=True, exist_ok=True)
            name = f"{len(kinds):03d}.txt"
            (arguments.out / name).write_bytes(f"{wrong}\n{text}".encode("utf-8", "surrogateescape"))
    for wrong, count in kinds.most_common():
        print(f"{count:6d} {wrong}")
    print(f"{sum(kinds.values())} defects of {len(kinds)} kinds")


if __name__ == "__main__":
    main()
