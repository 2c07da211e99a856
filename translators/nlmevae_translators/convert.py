"""Convert a model file to the other language: read, write, read back, compare."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nlmevae.errors import NlmevaeError, OutputError, SettingsError, UnsupportedError
from nlmevae.frontends.monolix.model.rows import UnknownOccasionsError
from nlmevae.ir import Model
from nlmevae.pipeline import prepare, read_model
from nlmevae.prepared_run import PreparedRun
from nlmevae_translators.absent_data import AbsentData, missing_file, occasions_entry, without_data
from nlmevae_translators.left_out import (
    NOT_LEFT_OUT,
    prepared_without_level_two,
    with_message,
    with_reasons,
    without_statements,
    without_values_behind_doses,
)
from nlmevae_translators.report import Conversion, Entry, Proof, Report
from nlmevae_translators.search.asked import SEARCH_LANGUAGES
from nlmevae_translators.search.convert_search import convert_search
from nlmevae_translators.to_monolix.write import STEADY_DOSES, Written, to_monolix
from nlmevae_translators.to_nonmem import to_nonmem
from nlmevae_translators.to_nonmem.parameter_records import effect_numbers, start

Language = Literal["mlxtran", "nonmem", "scm", "select", "cossac"]
LANGUAGES: tuple[Language, Language] = ("mlxtran", "nonmem")
#: Doses before a steady-state dose that are tried until the predictions agree.
_STEADY_TRIALS = (20, 50, STEADY_DOSES, 200, 500)


def convert(
    path: str | os.PathLike[str] | Model,
    to: Language = "mlxtran",
    *,
    out: str | os.PathLike[str] | None = None,
    from_results: Any = None,
    data: str | os.PathLike[str] | None = None,
    allow_lossy: bool = False,
    proof: bool = True,
    overwrite: bool = False,
    model: str | os.PathLike[str] | None = None,
    linear_as: str | None = None,
) -> Conversion:
    """The model of one language as files of the other, with a report of what became of every construct; or settings of
    a covariate search (`to`: "scm", "select" or "cossac").

    Args:
        path: NONMEM control stream or Monolix project, or a model that was read from one.
        to: "mlxtran" or "nonmem"; of search settings "scm", "select" or "cossac".
        out: write the files into this folder (created if missing); None: write nothing.
        from_results: final estimates that become initial ones: ``.ext``, ``.results.json``, a results
            folder of Monolix or its ``populationParameters.txt``, CSV of name,value.
        data: read this data file instead of the one the model names. Where that one does not exist, the model is
            written without it.
        allow_lossy: leave out what is refused and no prediction depends on, see `left_out`.
        proof: read both back and compare their predictions; a difference is an error and nothing is written.
        overwrite: replace files that are there.
        model, linear_as: of search settings: the model that is searched (default: the one the file names), and the
            form in place of scm's linear effects that have no counterpart.

    Raises:
        ModelError, DataError: the model or its data cannot be read.
        SettingsError, OutputError: a wrong argument; a file that is there.
    """
    if to in SEARCH_LANGUAGES:
        conversion = convert_search(path, to, model=model, data=data, linear_as=linear_as)
        return _finished(conversion, out, overwrite=overwrite, although_refused=allow_lossy)
    if to not in LANGUAGES:
        raise SettingsError(f"{to!r} is no language to convert to", hint=f"one of {', '.join(LANGUAGES)}")
    try:
        read = path if isinstance(path, Model) else read_model(path)
    except UnknownOccasionsError as error:
        return Conversion(report=Report(entries=(occasions_entry(error),)))
    model, origin = _starting_at(read, from_results)
    source = _Source.read(model, data, allow_lossy=allow_lossy)
    language = "mlxtran" if source.model.source.format == "monolix" else "nonmem"
    if language == to:
        raise SettingsError(
            f"{model.source.path} is in that language already",
            hint=f"use --to {LANGUAGES[1 - LANGUAGES.index(to)]}, or give the other model",
        )
    conversion = (
        _to_nonmem(source, proof=proof)
        if to == "nonmem"
        else _to_monolix(source, plain_stem(model.source.path), proof=proof)
    )
    conversion = _with_left_out(conversion, source, origin, allow_lossy=allow_lossy)
    return _finished(conversion, out, overwrite=overwrite)


def _finished(
    conversion: Conversion, out: str | os.PathLike[str] | None, *, overwrite: bool, although_refused: bool = False
) -> Conversion:
    """Without files where something is refused; written where a folder is given."""
    report = conversion.report
    if report.exit_code == 2 and not (although_refused and not report.failed):
        conversion = replace(conversion, files={})
    if out is not None and conversion.files:
        write_files(conversion.files, Path(out), overwrite=overwrite)
    return conversion


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What is converted. `absent`: the data file is not there, and `run` has records that stand in for it; `left_out`:
    what `run` is without."""

    run: PreparedRun
    absent: AbsentData | None = None
    left_out: tuple[Entry, ...] = ()

    @property
    def model(self) -> Model:
        return self.run.model

    @classmethod
    def read(cls, model: Model, data: Any, *, allow_lossy: bool) -> _Source:
        """
        Raises:
            ModelError, DataError: the data cannot be read.
        """
        try:
            model, left_out = without_statements(model) if allow_lossy else (model, ())
            path = None if data is not None else missing_file(model)
            if path is not None:
                absent = without_data(model, path)
                return cls(run=absent.run, absent=absent, left_out=left_out)
            if not allow_lossy:
                return cls(run=prepare(model, data=data))
            run, level_two = prepared_without_level_two(model, data)
            if model.data.monolix is not None:
                return cls(run=run, left_out=left_out)
            run, behind = without_values_behind_doses(run)
            return cls(run=run, left_out=(*left_out, *level_two, *behind))
        except UnsupportedError as error:
            if not allow_lossy:
                raise
            hint = f"{error.hint}; {NOT_LEFT_OUT}" if error.hint else NOT_LEFT_OUT
            raise type(error)(error.message, hint=hint, location=error.location) from error


