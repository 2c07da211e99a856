"""What `nmfe75 model.ctl model.lst` does: a control stream executed where it lies, NONMEM's files beside it.

Files have the names NONMEM gives them: the report as it is named, the others after the control stream. As NONMEM's
script does, it replaces results of an earlier run; the control stream and the data are never touched.

There is always a report. Of a run that cannot begin it has NM-TRAN's sentence for that, our message, and no results
stand beside it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nlmevae import __version__
from nlmevae.errors import DataError, ModelError, NlmevaeError, OutputError, UnsupportedError
from nlmevae.hosts.engine_options import engine_options
from nlmevae.results.run_folder import RunFolder
from nlmevae.results.status import FitStatus

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.estimation.trace import ProgressEvent
    from nlmevae.ir import Model
    from nlmevae.prepared_run import PreparedRun
    from nlmevae.results.fit_result import FitResult

#: Of NONMEM's files, beyond `RunFolder.files`: one left by another run would be read as this one's.
OTHER_SUFFIXES = (".cpu", ".grd", ".clt", ".phm", ".xml", ".cnv", ".rmt", ".smt", ".coi", ".bfm", ".vpd")

#: Exit codes of a run without results, and of one whose result is not to be used.
REFUSED, FAILED, INTERRUPTED = 2, 1, 130

#: Samples of each subject where ETASAMPLES=1 comes without ISAMPLE (NONMEM's default of ISAMPLE).
USUAL_SAMPLES = {"SAEM": 2, "BAYES": 1}
_OTHER_SAMPLES = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class NmfeRun:
    """How it ended: `code` is the exit code, `message` what the user has to know (empty: nothing), `warnings` what was
    noticed, `result` None if there is none, `error` why nothing was executed, `tables` the $TABLE files."""

    code: int
    message: str = ""
    warnings: tuple[str, ...] = ()
    result: FitResult | None = None
    error: NlmevaeError | None = None
    tables: tuple[Path, ...] = ()


def run_nmfe(
    control_stream: Path,
    report: Path,
    *,
    options: Mapping[str, str] | None = None,
    progress: Callable[[ProgressEvent], None] | None = None,
    started: Callable[[PreparedRun], None] | None = None,
) -> NmfeRun:
    """Execute a control stream and write its files into its folder, and the report.

    Args:
        options: settings that override those of the control stream's comments and the environment.
        progress: called after every iteration.
        started: called when model and data are read, before the fit.

    Raises:
        ModelError: there is no such control stream.
        OutputError: not even the report can be written.
    """
    begin = Begin.now()
    text = _text_of(control_stream)
    _check_names(control_stream, report, text)
    _remove_previous(control_stream, report, text)
    try:
        return _executed(control_stream, report, text, begin, options or {}, progress, started)
    except NlmevaeError as error:
        _write_refusal(report, text, str(error), begin, _sentence_of(error))
        return NmfeRun(code=REFUSED, message=str(error), error=error)
    except KeyboardInterrupt:
        _write_refusal(report, text, "", begin, "THE RUN WAS INTERRUPTED BEFORE THERE WAS A RESULT.")
        raise
    except Exception as error:
        _write_refusal(report, text, f"{type(error).__name__}: {error}", begin, "A DEFECT OF NLMEVAE ENDED THE RUN.")
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """When a run began; `cpu`: seconds that its process had used."""

    moment: datetime
    cpu: float

    @classmethod
    def now(cls) -> Begin:
        return cls(moment=datetime.now(UTC), cpu=time.process_time())


def _executed(
    control_stream: Path,
    report: Path,
    text: str,
    begin: Begin,
    options: Mapping[str, str],
    progress: Callable[[ProgressEvent], None] | None,
    started: Callable[[PreparedRun], None] | None,
) -> NmfeRun:
    from nlmevae.fitted_run import table_files, write_tables
    from nlmevae.pipeline import open_files, prepare, run_fit
    from nlmevae.writers.atomic import write_atomically

    prepared = prepare(control_stream)
    require_one_estimation(prepared.model)
    settings = settings_of(prepared.model, text, options)
    files = open_files(prepared, overwrite=True)
    tables = table_files(prepared, overwrite=True)
    if started is not None:
        started(prepared)
    result = run_fit(prepared, settings, files=files, progress=progress)
    files.finish(result)
    written = write_tables(prepared, result, tables, threads=settings.on(prepared.table).threads)
    warnings = (*report_notes(prepared, result), *written.warnings)
    cpu = time.process_time() - begin.cpu
    write_atomically(files.folder.folder / f"{files.folder.stem}.cpu", f"{cpu:14.3f}\n")
    write_report(report, prepared, result, begin=begin, warnings=warnings)
    code = {FitStatus.NUMERICAL_FAILURE: FAILED, FitStatus.INTERRUPTED: INTERRUPTED}.get(result.status, 0)
    message = "" if result.status.completed else result.message or result.status.sentence
    return NmfeRun(code=code, message=message, warnings=warnings, result=result, tables=tables.paths)


def require_one_estimation(model: Model) -> None:
    """
    Raises:
        UnsupportedError: NONMEM would not estimate from these data: no $ESTIMATION, or $SIMULATION replaces them.
    """
    if model.simulation is not None:
        raise UnsupportedError(
            "$SIMULATION: the nmfe script estimates and does not simulate",
            hint="remove $SIMULATION, or simulate with nlmevae simulate",
            location=model.simulation.at,
        )
    if not model.estimation:
        raise UnsupportedError(
            "there is no $ESTIMATION, so NONMEM would estimate nothing, and the nmfe script only estimates",
            hint="add $ESTIMATION (MAXEVAL=0 evaluates at the initial estimates), or use nlmevae tables",
        )


def settings_of(model: Model, text: str, options: Mapping[str, str] | None = None) -> FitSettings:
    """What the control stream, its comments and the environment ask for: the covariance step only with $COVARIANCE,
    samples of random effects where ETASAMPLES=1 asks for them.

    Raises:
        SettingsError: a setting that there is not, or an impossible value.
    """
    from nlmevae.cli.options import settings_from_text
    from nlmevae.pipeline import with_stated_seed

    given = engine_options(text) | dict(options or {})
    settings = settings_from_text((), given)
    asked = {"samples": eta_samples(model)} | ({} if model.covariance is not None else {"covariance": "none"})
    settings = dataclasses.replace(settings, **{k: v for k, v in asked.items() if k not in given})
    return with_stated_seed(settings, model, given)


def eta_samples(model: Model) -> int:
    """Samples of each subject's random effects that the last step with ETASAMPLES=1 asks for (ISAMPLE); 0: none.
    Options hold from step to step, as in NM-TRAN."""
    held: dict[str, str | None] = {}
    asked = 0
    for step in model.estimation:
        held |= {name.upper(): value for name, value in step.options}
        if held.get("ETASAMPLES") == "1":
            usual = USUAL_SAMPLES.get(step.method.upper(), _OTHER_SAMPLES)
            value = held.get("ISAMPLE")
            asked = int(value) if value is not None and value.isdigit() else usual
    return asked


def prepare_report(path: Path, prepared: PreparedRun, *, overwrite: bool = False) -> None:
    """Make sure that a report can be written; OutputError if another program's would be lost."""
    from nlmevae.results.run_folder import check_replaceable

    check_replaceable([path], overwrite=overwrite, inputs=[prepared.model.source.path, prepared.dataset.path])


