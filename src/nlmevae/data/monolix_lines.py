"""What every line of a Monolix data file is: a dose, an observation, both, a reset, or regressors only.

Rules (documentation of the MonolixSuite data format, columns for events, observations and doses):
 * with an event identifier: 0 observation, 1 dose, 2 neither, 3 and 4 reset and dose (amount 0: reset only), 4 also
   begins an occasion; it goes before MDV. Without: an amount other than 0 makes a dose, a value makes an observation,
   both make both; MDV 1 takes the observation away.
 * "." is 0 in CENS, SS, ADDL and II, no limit in LIMIT, and not allowed in ID, TIME, occasions, event identifier and
   MDV, nor where the line needs the item.
 * Without an event identifier an observation NA is none: published runs of Monolix 2019 and 2021 have no prediction for
   such lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmevae.data.monolix_file import MonolixFile, is_missing
from nlmevae.data.numbers import parse_real
from nlmevae.errors import DataError, SemanticError, UnsupportedError
from nlmevae.ir import Diagnostic, MonolixRows, RowUse

#: Larger numbers are codes or mistakes.
_LARGEST = 1e30
#: What also stands for an observation that was not made.
_NO_VALUE = "NA"
_NAMES = {
    "identifier": "ID", "time": "TIME", "observation": "the observation", "amount": "the amount",
    "observationtype": "the type of observation", "administration": "the administration",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Lines that are not ignored, in file order; arrays of length n.

    Attributes:
        row: index into the file's rows.
        subject: index into `labels`, IDs in order of appearance.
        time: as in the file. occasion (n, levels): integers.
        reset: 0, 3 or 4. dose, observed: bool.
        amount, rate, duration: of doses; rate 0 and duration 0 where there is none; rate as written, negative too.
        administration: number. interval, additional: of doses. steady: how many doses are added before a steady state.
        value: of observations, 0 elsewhere. kind: position of the fitted kind from 1; 0 elsewhere.
        censoring: -1, 0, 1; limit: nan where there is none.
        regressors (n, n_regressors): nan where missing.
        event: bool, the line is a dose or an observation, also one that is not fitted.
    """

    file: MonolixFile
    labels: tuple[str, ...]
    row: np.ndarray
    subject: np.ndarray
    time: np.ndarray
    occasion: np.ndarray
    reset: np.ndarray
    dose: np.ndarray
    observed: np.ndarray
    event: np.ndarray
    amount: np.ndarray
    rate: np.ndarray
    duration: np.ndarray
    administration: np.ndarray
    interval: np.ndarray
    additional: np.ndarray
    steady: np.ndarray
    value: np.ndarray
    kind: np.ndarray
    censoring: np.ndarray
    limit: np.ndarray
    regressors: np.ndarray
    diagnostics: tuple[Diagnostic, ...] = ()

    def line(self, k: int) -> int:
        """Its number in the file."""
        return self.file.lines[self.row[k]]


class ColumnReader:
    """Numbers of the used columns for chosen rows, with errors that name the place."""

    def __init__(self, file: MonolixFile, rows: MonolixRows, kept: np.ndarray) -> None:
        self.file, self.rows, self.kept = file, rows, kept

    def name(self, use: RowUse) -> str | None:
        """The one column with this use."""
        found = self.rows.of(use)
        if len(found) > 1:
            raise SemanticError(
                f"[CONTENT] gives the use {use} to {found[0].name} and {found[1].name}",
                hint="keep one of them",
                location=found[1].at,
            )
        return found[0].name if found else None

    def texts(self, name: str) -> list[str]:
        column = self.file.column(name)
        return [column[k] for k in self.kept]

    def numbers(self, name: str, needed: np.ndarray | bool, what: str, *, missing: str = ".") -> np.ndarray:
        """(n,) values, nan where missing (also where the text is `missing`); only `needed` rows must have one and only
        there the text must be a number.

        Raises:
            DataError: a needed item is missing or no number.
        """
        needed = np.broadcast_to(np.asarray(needed, dtype=bool), len(self.kept))
        values = np.full(len(self.kept), np.nan)
        for k, text in enumerate(self.texts(name)):
            if not needed[k] or is_missing(text) or text == missing:
                continue
            number = parse_real(text)
            if number is None or abs(number) > _LARGEST:
                raise self.error(
                    k, name, f"{name} is '{text}' on line {self.line(k)}, which is no number ({what})",
                    'correct it, or write "." if it is missing',
                )  # fmt: skip
            values[k] = number
        return values

    def optional(self, use: RowUse, needed: np.ndarray, default: float = 0.0) -> np.ndarray:
        """(n,) of a column that may be absent, `default` where it is or where the item is missing or not needed."""
        name = self.name(use)
        if name is None:
            return np.full(len(self.kept), default)
        values = self.numbers(name, needed, f"which has the use {use}")
        return np.where(np.isnan(values), default, values)

    def whole(self, name: str, allowed: tuple[int, ...] | None, what: str) -> np.ndarray:
        """(n,) int, given on every row; `allowed` values only."""
        values = self.numbers(name, True, what)
        for k, value in enumerate(values):
            if np.isnan(value):
                raise self.error(k, name, f"{name} is missing on line {self.line(k)}, {what}", "give it on every line")
            if value != np.floor(value) or (allowed is not None and value not in allowed):
                known = "a whole number" if allowed is None else f"one of {', '.join(map(str, allowed))}"
                raise self.error(
                    k, name, f"{name} is {value:g} on line {self.line(k)}, {what}: it must be {known}", "correct it"
                )
        return values.astype(int)

    def line(self, k: int) -> int:
        return self.file.lines[self.kept[k]]

    def error(self, k: int, name: str | None, message: str, hint: str, kind: type = DataError):
        return kind(message, hint=hint, location=self.file.at(int(self.kept[k]), name))


