"""Golden conversions: a model, and in one text beside it everything that converting it gives.

`fixtures/translate/golden/nonmem/x.ctl` and `x.expected` are a pair; so are `mlxtran/x.mlxtran` and `x.expected`. The
expected text has the exit code, the report, how the models differ as they are read, what converting back gives, and the
written files. A difference between the two models is named there, never silent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nlmevae.errors import NlmevaeError
from nlmevae.ir import Model, Transform
from nlmevae.pipeline import read_model
from nlmevae_translators import Conversion, convert
from tests.helpers.equal_models import differences

FOLDER = Path(__file__).parents[2] / "fixtures" / "translate" / "golden"
#: Folder of the sources -> ending, and the language they are converted to.
LANGUAGES = {"nonmem": (".ctl", "mlxtran"), "mlxtran": (".mlxtran", "nonmem")}
#: Numbers of the proof are rounding, which differs between machines.
_ROUNDING = re.compile(r"; largest relative difference .*")


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and its expected text. `name`: "nonmem/x"."""

    name: str

    @property
    def language(self) -> str:
        return self.name.split("/")[0]

    @property
    def to(self) -> str:
        return LANGUAGES[self.language][1]

    @property
    def source(self) -> Path:
        return FOLDER / f"{self.name}{LANGUAGES[self.language][0]}"

    @property
    def expected(self) -> Path:
        return FOLDER / f"{self.name}.expected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What converting a pair's source gives: the whole text, and what tests ask of it."""

    text: str
    exit_code: int
    kinds: frozenset[str]
    proven: bool
    stable: bool


def pairs() -> list[Pair]:
    """Every source in the folder."""
    return [
        Pair(f"{language}/{path.stem}")
        for language, (ending, _) in LANGUAGES.items()
        for path in sorted((FOLDER / language).glob(f"*{ending}"))
    ]


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Reports then have names of files without folders."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def outcome(pair: Pair, folder: Path) -> Outcome:
    """Convert the source, write it into `folder`, convert that back and forth again."""
    with _inside(pair.source.parent):
        try:
            source = read_model(pair.source.name)
            conversion = convert(source, to=pair.to)
        except NlmevaeError as error:
            return Outcome(f"exit code: 2\n\n== error\n{error}\n", 2, frozenset({"refused"}), False, True)
        report = conversion.report
        parts = [f"exit code: {report.exit_code}\n", f"== report\n{_ROUNDING.sub('', report.text)}\n"]
        kinds = frozenset(entry.kind for entry in report.entries)
        if not conversion.files:
            return Outcome("\n".join(parts), report.exit_code, kinds, False, True)
    there = _written(conversion, folder / "there")
    with _inside(there.parent):
        middle = read_model(there.name)
    parts.append(f"== differences as read\n{_differences(source, middle)}\n")
    back, stable = _back(pair, there, middle, conversion, folder)
    parts.append(f"== converted back\n{back}\n")
    parts += [f"== {name}\n{text}" for name, text in conversion.files.items()]
    proven = report.proof is not None and report.proof.holds
    return Outcome("\n".join(parts), report.exit_code, kinds, proven, stable)


def _written(conversion: Conversion, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, text in conversion.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / conversion.main


def _back(pair: Pair, there: Path, middle: Model, first: Conversion, folder: Path) -> tuple[str, bool]:
    """What became of the written files when converted back and forth again, and whether all is as it was."""
    with _inside(there.parent):
        back = convert(middle, to="nonmem" if pair.to == "mlxtran" else "mlxtran")
    if not back.files:
        return back.report.text, False
    home = _written(back, folder / "back")
    same = back.report.proof is not None and back.report.proof.holds
    lines = [f"proof: {'the same' if same else 'NOT the same'}"]
    final = read_model(home)
    lines.append(f"as read: {_differences(middle, final)}")
    again = convert(final, to=pair.to, proof=False)
    changed = sorted(name for name in {*first.files, *again.files} if first.files.get(name) != again.files.get(name))
    lines.append(f"and forth again: {'the same texts' if not changed else 'other texts: ' + ', '.join(changed)}")
    if changed and again.files:
        _written(again, folder / "again")
    return "\n".join(lines), same and not changed


def _differences(one: Model, two: Model) -> str:
    """By labels; "none" where the models are one."""
    found = differences(*map(_plain, (one, two)))
    return "none" if not found else "".join(f"\n  {what}: {_words(x)} | {_words(y)}" for what, x, y in found)


def _words(value: object) -> str:
    """Short, and the same in every run: sets in order."""
    match value:
        case None:
            return "-"
        case frozenset():
            return "{" + ", ".join(sorted(map(_words, value))) + "}"
        case tuple():
            return "(" + ", ".join(map(_words, value)) + ")"
        case Transform():
            return value.kind if value.kind != "logit" else f"logit({value.lower:g}, {value.upper:g})"
        case float():
            return f"{value:.6g}"
    return str(value)


def _plain(model: Model) -> Model:
    """Labels in small letters; censoring stands in code or in columns, and the proof compares it."""
    thetas = [replace(t, label=t.label.lower()) for t in model.thetas]
    omega = [replace(b, labels=tuple(label.lower() for label in b.labels or b.names)) for b in model.omega]
    outcomes = [replace(o, censoring=()) for o in model.observations]
    effects = [replace(e, covariate=e.covariate.upper()) for e in model.covariate_effects]
    return replace(
        model, thetas=tuple(thetas), omega=tuple(omega), observations=tuple(outcomes), covariate_effects=tuple(effects)
    )
