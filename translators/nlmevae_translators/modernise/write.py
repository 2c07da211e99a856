"""A control stream in old style -> the same model, MU-referenced, labelled, in today's spelling."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nlmevae.errors import DataError, ModelError, NlmevaeError, SettingsError
from nlmevae.ir import Model
from nlmevae.pipeline import prepare, read_model
from nlmevae.prepared_run import PreparedRun
from nlmevae.writers.selected_model_check import N_POINTS
from nlmevae.writers.stream_edit import move_data
from nlmevae_translators.convert import moved_model, write_files
from nlmevae_translators.modernise.compartments import Compartmental, with_compartments
from nlmevae_translators.modernise.draft import Draft
from nlmevae_translators.modernise.labels import labelled
from nlmevae_translators.modernise.occasions import with_same
from nlmevae_translators.modernise.random_effects import Items, referenced
from nlmevae_translators.modernise.records import kept_records
from nlmevae_translators.modernise.same_model import model_difference
from nlmevae_translators.modernise.spellings import spellings
from nlmevae_translators.report import Conversion, Entry, Proof, Report
from nlmevae_translators.to_monolix.source_data import SourceData


def modernise(
    path: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    proof: bool = True,
    overwrite: bool = False,
) -> Conversion:
    """The control stream with MU_k for every individual parameter, labels, and today's spelling.

    Everything else keeps its bytes: comments, order of records, data file. `files` is empty where nothing had to
    change.

    Args:
        path: NONMEM control stream.
        out: write the file into this folder (created if missing), under its own name; None: write nothing.
        data: read this data file instead of the one the model names.
        proof: compare predictions and densities of both, where the data are there; a difference is an error.
        overwrite: replace a file that is there.

    Raises:
        ModelError: the control stream cannot be read.
        SettingsError, OutputError: a Monolix project; a file that is there.
    """
    model = read_model(path)
    if model.source.format != "nonmem":
        raise SettingsError(f"{path} is no control stream", hint="--modernise rewrites NONMEM control streams")
    name = Path(path).name
    run, missing = _prepared(model, data)
    modern = _modern(model, run)
    made = None
    if run is not None:
        modern, made = _with_compartments(modern, run, Path(path).stem, proof=proof)
    elif modern.draft.stream.named("PRED"):
        modern = _formula_stays(modern, "which doses a PREDPP model would need is known from the data alone")
    draft = modern.draft
    changed = draft.text != draft.original.text
    if proof and changed and made is None:
        made = _proof(run, modern) if run is not None else Proof(sentence=missing)
    if changed and out is not None and modern.data is None:
        draft = draft.edited(move_data(draft.whole, Path(path).parent, Path(out)))
    entries = sorted(modern.entries, key=lambda e: e.source.line if e.source else 0)
    report = Report(entries=tuple(draft.placed(e, name) for e in entries), proof=made if proof else None)
    files = {name: draft.text, **dict([modern.data] if modern.data else [])} if changed and not report.failed else {}
    if out is not None and files:
        write_files(files, Path(out), overwrite=overwrite)
    return Conversion(files=files, report=report, main=name)


@dataclass(frozen=True, slots=True)
class _Modern:
    """`data`: name and text of a data file of its own; None: it reads that of the old one."""

    draft: Draft
    entries: tuple[Entry, ...]
    data: tuple[str, str] | None = None


def _prepared(model: Model, data: str | os.PathLike[str] | None) -> tuple[PreparedRun | None, str]:
    """The model with its data, or why there are none."""
    try:
        return prepare(model, data=data), ""
    except NlmevaeError as error:
        if data is not None or not isinstance(error, DataError):
            raise
        return None, error.message


def _modern(model: Model, run: PreparedRun | None) -> _Modern:
    draft = Draft.begin(model.source.text, model.source.path)
    entries: list[Entry] = []
    if model.source.included:
        files = ", ".join(Path(f).name for f in model.source.included)
        entries.append(Entry(construct="INCLUDE", kind="rule", reason=f"the text of {files} stands in the file"))
    edits, found = spellings(draft.stream)
    spelled = draft.edited(edits)
    if _same(draft, spelled):
        entries += found
    else:  # pragma: no cover - a spelling never changes what is read
        spelled = draft
    mu = referenced(spelled, _items(spelled.model, run))
    entries += mu.entries
    same, found = with_same(mu.draft)
    entries += found
    named = labelled(same, mu.bounded)
    final = named.draft if _same(same, named.draft, bounded=named.bounded) else same
    entries += named.entries if final is named.draft else []
    return _Modern(final, (*entries, *kept_records(final)))


def _same(one: Draft, two: Draft, *, bounded: Collection[str] = ()) -> bool:
    """Both are read as one model."""
    try:
        return not model_difference(one.model, two.model, bounded=bounded)
    except ModelError:
        return False


def _with_compartments(modern: _Modern, run: PreparedRun, stem: str, *, proof: bool) -> tuple[_Modern, Proof | None]:
    """As a PREDPP model where the formula is one and the predictions agree, with the proof; else as it is."""
    found = with_compartments(modern.draft, replace(run, model=modern.draft.model), stem)
    if found == "":
        return modern, None
    reason = found
    if isinstance(found, Compartmental):
        changed = _Modern(found.draft, (*modern.entries, *found.entries), found.data)
        made = _proof(run, changed) if proof else None
        if made is None or made.holds:
            return changed, made
        reason = f"the formula is that of a PREDPP model, but predictions differ by {made.largest:.2g}: {made.sentence}"
    return _formula_stays(modern, reason), None


def _formula_stays(modern: _Modern, reason: str) -> _Modern:
    at = modern.draft.place(modern.draft.stream.named("PRED")[0].head)
    entry = Entry(construct="$PRED", kind="lossless", reason=f"as it was: {reason}", source=at)
    return replace(modern, entries=(*modern.entries, entry))


def _items(model: Model, run: PreparedRun | None) -> Items:
    """Of the data; without data all covariates count as constant within subjects."""
    if run is not None:
        data = SourceData(run)
        rows = np.random.default_rng(1).integers(0, len(data.rows.values), N_POINTS)
        return Items(data.constant_items, {name: data.values(name)[rows] for name in data.canonical})
    columns = [c for c in model.data.columns if c.role in ("covariate", "id")]
    derived = model.data.derived.variables if model.data.derived is not None else {}
    return Items(frozenset(n for c in columns for n in (c.name, c.synonym) if n and n not in derived), {})


def _proof(run: PreparedRun, modern: _Modern) -> Proof:
    """At the initial estimates and at moved THETAs: an initial estimate of 0 or 1 would hide a factor."""
    from nlmevae_translators.proof import compare

    with tempfile.TemporaryDirectory() as folder:
        path = run.dataset.path
        if modern.data is not None:
            path = str(Path(folder) / modern.data[0])
            Path(path).write_text(modern.data[1], encoding="utf-8")
        try:
            two = prepare(modern.draft.model, data=path)
        except NlmevaeError as error:
            return Proof(
                largest=np.inf, compared=1, sentence=f"the new control stream is not executed: {error.message}"
            )
    proofs = []
    for model in (run.model, moved_model(run.model, seed=1)):
        inits = {t.name: t.init for t in model.thetas}
        other = replace(two.model, thetas=tuple(replace(t, init=inits[t.name]) for t in two.model.thetas))
        effects = {eta: eta for eta in model.etas if eta not in model.zero_etas}
        proofs.append(compare(replace(run, model=model), replace(two, model=other), effects))
    worst = max(proofs, key=lambda p: (max(p.largest, p.density), p.compared))
    worst = worst if not np.isnan(worst.largest) else proofs[0]
    return replace(worst, compared=sum(p.compared for p in proofs), points=sum(p.points for p in proofs))
