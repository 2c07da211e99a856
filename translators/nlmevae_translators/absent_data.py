"""A model whose data file is not there: what its text says of the data, and what is taken for the rest.

Everything that is written depends on the data by few questions only: which compartments doses enter and how, which
outcomes there are, which items are categories. Records that answer them as the text does stand in for the file; they
are forgotten when the texts are written. What the text does not say is named as not known.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nlmevae.data.dataset import Dataset
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.errors import DataError, Location
from nlmevae.ir import Model
from nlmevae.prepared_run import PreparedRun
from nlmevae_translators.report import Entry, Proof

NOT_KNOWN = "not known without data: "


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """Records in place of a data file.

    Attributes:
        lines: of a file in the columns the model names, without a header for a control stream.
        taken: what they take for granted: (construct, sentence).
    """

    lines: Sequence[str]
    taken: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsentData:
    """`path` is not there; `run` has the records that stand in for it."""

    path: Path
    run: PreparedRun
    entries: tuple[Entry, ...]

    def proof(self, made: Proof | None) -> Proof:
        """`made`: at the records that stand in for the data, which shows that the texts agree but proves nothing of the
        data; where they do not agree it is what is reported."""
        sentence = f"there are no data to compare predictions of: {self.path} does not exist"
        if made is None:
            return Proof(sentence=sentence)
        if not made.holds:
            return made
        return Proof(sentence=f"{sentence}. At records made up from the text the two predict the same")


def missing_file(model: Model) -> Path | None:
    """The data file the model names, where there is none."""
    folder = Path(model.source.path).parent
    written = model.data.path.strip("'\"")
    if model.data.monolix is None:
        places = [folder / Path(written).expanduser()]
    else:  # projects get moved, see data.monolix_file
        written = written.replace("\\", "/")
        places = [folder / Path(written).expanduser(), folder / Path(written).name]
    return None if any(place.exists() for place in places) else places[0]


def without_data(model: Model, path: Path) -> AbsentData:
    """
    Raises:
        DataError: no records could be found that the model's code takes.
    """
    from nlmevae_translators.stand_in_lines import stand_in_lines
    from nlmevae_translators.stand_in_records import stand_in_records

    made = stand_in_records(model) if model.data.monolix is None else stand_in_lines(model)
    try:
        dataset = _read(model, made.lines)
        run = PreparedRun(model=model, dataset=dataset, table=event_table(model, dataset), diagnostics=())
    except DataError as error:
        raise DataError(
            f"data file not found: {path}, and without it the model's code cannot be followed: {error.message}",
            hint="correct the path of the data file, or give one with --data",
            location=model.data.at,
        ) from error
    return AbsentData(path=path, run=run, entries=tuple(_entry(*taken, model.data.at) for taken in made.taken))


def _entry(construct: str, sentence: str, at: Location | None) -> Entry:
    return Entry(construct=construct, kind="lossy", reason=NOT_KNOWN + sentence, source=at)


def _read(model: Model, lines: Sequence[str]) -> Dataset:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stand_in.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        spec = replace(model.data, path=str(path), ignore=(), accept=(), records=None, ignore_character=None)
        if spec.monolix is not None:
            spec = replace(spec, monolix=replace(spec.monolix, delimiter=","))
        return read_dataset(replace(model, data=spec))


def occasions_entry(error: DataError) -> Entry:
    """Of a project that varies between occasions and whose data cannot be read: the only one whose text needs them."""
    reason = (
        f"{NOT_KNOWN}how many occasions there are, each of which has random effects of its own ({error.message}): "
        "correct the path of the data file"
    )
    construct = "variability between occasions"
    return Entry(construct=construct, kind="refused", reason=reason, source=error.location)


def absent_entries(absent: AbsentData, file: str, columns: str) -> tuple[Entry, ...]:
    """What the report says of the data, first that they are not written."""
    model = absent.run.model
    filters = model.data.ignore or model.data.accept or model.data.records
    reason = (
        f"{model.data.path} does not exist, so {file} is not written, which needs the columns {columns}; convert "
        "again with --data where the file is at hand"
    )
    if filters:
        reason += "; IGNORE, ACCEPT and RECORDS apply to it"
    what = "<DATAFILE>" if model.data.monolix is not None else "$DATA, $INPUT"
    entry = Entry(construct=what, kind="lossy", reason=reason, source=model.data.at)
    return (entry, *absent.entries)