def read_lines_of(file: MonolixFile, rows: MonolixRows, *, design: bool) -> Lines:
    """Raises DataError, SemanticError and UnsupportedError where the lines say nothing definite."""
    reader = ColumnReader(file, rows, _kept(file, rows))
    subject, labels = _subjects(reader)
    time = _times(reader)
    what = _line_types(reader, design)
    kind, left_out = _kinds(reader, what.observed)
    observed = kind > 0
    censoring = reader.optional("censored", observed)
    _check_values(reader, "censored", observed & ~np.isin(censoring, (-1, 0, 1)), censoring, "it is 0, 1 or -1")
    if not design:
        _check_range(reader, kind, what.value)
    regressors = [reader.numbers(c.name, True, "a regressor") for c in rows.of("regressor") if c.item]
    occasions = [reader.whole(c.name, None, "an occasion") for c in rows.of("occasion")]
    return Lines(
        file=file, labels=labels, row=reader.kept, subject=subject, time=time,
        occasion=np.column_stack(occasions) if occasions else np.zeros((len(time), 0), dtype=int),
        reset=what.reset, dose=what.dose, observed=observed, event=what.dose | what.observed,
        **_dose_items(reader, what), value=np.where(observed, what.value, 0.0), kind=kind,
        censoring=np.where(observed, censoring, 0.0), limit=reader.optional("limit", observed, np.nan),
        regressors=np.column_stack(regressors) if regressors else np.zeros((len(time), 0)),
        diagnostics=(*what.diagnostics, *left_out),
    )  # fmt: skip


def _kept(file: MonolixFile, rows: MonolixRows) -> np.ndarray:
    """Rows that no ignoredline column drops."""
    every = np.arange(len(file.items))
    reader = ColumnReader(file, rows, every)
    drop = reader.optional("ignoredline", np.ones(len(every), dtype=bool))
    _check_values(reader, "ignoredline", ~np.isin(drop, (0, 1)), drop, "it is 0, or 1 where the line is ignored")
    kept = every[drop == 0]
    if not len(kept):
        raise DataError(f"every line of {file.path} is ignored", hint="check the ignored-line column")
    return kept


def _subjects(reader: ColumnReader) -> tuple[np.ndarray, tuple[str, ...]]:
    name = reader.name("identifier")
    if name is None:
        raise SemanticError("no column has the use identifier", hint="[CONTENT] needs ID = {use=identifier}")
    labels: dict[str, int] = {}
    index = np.zeros(len(reader.kept), dtype=int)
    for k, text in enumerate(reader.texts(name)):
        if is_missing(text):
            raise reader.error(
                k, name, f"{name} is missing on line {reader.line(k)}",
                "give every line an ID; Monolix does not repeat that of the line before",
            )  # fmt: skip
        index[k] = labels.setdefault(text, len(labels))
    return index, tuple(labels)