def report_notes(prepared: PreparedRun, result: FitResult) -> tuple[str, ...]:
    """What was noticed about model, data and fit."""
    return (*(n.message for n in prepared.diagnostics if n.severity == "warning"), *result.warnings)


def write_report(
    path: Path, prepared: PreparedRun, result: FitResult, *, begin: Begin, warnings: tuple[str, ...]
) -> None:
    """The `.lst` of a finished run."""
    from nlmevae.frontends.nonmem.records import printable
    from nlmevae.writers.atomic import write_atomically
    from nlmevae.writers.lst import ReportFacts, lst_text

    facts = ReportFacts(
        control_stream=printable(prepared.model.source.text),
        version=__version__,
        started=begin.moment,
        ended=datetime.now(UTC),
        cpu_seconds=time.process_time() - begin.cpu,
        items=prepared.dataset.columns,
        n_records=prepared.dataset.n_rows,
        n_tables=max(1, len(prepared.model.estimation)),
        notes=warnings,
    )
    write_atomically(path, lst_text(result, facts))


def _sentence_of(error: NlmevaeError) -> str:
    """NM-TRAN's, where it has one."""
    from nlmevae.writers.lst import IN_CONTROL_STREAM, IN_DATA

    if isinstance(error, OutputError):
        return "THE RESULTS COULD NOT BE WRITTEN."
    return IN_DATA if isinstance(error, DataError) else IN_CONTROL_STREAM


def _write_refusal(path: Path, text: str, message: str, begin: Begin, sentence: str) -> None:
    from nlmevae.writers.atomic import write_atomically
    from nlmevae.writers.lst import ReportFacts, refusal_text

    facts = ReportFacts(control_stream=text, version=__version__, started=begin.moment, ended=datetime.now(UTC))
    write_atomically(path, refusal_text(message, facts, sentence))


def _text_of(control_stream: Path) -> str:
    """Printable; ModelError if there is no such file."""
    from nlmevae.frontends.nonmem.records import decode, printable

    try:
        return printable(decode(control_stream.read_bytes()))
    except OSError as error:
        raise ModelError(
            f"cannot read {control_stream}: {error.strerror}", hint="check the path of the control stream"
        ) from None


def _check_names(control_stream: Path, report: Path, text: str) -> None:
    """Raises OutputError where the report would replace the control stream, one of the other files, or what the control
    stream names (its data) and is no report."""
    hint = "name the report like model.lst"
    if report.resolve() == control_stream.resolve():
        raise OutputError(f"{report} is the control stream", hint=hint)
    if report.resolve() in {path.resolve() for path in RunFolder.beside(control_stream).files}:
        raise OutputError(f"{report} is the name of another file of this run", hint=hint)
    if report.is_dir() or (report.is_file() and report.name in text and not _is_report(report)):
        raise OutputError(f"{report} exists and is no report, but a file that {control_stream} names", hint=hint)


def _is_report(path: Path) -> bool:
    """Ours or NONMEM's."""
    content = path.read_bytes()
    return b"NM-TRAN MESSAGES" in content or b"(NONMEM) VERSION" in content


def _remove_previous(control_stream: Path, report: Path, text: str) -> None:
    """Results of an earlier run, NONMEM's too, so that they are not read as those of this one. A file that the control
    stream names may be an input, and stays until model and data are read. OutputError if one cannot be removed."""
    folder = RunFolder.beside(control_stream)
    names = [*folder.files, *(folder.folder / f"{folder.stem}{suffix}" for suffix in OTHER_SUFFIXES), report]
    for path in names:
        if path.is_file() and path.resolve() != control_stream.resolve() and path.name not in text:
            try:
                path.unlink()
            except OSError as error:
                raise OutputError(
                    f"cannot remove {path} of an earlier run: {error.strerror}", hint="run in a folder you may write to"
                ) from error
