"""The user's own control stream with the selected covariate effects in it, everything else byte for byte."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlmevae.errors import ModelError, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.frontends.nonmem.records import ControlStream, source_text, split_records
from nlmevae.frontends.nonmem.stream import first_problem
from nlmevae.ir import Candidate, IndividualParameter, Model
from nlmevae.writers.effect_code import EffectCode, FreeNames, Spelling, effect_code, number_text
from nlmevae.writers.effect_styles import STYLES, Place, place_of
from nlmevae.writers.selected_model_check import WrittenEffect, difference
from nlmevae.writers.stream_edit import Edit, ThetaStyle, append_thetas, apply_edits, move_data, wrap_new_lines

#: Initial estimate where a coefficient is 0, which NONMEM refuses.
SMALL_START = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedEffect:
    """An effect to write: `beta` are the coefficients of the candidate's columns, the new initial estimates."""

    candidate: Candidate
    beta: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedText:
    """A control stream that states the selected model.

    Attributes:
        text: as the front end decodes files: bytes that are not UTF-8 are lone surrogates.
        thetas: per effect, the names of its coefficients (``THETA(4)``).
        styles: per effect, how it was written, a key of `effect_styles.STYLES`.
        model: `text` read back.
        notes: what the user should know before running the file with NONMEM.
        base: names in the new model of the THETAs the old one has; empty: those they had.
    """

    text: str
    thetas: tuple[tuple[str, ...], ...]
    styles: tuple[str, ...]
    model: Model
    notes: tuple[str, ...] = ()
    base: tuple[str, ...] = ()

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        return self.text.encode("utf-8", "surrogateescape")


def selected_control_stream(
    model: Model, effects: Sequence[SelectedEffect], *, folder: str | Path | None = None
) -> SelectedText:
    """Write the effects into the model's control stream, in the user's style, and verify the result.

    The effect of covariate w on parameter psi is h(psi) = mu + beta x + ETA, x = log(w / centre), w - centre or
    1 at a level and 0 elsewhere; x is 0 where w is missing. Coefficients become new THETAs behind the model's.

    Args:
        folder: where the new file will be; the path of the data file is then written relative to it. None: in
            the folder of the control stream.

    Raises:
        SemanticError: an effect does not fit the model (unknown parameter, dropped data item).
        UnsupportedError: no way of writing an effect gives a text that reads back as the selected model; with
            the lines to write by hand.
    """
    if model.source.format != "nonmem":
        raise UnsupportedError(
            f"{model.source.path} is not a NONMEM control stream",
            hint="effects are written into NONMEM control streams only",
        )
    for effect in effects:
        _check_effect(model, effect)
    writing = _Writing.begin(model, effects, folder)
    chosen = dict.fromkeys(writing.parameters, 0)
    result, reason = writing.attempt(chosen)
    if result is None:
        chosen = {name: writing.first_that_works(name) for name in writing.parameters}
        result, reason = writing.attempt(chosen)
    if result is None:
        raise _by_hand(writing, list(writing.parameters), reason)
    return result


def check_can_be_written(model: Model, candidates: Iterable[Candidate]) -> None:
    """That each candidate alone can be written: a search should not end in an effect that cannot.

    Raises:
        SemanticError, UnsupportedError: as `selected_control_stream`, for the first that cannot.
    """
    for candidate in candidates:
        beta = tuple(0.1 / max(1.0, abs(column.centre or 0.0)) for column in candidate.columns)
        selected_control_stream(model, [SelectedEffect(candidate=candidate, beta=beta)])