def _times(reader: ColumnReader) -> np.ndarray:
    name = reader.name("time")
    if name is None:
        raise UnsupportedError("no column has the use time", hint="[CONTENT] needs TIME = {use=time}")
    for k, text in enumerate(reader.texts(name)):
        if is_missing(text):
            raise reader.error(k, name, f"{name} is missing on line {reader.line(k)}", "give every line a time")
        if parse_real(text) is None and any(c in text[1:] for c in ":/-"):
            raise reader.error(
                k, name, f"{name} is '{text}' on line {reader.line(k)}: dates and clock times are not supported",
                "give times as numbers in one unit", UnsupportedError,
            )  # fmt: skip
    return reader.numbers(name, True, "the time")


@dataclass(frozen=True, slots=True)
class _LineTypes:
    reset: np.ndarray
    dose: np.ndarray
    observed: np.ndarray
    amount: np.ndarray
    value: np.ndarray
    diagnostics: list[Diagnostic]


def _line_types(reader: ColumnReader, design: bool) -> _LineTypes:
    n = len(reader.kept)
    event, mdv, amount, value = (
        reader.name(use) for use in ("eventidentifier", "missingdependentvariable", "amount", "observation")
    )
    if value is None:
        raise SemanticError("no column has the use observation", hint="[CONTENT] needs Y = {use=observation}")
    ignored = np.zeros(n, dtype=bool)
    if mdv is not None:
        ignored = reader.whole(mdv, (0, 1), "which tells whether the observation counts") == 1
    if event is not None:
        evid = reader.whole(event, (0, 1, 2, 3, 4), "the event identifier")
        dosing = np.isin(evid, (1, 3, 4))
        amounts = _needed_numbers(reader, amount, dosing, "amount")
        observed = (evid == 0) & ~ignored
        values = _needed_numbers(reader, value, observed, "observation", design=design)
        reset = np.where(np.isin(evid, (3, 4)), evid, 0)
        return _LineTypes(reset, dosing & (amounts != 0), observed, amounts, values, [])
    amounts = np.zeros(n)
    if amount is not None:
        amounts = np.nan_to_num(reader.numbers(amount, True, "an amount"))
    given = reader.numbers(value, ~ignored, "an observation", missing=_NO_VALUE)
    if mdv is not None and not design:
        for k in np.flatnonzero(~ignored & np.isnan(given) & (amounts == 0)):
            raise reader.error(
                int(k), value, f"{value} is missing on line {reader.line(k)}, which {mdv} = 0 makes an observation",
                f"set {mdv} to 1 where nothing was observed",
            )  # fmt: skip
    observed = ~np.isnan(given)
    return _LineTypes(np.zeros(n, dtype=int), amounts != 0, observed, amounts, np.nan_to_num(given), [])


def _needed_numbers(
    reader: ColumnReader, name: str | None, needed: np.ndarray, use: str, *, design: bool = False
) -> np.ndarray:
    """(n,) of an amount or observation column, which must have a number on `needed` lines; 0 elsewhere."""
    if name is None:
        if needed.any():
            raise SemanticError(
                f"line {reader.line(int(np.argmax(needed)))} is a dose, and no column has the use {use}",
                hint=f"[CONTENT] needs a column with use={use}",
            )
        return np.zeros(len(reader.kept))
    values = reader.numbers(name, needed, _NAMES[use])
    absent = needed & np.isnan(values)
    if absent.any() and not design:
        k = int(np.argmax(absent))
        raise reader.error(
            k, name, f"{name} is missing on line {reader.line(k)}, which its event identifier makes "
            + ("an observation" if use == "observation" else "a dose"),
            "give a number, or set the event identifier to 2",
        )  # fmt: skip
    return np.nan_to_num(values)


def _kinds(reader: ColumnReader, observed: np.ndarray) -> tuple[np.ndarray, list[Diagnostic]]:
    """(n,) position from 1 of each observation's fitted kind, 0 where there is none; a note on kinds left out."""
    name, fitted = reader.name("observationtype"), reader.rows.kinds
    if name is None:
        return observed.astype(int), []
    position = {_plain(kind): k for k, kind in enumerate(fitted, 1)}
    found = np.zeros(len(observed), dtype=int)
    others: dict[str, int] = {}
    for k, text in enumerate(reader.texts(name)):
        if not observed[k]:
            continue
        if is_missing(text):
            raise reader.error(
                k, name, f"{name} is missing on line {reader.line(k)}, an observation", "say which kind it is"
            )
        found[k] = position.get(_plain(text), 0)
        if not found[k]:
            others[text] = others.get(text, 0) + 1
    if not found.any() and observed.any():
        raise DataError(
            f"no observation is of a kind that is fitted ({', '.join(fitted)}); {name} has {', '.join(others)}",
            hint="correct `data` of <FIT>, or `yname` of the observation column",
        )
    if not others:
        return found, []
    counts = ", ".join(f"{count} of {name} {kind}" for kind, count in others.items())
    hint = "to fit them, name them in <FIT>"
    return found, [
        Diagnostic(
            code="observations-not-fitted", severity="note", message=f"observations left out: {counts}", hint=hint
        )
    ]


