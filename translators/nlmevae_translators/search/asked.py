"""A search as one program's settings ask for it, in this program's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from nlmevae.data.search.decision import SearchDecision
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import Location
from nlmevae.ir import Candidate
from nlmevae.prepared_run import PreparedRun
from nlmevae_translators.report import Entry, EntryKind

SearchLanguage = Literal["scm", "select", "cossac"]
SEARCH_LANGUAGES: tuple[SearchLanguage, ...] = ("scm", "select", "cossac")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedSearch:
    """What is read of one file.

    Attributes:
        language: of the file.
        spec: what is searched.
        decision: how it is decided; p-values stand for a likelihood-ratio test.
        entries: what is lost or has no meaning elsewhere; what is kept, the writer tells.
        model: as the file names it, "" if it does not.
    """

    language: SearchLanguage
    path: str
    spec: SearchSpec
    decision: SearchDecision
    entries: tuple[Entry, ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSearch:
    """With model and data: every effect that may be taken, and the names the model's own program has for things.
    `not_searched`: what is asked for and is not searched, such as an effect that the model has."""

    asked: AskedSearch
    run: PreparedRun
    candidates: tuple[Candidate, ...]
    exclusive: tuple[tuple[int, ...], ...] = ()
    not_searched: tuple[Entry, ...] = ()

    def kind(self, candidate: Candidate) -> str:
        """Of the parameter: "log", "identity", "logit", ..."""
        return self.transform(candidate).kind

    def transform(self, candidate: Candidate):
        return next(p for p in self.run.model.individual_parameters if p.name == candidate.parameter).transform

    def parameter(self, candidate: Candidate) -> str:
        project = self.run.model.project
        return candidate.parameter if project is None else project.shown.get(candidate.parameter, candidate.parameter)

    def covariate(self, candidate: Candidate) -> str:
        project = self.run.model.project
        shown = {} if project is None else {c.item: c.name for c in project.covariates if not c.computed}
        return shown.get(candidate.covariate, candidate.covariate)

    def place(self, candidate: Candidate) -> Location | None:
        """Where the effect is asked for."""
        return place_of(self.asked.spec, candidate)


def place_of(spec: SearchSpec, candidate: Candidate) -> Location | None:
    """Of the request that names the effect, or of the list its covariate is in."""
    fitting = [
        r
        for r in (*spec.effects, *spec.force)
        if r.at is not None
        and r.parameter in ("*", candidate.parameter.upper())
        and r.covariate in ("*", candidate.covariate.upper())
    ]
    exact = [r for r in fitting if r.form in (None, candidate.form)]
    if found := (exact or fitting):
        return found[0].at
    return spec.at("covariates", candidate.covariate) or spec.at("categorical", candidate.covariate)


def without(search: KnownSearch, left_out: Sequence[Candidate]) -> KnownSearch:
    """The search without some of its effects."""
    kept = [k for k, c in enumerate(search.candidates) if c not in left_out]
    number = {old: new for new, old in enumerate(kept)}
    groups = (tuple(number[k] for k in group if k in number) for group in search.exclusive)
    return replace(
        search,
        candidates=tuple(search.candidates[k] for k in kept),
        exclusive=tuple(group for group in groups if len(group) > 1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSearch:
    """`files`: name -> text; `main`: the one that is read back. `entries` name in `target` what stands in the line of
    the file. `left_out`: effects that are not in the files."""

    files: dict[str, str] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    main: str = ""
    left_out: tuple[Candidate, ...] = ()


def note(construct: str, kind: EntryKind, reason: str, source: Location | None = None, target: str = "") -> Entry:
    return Entry(construct=construct, kind=kind, reason=reason, source=source, target=target)


def placed(entries: Sequence[Entry], files: dict[str, str]) -> tuple[Entry, ...]:
    """With the file and line that has the text in `target`."""
    return tuple(replace(e, target=_line_of(e.target, files)) if e.target else e for e in entries)


def _line_of(target: str, files: dict[str, str]) -> str:
    for file, text in files.items():
        for number, line in enumerate(text.splitlines(), 1):
            if target in line:
                return f"{file}:{number}"
    return ""