def _check_effect(model: Model, effect: SelectedEffect) -> None:
    candidate = effect.candidate
    parameters = [p.name for p in model.individual_parameters]
    if candidate.parameter not in parameters:
        raise SemanticError(
            f"{candidate.name}: {candidate.parameter} is not an individual parameter of the model",
            hint=f"parameters with a random effect: {', '.join(parameters)}",
        )
    roles = {name: c.role for c in model.data.columns for name in (c.name, c.synonym) if name}
    if roles.get(candidate.covariate) != "covariate":
        dropped = roles.get(candidate.covariate) == "drop"
        raise SemanticError(
            f"{candidate.name}: {candidate.covariate} is {'dropped' if dropped else 'no covariate'} in $INPUT",
            hint="remove =DROP to use it" if dropped else "name a data item that is not reserved",
        )
    if len(effect.beta) != len(candidate.columns) or not all(math.isfinite(b) for b in effect.beta):
        raise ValueError(f"{candidate.name} needs {len(candidate.columns)} finite coefficients, not {effect.beta}")
    for column in candidate.columns:
        if column.shape == "indicator" and column.level == candidate.missing_code:
            raise SemanticError(
                f"{candidate.name}: level {number_text(column.level)} of {candidate.covariate} is the code of missing "
                "values",
                hint="leave the level out, or choose another code",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writing:
    """What does not change from attempt to attempt. `parameters` are those with effects, in effect order."""

    model: Model
    effects: tuple[SelectedEffect, ...]
    stream: ControlStream
    folder: Path | None
    parameters: dict[str, IndividualParameter]

    @classmethod
    def begin(cls, model: Model, effects: Sequence[SelectedEffect], folder: str | Path | None) -> _Writing:
        if model.source.included:  # places in the one text that is written, not in the files it comes from
            model = parse_control_stream(model.source.text, model.source.path)
        source = source_text(model.source.text, model.source.path)
        stream, _ = first_problem(split_records(source))
        by_name = {p.name: p for p in model.individual_parameters}
        names = dict.fromkeys(e.candidate.parameter for e in effects)
        return cls(
            model=model,
            effects=tuple(effects),
            stream=stream,
            folder=None if folder is None else Path(folder),
            parameters={name: by_name[name] for name in names},
        )

    def place(self, name: str) -> Place:
        record = self.stream.named("PK", "PRED")[0]
        return place_of(self.model, self.stream.source, record, self.parameters[name])

    def first_that_works(self, name: str) -> int:
        """Index of the first style in which the effects on one parameter can be written.

        Raises:
            UnsupportedError: none.
        """
        reasons = []
        for style in range(len(STYLES)):
            result, reason = self.attempt({name: style})
            if result is not None:
                return style
            reasons += [reason] if reason else []
        raise _by_hand(self, [name], reasons[0] if reasons else "")

    def attempt(self, styles: dict[str, int]) -> tuple[SelectedText | None, str]:
        """The text with the effects on the parameters of `styles`, each in its style or the next that fits.

        Returns:
            The verified text, or None and why it is none.
        """
        effects = [e for e in self.effects if e.candidate.parameter in styles]
        written = _numbered(self.model, effects)
        names = FreeNames(self.stream.source.text)
        edits, used = self.data_edits(), {}
        starts, in_code = self._new_thetas(effects, written)
        for name, style in styles.items():
            mine = [
                (w.candidate, tuple(in_code.get(t, t) for t in w.thetas))
                for w in written
                if w.candidate.parameter == name
            ]
            used[name], planned = _plan(self.place(name), mine, names, style)
            if planned is None:
                return None, ""
            edits += planned
        if effects:
            edits.append(append_thetas(self.stream, self.theta_style, starts))
        text = wrap_new_lines(apply_edits(self.stream.source.text, edits), self.stream.source.text)
        try:
            model = parse_control_stream(text, self.model.source.path)
        except ModelError as error:
            return None, error.message
        reason = difference(self.model, model, written)
        if reason:
            return None, reason
        result = SelectedText(
            text=text,
            thetas=tuple(w.thetas for w in written),
            styles=tuple(used[e.candidate.parameter] for e in effects),
            model=model,
            notes=_notes(self.stream) if effects else (),
        )
        return result, ""

    @property
    def theta_style(self) -> ThetaStyle:
        return ThetaStyle.of(self.stream)

    def _new_thetas(
        self, effects: Sequence[SelectedEffect], written: Sequence[WrittenEffect]
    ) -> tuple[list[tuple[str, str]], dict[str, str]]:
        """(initial estimate, label) of each coefficient; and how code reads it, where that is not by number."""
        style = self.theta_style
        starts = [(value, style.cased(label)) for value, label in _start_values(self.model, effects)]
        if not style.named:
            return starts, {}
        names = FreeNames(self.stream.source.text)
        starts = [(value, style.cased(names.take(label))) for value, label in starts]
        thetas = [theta for w in written for theta in w.thetas]
        return starts, {t: f"THETA({name})" for t, (_, name) in zip(thetas, starts, strict=True)}

    def data_edits(self) -> list[Edit]:
        if self.folder is None:
            return []
        whole = split_records(self.stream.source)  # the later problems' files move along
        return move_data(whole, Path(self.model.source.path).parent, self.folder)


def _plan(place: Place, effects, names: FreeNames, first: int) -> tuple[str, list[Edit] | None]:
    """Edits in style number `first`; 0 stands for the first style that fits."""
    for style in list(STYLES)[first:]:
        edits = STYLES[style](place, effects, names)
        if edits is not None or first:
            return style, edits
    return "", None


def _numbered(model: Model, effects: Sequence[SelectedEffect]) -> list[WrittenEffect]:
    """Each effect with the names of its new THETAs."""
    written, n = [], len(model.thetas)
    for effect in effects:
        count = len(effect.candidate.columns)
        thetas = tuple(f"THETA({n + j})" for j in range(1, count + 1))
        written.append(WrittenEffect(candidate=effect.candidate, thetas=thetas))
        n += count
    return written


def _start_values(model: Model, effects: Sequence[SelectedEffect]) -> list[tuple[str, str]]:
    """(initial estimate, label) per coefficient; labels differ from those the model has."""
    taken = {t.label for t in model.thetas}
    values = []
    for effect in effects:
        for column, beta in zip(effect.candidate.columns, effect.beta, strict=True):
            label, n = column.name, 2
            while label in taken:
                label, n = f"{column.name}_{n}", n + 1
            taken.add(label)
            values.append((f"{beta or SMALL_START:.6g}".upper(), label))
    return values


def _notes(stream: ControlStream) -> tuple[str, ...]:
    if not stream.named("MSFI"):
        return ()
    return ("$MSFI names the file of a run with fewer THETAs: remove it before running the new file with NONMEM",)


def _by_hand(writing: _Writing, names: list[str], reason: str) -> UnsupportedError:
    """The refusal, with the code to write."""
    why = f": {reason}" if reason else ""
    if not names:
        return UnsupportedError(
            f"the control stream cannot be compared with itself{why}",
            hint="check that its code gives numbers at the initial estimates",
        )
    place = writing.place(names[0])
    record = place.record.name
    steps = []
    free = FreeNames(writing.stream.source.text)
    for name in names:
        place = writing.place(name)
        written = [w for w in _numbered(writing.model, writing.effects) if w.candidate.parameter == name]
        codes = [_plain_code(w, free) for w in written]
        lines = "".join(f"\n       {line}" for code in codes for line in code.lines)
        terms = " + ".join(term for code in codes for term in code.terms)
        steps.append(
            f"in ${record}, before {name} is defined:{lines}\n     and there ({place.parameter.eta} + {terms}) "
            f"in place of {place.parameter.eta}"
        )
    mine = [e for e in writing.effects if e.candidate.parameter in names]
    thetas = "".join(f"\n       {value} ; {label}" for value, label in _start_values(writing.model, mine))
    return UnsupportedError(
        f"the effects on {', '.join(names)} cannot be written into the control stream{why}",
        hint=f"write them by hand: {'; '.join(steps)}\n     and at the end of $THETA:{thetas}",
        location=place.parameter.at,
    )


def _plain_code(written: WrittenEffect, names: FreeNames) -> EffectCode:
    return effect_code(written.candidate, written.thetas, "summand", Spelling(), names)