def _with_left_out(
    conversion: Conversion, source: _Source, origin: tuple[Entry, ...], *, allow_lossy: bool
) -> Conversion:
    entries = (*origin, *source.left_out, *conversion.report.entries)
    entries = with_reasons(entries) if allow_lossy else entries
    files = with_message(conversion.files, source.left_out) if source.left_out else conversion.files
    return replace(conversion, files=files, report=replace(conversion.report, entries=entries))


def plain_stem(path: str | os.PathLike[str]) -> str:
    """The name of a model file without what file names in texts do not take."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(path).stem)


def _starting_at(model: Model, results: Any) -> tuple[Model, tuple[Entry, ...]]:
    """The model at the values of `results`, and where they are from."""
    if results is None:
        return model, ()
    from nlmevae.at_parameters import parameter_values
    from nlmevae.results.model_at import model_at

    values = parameter_values(results)
    by = "names; standard deviations are squared" if values.deviations else "numbers and names"
    entry = Entry(construct="initial estimates", kind="rule", reason=f"the values of {values.source}, by {by}")
    return model_at(model, values), (entry,)


def _to_nonmem(source: _Source, *, proof: bool) -> Conversion:
    files, entries = to_nonmem(source.model, dataset=source.run.dataset, absent=source.absent)
    made = prove_nonmem(source.run) if files and proof else None
    if source.absent is not None:
        made = source.absent.proof(made)
    return Conversion(files=files, report=Report(entries=entries, proof=made), main=_stream(files))


def _stream(files: dict[str, str]) -> str:
    return next((name for name in files if name.endswith(".ctl")), "")


def prove_nonmem(run: PreparedRun) -> Proof:
    """At the initial estimates NONMEM accepts, and at moved ones as in `prove_monolix`."""
    thetas = tuple(replace(theta, init=start(theta)) for theta in run.model.thetas)
    started = replace(run.model, thetas=thetas)
    proofs = []
    for model in (started, moved_model(started, seed=1)):
        files, _ = to_nonmem(model, dataset=run.dataset)
        numbers = {eta: to for eta, to in effect_numbers(model.omega).items() if eta not in model.zero_etas}
        with tempfile.TemporaryDirectory() as folder:
            for file, text in files.items():
                (Path(folder) / file).write_text(text, encoding="utf-8")
            try:
                two = prepare(Path(folder) / _stream(files))
                proofs.append(_compared(replace(run, model=model), two, numbers))
            except NlmevaeError as error:
                sentence = f"the written control stream is not executed: {error.message}"
                proofs.append(Proof(largest=np.inf, compared=1, sentence=sentence))
    worst = max(proofs, key=lambda p: (max(p.largest, p.density), p.compared))
    return replace(worst, compared=sum(p.compared for p in proofs), points=sum(p.points for p in proofs))


def _compared(one: PreparedRun, two: PreparedRun, effects: dict[str, str]) -> Proof:
    """The stream has the logarithms of log-normal outcomes as its values, so that the densities are those of them."""
    from nlmevae_translators.proof import compare

    return compare(replace(one, table=replace(one.table, ob_scale=None)), two, effects)


def _to_monolix(source: _Source, name: str, *, proof: bool) -> Conversion:
    written, made = to_monolix(source.run, name=name, absent=source.absent), None
    if source.absent is not None:
        checked = written.files and proof and not written.steady
        made = source.absent.proof(prove_monolix(source.run, name, n_doses=STEADY_DOSES) if checked else None)
    elif written.files and proof:
        written, made = _proved(source.run, name, written)
    report = Report(entries=written.entries, proof=made)
    return Conversion(files=written.files, report=report, main=written.main)


def _proved(run: PreparedRun, name: str, written: Written) -> tuple[Written, Proof]:
    """With as few steady-state doses as give the same predictions."""
    if not written.steady:
        return written, prove_monolix(run, name, n_doses=STEADY_DOSES)
    made = Proof()
    for n_doses in _STEADY_TRIALS:
        written = to_monolix(run, name=name, n_doses=n_doses)
        made = prove_monolix(run, name, n_doses=n_doses)
        if made.holds:
            return written, made
    if made.sentence != "computed":
        return written, made
    reason = f"{_STEADY_TRIALS[-1]} doses before it do not lead to it: predictions differ by {made.largest:.1g}"
    entries = [
        replace(e, kind="refused", reason=reason) if e.kind == "lossy" and e.construct.startswith("SS=") else e
        for e in written.entries
    ]
    return replace(written, entries=tuple(entries)), made


def prove_monolix(run: PreparedRun, name: str, *, n_doses: int) -> Proof:
    """Convert at moved values of the THETAs as well: an initial estimate of 0 or 1 would hide a factor."""
    from nlmevae_translators.proof import compare, effects_by_label

    proofs = []
    for moved in (run, replace(run, model=moved_model(run.model, seed=1))):
        written = to_monolix(moved, name=name, n_doses=n_doses)
        with tempfile.TemporaryDirectory() as folder:
            for file, text in written.files.items():
                (Path(folder) / file).write_text(text, encoding="utf-8")
            try:
                two = prepare(Path(folder) / written.main)
                effects = effects_by_label(two.model, written.effects)
                proofs.append(compare(moved, two, effects, unused=written.unused, times=written.times))
            except NlmevaeError as error:
                sentence = f"the written project is not executed: {error.message}"
                proofs.append(Proof(largest=np.inf, compared=1, sentence=sentence))
    worst = max(proofs, key=lambda p: (max(p.largest, p.density), p.compared))
    return replace(worst, compared=sum(p.compared for p in proofs), points=sum(p.points for p in proofs))


def moved_model(model: Model, *, seed: int) -> Model:
    """The model at other values of its THETAs, inside their bounds and of the same sign."""
    rng = np.random.default_rng(seed)
    thetas = []
    for theta in model.thetas:
        shift = float(rng.uniform(0.05, 0.15)) * (1.0 if rng.random() < 0.5 else -1.0)
        value = theta.init * (1.0 + shift) if theta.init else shift
        inside = theta.lower < value < theta.upper
        if not inside and np.isfinite([theta.lower, theta.upper]).all():
            value = theta.init + 0.2 * (theta.upper - theta.init)
            inside = theta.lower < value < theta.upper
        thetas.append(replace(theta, init=value) if inside and not theta.fixed else theta)
    return replace(model, thetas=tuple(thetas))


def write_files(files: dict[str, str], folder: Path, *, overwrite: bool) -> None:
    """
    Raises:
        OutputError: a file is there, or cannot be written.
    """
    there = [name for name in files if (folder / name).exists()]
    if there and not overwrite:
        raise OutputError(
            f"{folder / there[0]} exists already", hint="choose another folder with --out, or give --overwrite"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}", hint="check the folder") from None