def _check_range(reader: ColumnReader, kind: np.ndarray, value: np.ndarray) -> None:
    """Values of a log- or logit-normal outcome lie where it has a density."""
    for number, scale in enumerate(reader.rows.scales, 1):
        if scale.kind == "identity":
            continue
        wrong = (kind == number) & ~((scale.lower < value) & (value < scale.upper))
        if wrong.any():
            k, name = int(np.argmax(wrong)), reader.name("observation")
            where = f"above {scale.lower:g}" if scale.kind == "log" else f"between {scale.lower:g} and {scale.upper:g}"
            raise reader.error(
                k, name, f"{name} is {value[k]:g} on line {reader.line(k)}, and its outcome is {scale.kind}-normal: "
                f"its values lie {where}",
                "mark a value below the limit of quantification by a censored column, with the limit as its value; or "
                "leave the line out (MDV)",
            )  # fmt: skip


def _plain(text: str) -> str:
    """A kind or category as it is compared: 1 and 1.0 are alike."""
    number = parse_real(text)
    return text if number is None else f"{number:g}"


def _dose_items(reader: ColumnReader, what: _LineTypes) -> dict[str, np.ndarray]:
    dose = what.dose
    items = {
        "amount": np.where(dose, what.amount, 0.0),
        "rate": reader.optional("rate", dose),
        "duration": reader.optional("infusiontime", dose),
        "administration": _administrations(reader, dose),
        "interval": reader.optional("interdoseinterval", dose),
        "additional": reader.optional("additionaldose", dose),
        "steady": reader.optional("steadystate", dose),
    }
    _check_values(reader, "amount", items["amount"] < 0, items["amount"], "a dose is positive")
    _check_values(reader, "infusiontime", items["duration"] < 0, items["duration"], "a duration is positive")
    wrong = (items["additional"] < 0) | (items["additional"] != np.floor(items["additional"]))
    _check_values(reader, "additionaldose", wrong, items["additional"], "it counts doses")
    _check_values(
        reader, "steadystate", ~np.isin(items["steady"], (0, 1)), items["steady"], "it is 0 or 1", UnsupportedError
    )
    repeated = (items["additional"] > 0) | (items["steady"] > 0)
    if (repeated & (items["interval"] <= 0)).any():
        k = int(np.argmax(repeated & (items["interval"] <= 0)))
        raise reader.error(
            k, reader.name("interdoseinterval"),
            f"the dose on line {reader.line(k)} is repeated without a positive interval between doses",
            "give the interval in a column with use=interdoseinterval",
        )  # fmt: skip
    both = dose & (items["rate"] != 0) & (items["duration"] != 0)
    if both.any():
        k = int(np.argmax(both))
        raise reader.error(
            k, reader.name("rate"), f"line {reader.line(k)} gives both a rate and a duration", "keep one of them"
        )
    n_doses = max((c.n_doses for c in reader.rows.of("steadystate")), default=0)
    return items | {"steady": items["steady"].astype(int) * n_doses}


def _administrations(reader: ColumnReader, dose: np.ndarray) -> np.ndarray:
    name = reader.name("administration")
    if name is None:
        return np.ones(len(dose), dtype=int)
    values = reader.numbers(name, dose, "the administration of a dose")
    wrong = dose & (np.isnan(values) | (values < 1) | (values != np.floor(values)))
    if wrong.any():
        k = int(np.argmax(wrong))
        raise reader.error(
            k, name, f"{name} is '{reader.texts(name)[k]}' on line {reader.line(k)}, a dose", "it is a number from 1"
        )
    return np.where(dose, np.nan_to_num(values, nan=1.0), 1).astype(int)


def _check_values(
    reader: ColumnReader, use: RowUse, wrong: np.ndarray, values: np.ndarray, rule: str, kind: type = DataError
) -> None:
    if wrong.any():
        k, name = int(np.argmax(wrong)), reader.name(use)
        raise reader.error(k, name, f"{name} is {values[k]:g} on line {reader.line(k)}", f"{rule}: correct it", kind)
