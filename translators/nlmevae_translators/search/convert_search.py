"""Convert the settings of a covariate search: read, write, read back, compare."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nlmevae.data.search_space import search_space
from nlmevae.errors import NlmevaeError, SettingsError
from nlmevae.ir import Candidate, Model
from nlmevae.pipeline import prepare, read_model
from nlmevae.prepared_run import PreparedRun
from nlmevae_translators.report import Conversion, Entry, EntryKind, Report
from nlmevae_translators.search.asked import AskedSearch, KnownSearch, SearchLanguage, WrittenSearch, note
from nlmevae_translators.search.from_cossac import asked_of_cossac
from nlmevae_translators.search.from_scm import asked_of_scm
from nlmevae_translators.search.from_select import asked_of_settings
from nlmevae_translators.search.to_cossac import to_cossac
from nlmevae_translators.search.to_scm import to_scm
from nlmevae_translators.search.to_select import to_select

#: Notes of the search about effects that are asked for and not searched: what is the model's stays in it.
_NOT_SEARCHED: dict[str, EntryKind] = {"effect-in-model": "rule", "covariate-left-out": "lossy"}
_SUFFIXES: dict[str, SearchLanguage] = {".toml": "select", ".json": "cossac"}


def language_of(path: str | os.PathLike[str]) -> SearchLanguage:
    """By the ending of the name: .toml, .json; everything else is a configuration file of scm.

    Raises:
        SettingsError: a script of R, which says what it does only when R runs it.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".r":
        raise SettingsError(
            f"{path} is a script", hint="give the settings as JSON: jsonlite::toJSON(getModelBuildingSettings())"
        )
    return _SUFFIXES.get(suffix, "scm")


def convert_search(
    path: str | os.PathLike[str],
    to: SearchLanguage,
    *,
    model: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    linear_as: str | None = None,
) -> Conversion:
    """Settings of one program as those of another.

    Args:
        path: configuration file of scm, settings file of select (.toml), or settings of COSSAC (.json).
        model: the model that is searched, a control stream or a Monolix project; None: the one the file names.
        linear_as: "exponential" or "power" in place of scm's linear effects that have no counterpart.

    Raises:
        SettingsError, ModelError, DataError: the file, the model or the data cannot be read.
    """
    language = language_of(path)
    if language == to:
        raise SettingsError(f"{path} is of that kind already", hint="choose another with --to: scm, select or cossac")
    name = Path(path).stem
    found = read_model(_model_path(str(path), language, model))
    asked = _asked(str(path), language, found, linear_as)
    shown = str(model) if model is not None else asked.model or Path(found.source.path).name
    if to == "select":
        written = to_select(asked, name=name, model=shown)
        run = _run_if_any(found, data)
    elif not asked.spec.effects and not asked.spec.covariates and not asked.spec.categorical:
        written, run = WrittenSearch(), None
    else:
        run = prepare(found, data=data)
        known = _known(asked, run)
        written = {"scm": to_scm, "cossac": to_cossac}[to](known, name=name, model=shown)
        written = replace(written, entries=(*known.not_searched, *written.entries))
    entries = (*asked.entries, *written.entries)
    if written.files and run is not None:
        entries += tuple(_checked(asked, written, run, to, linear_as))
    return Conversion(files=written.files, report=Report(entries=entries), main=written.main)


def _model_path(path: str, language: SearchLanguage, model: str | os.PathLike[str] | None) -> Path:
    """Given, or as the file names it, from its folder.

    Raises:
        SettingsError: nothing names it, or it is not there.
    """
    if model is not None:
        return Path(model)
    named = ""
    if language == "scm":
        from nlmevae.data.search.scm_file import read_scm_file

        named = read_scm_file(path).model
    elif language == "cossac":
        from nlmevae.data.search.cossac_file import read_cossac_file

        named = read_cossac_file(path).project
    if not named:
        raise SettingsError(f"{path} names no model", hint="give it: --model run1.ctl")
    found = Path(path).parent / named
    if not found.is_file():
        raise SettingsError(
            f"{path} names the model {named}, and there is no {found}", hint="give the model: --model run1.ctl"
        )
    return found


def _asked(path: str, language: SearchLanguage, model: Model, linear_as: str | None) -> AskedSearch:
    if language == "scm":
        return asked_of_scm(path, model, linear_as=linear_as)
    return asked_of_settings(path) if language == "select" else asked_of_cossac(path, model)


def _known(asked: AskedSearch, run: PreparedRun) -> KnownSearch:
    found = search_space(run.model, run.dataset, run.table, asked.spec)
    entries = tuple(
        note("search", _NOT_SEARCHED[d.code], d.message, d.location)
        for d in found.diagnostics
        if d.code in _NOT_SEARCHED
    )
    candidates, exclusive = found.space.candidates, found.space.exclusive
    return KnownSearch(asked=asked, run=run, candidates=candidates, exclusive=exclusive, not_searched=entries)


def _run_if_any(model: Model, data: str | os.PathLike[str] | None) -> PreparedRun | None:
    """Without data there is nothing to compare: what is written needs none."""
    try:
        return prepare(model, data=data)
    except NlmevaeError:
        return None


def _checked(
    asked: AskedSearch, written: WrittenSearch, run: PreparedRun, to: SearchLanguage, linear_as: str | None
) -> list[Entry]:
    """The written file is read as any other, and must ask for the same effects."""
    try:
        before = tuple(c for c in _known(asked, run).candidates if c not in written.left_out)
    except NlmevaeError as error:
        return [note("the search on these data", "refused", f"{error.message}; {error.hint}")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / written.main
        path.write_text(written.files[written.main], encoding="utf-8")
        try:
            again = _known(_asked(str(path), to, run.model, None), run).candidates
        except NlmevaeError as error:
            return [note("the written file", "refused", f"it does not read back: {error.message}")]
    if to == "scm" and asked.decision.direction in ("both", "backward"):  # scm may remove them: that is told as lost
        before = tuple(replace(c, forced=False) for c in before)
    difference = _difference(before, again)
    return [note("the written file", "refused", f"it reads back as another search: {difference}")] if difference else []


def _difference(before: Sequence[Candidate], after: Sequence[Candidate]) -> str:
    """What one search tries and the other does not; "" if nothing."""
    one, two = ({_effect(c): c for c in part} for part in (before, after))
    missing = [key for key in one if key not in two]
    extra = [key for key in two if key not in one]
    if missing or extra:
        words = [
            f"{'not ' if keys is missing else ''}{key[0]}~{key[1]} ({key[2]})"
            for keys in (missing, extra)
            for key in keys
        ]
        return ", ".join(words)
    return ""


def _effect(candidate: Candidate) -> tuple:
    """What a search may take, up to the reference category, which moves typical values only."""
    shapes = tuple((c.shape, "" if c.centre is None else f"{c.centre:.9g}") for c in candidate.columns)
    return candidate.parameter, candidate.covariate, candidate.form, shapes, candidate.forced
