"""nlmevae as Pharmpy's estimation tool.

    from nlmevae.hosts import pharmpy as host

    results = host.fit(model)                                # pharmpy's ModelfitResults
    host.install()                                           # once per process
    pharmpy.tools.fit(model, esttool="nlmevae")
    pharmpy.tools.run_tool("covsearch", ..., esttool="nlmevae")

Pharmpy has no place where a tool is registered, so `install` adds one to what it looks up. That, and how it reads
results, belongs to one series of Pharmpy: another one is refused with a sentence. Without `install` Pharmpy runs
nlmevae as NONMEM (`nlmevae nmfe install`), which works with every series.

Models of one process are fitted one after the other.
"""

from __future__ import annotations

import importlib
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlmevae.errors import MissingDependencyError, UnsupportedError
from nlmevae.hosts.nmfe import NmfeRun, run_nmfe

if TYPE_CHECKING:
    from pharmpy.model import Model
    from pharmpy.workflows import ModelEntry
    from pharmpy.workflows.results import ModelfitResults

NAME = "nlmevae"

#: The series of Pharmpy that this module was written for.
SERIES = "2.1"

#: What is used of it beyond its documented functions, by module.
CONTRACT = {
    "pharmpy.workflows.args": ("ALLOWED_ESTTOOLS",),
    "pharmpy.tools.modelfit.tool": ("get_execute_model",),
    "pharmpy.tools.external.nonmem": ("parse_modelfit_results",),
    "pharmpy.model.external.nonmem": ("convert_model",),
}

#: Of the files of a run, what Pharmpy keeps of NONMEM's.
_KEPT = (".lst", ".ext", ".phi", ".cov", ".cor", ".coi", ".ets")

_one_at_a_time = threading.Lock()


def fit(model: Model, **settings: Any) -> ModelfitResults:
    """Fit a Pharmpy model; nothing is written.

    Args:
        settings: those of `nlmevae.fit` (seed, method, ...).

    Raises:
        ModelError, DataError, SettingsError: what nlmevae refuses, and why.
        MissingDependencyError: no Pharmpy, or one of another series.
    """
    check_pharmpy()
    options = {name: _setting_text(value) for name, value in settings.items()}
    with tempfile.TemporaryDirectory(prefix="nlmevae-") as folder:
        written = write_run(model, Path(folder))
        done = _execute(Path(folder), options)
        if done.error is not None:
            raise done.error
        return read_run(written, Path(folder))


def install() -> None:
    """Let Pharmpy know the tool "nlmevae", in this process.

    Raises:
        MissingDependencyError: no Pharmpy, or one of another series.
    """
    check_pharmpy()
    arguments = importlib.import_module("pharmpy.workflows.args")
    tool = importlib.import_module("pharmpy.tools.modelfit.tool")
    if NAME in arguments.ALLOWED_ESTTOOLS:
        return
    others = tool.get_execute_model
    arguments.ALLOWED_ESTTOOLS = (*arguments.ALLOWED_ESTTOOLS, NAME)
    tool.get_execute_model = lambda name: execute_model if name == NAME else others(name)


def execute_model(entry: ModelEntry, context: Any) -> ModelEntry:
    """What Pharmpy's workflows call for one model: its results, also of a failure, and its files in their database."""
    with tempfile.TemporaryDirectory(prefix="nlmevae-") as name:
        folder = Path(name)
        written = write_run(entry.model, folder)
        done = _execute(folder, {})
        if done.message:
            context.log_warning(f"nlmevae: {done.message}", model=entry.model)
        results = read_run(written, folder)
        entry = entry.attach_results(modelfit_results=results, log=results.log if results is not None else None)
        with context.model_database.transaction(entry) as transaction:
            for path in (*(folder / f"model{suffix}" for suffix in _KEPT), *done.tables):
                if path.is_file():
                    transaction.store_local_file(path)
            transaction.store_metadata({"plugin": NAME, "path": str(folder)})
    context.store_model_entry(entry)
    return entry


def write_run(model: Model, folder: Path) -> Model:
    """Control stream and data of a model in a folder; the model as Pharmpy wrote it.

    Raises:
        UnsupportedError: the model has no data.
    """
    from pharmpy.modeling import convert_model, write_dataset, write_model

    if model.dataset is None:
        raise UnsupportedError("the Pharmpy model has no data set", hint="read its data first")
    model = convert_model(model, "nonmem")
    model = write_dataset(model, path=folder / "data.csv", force=True)
    return write_model(model, path=folder / "model.ctl", force=True)


def read_run(model: Model, folder: Path) -> ModelfitResults:
    """The results, by Pharmpy's own reader; of a refused model those of a failed fit."""
    from pharmpy.tools.external.nonmem import parse_modelfit_results

    return parse_modelfit_results(model, folder / "model.ctl")


def check_pharmpy(version: str | None = None, find: Callable[[str], Any] = importlib.import_module) -> None:
    """
    Args:
        version: None: of the Pharmpy that is installed.

    Raises:
        MissingDependencyError: there is none, it is of another series, or it lacks what is used of it.
    """
    remedy = f"pip install 'pharmpy-core>={SERIES},<2.2', or let Pharmpy run nlmevae as NONMEM (nlmevae nmfe install)"
    if version is None:
        try:
            version = str(find("pharmpy").__version__)
        except ImportError:
            raise MissingDependencyError("pharmpy is not installed", hint="pip install 'nlmevae[pharmpy]'") from None
    if version.split(".")[:2] != SERIES.split("."):
        raise MissingDependencyError(f"this is Pharmpy {version}, and nlmevae knows {SERIES}", hint=remedy)
    for module, names in CONTRACT.items():
        missing = [name for name in names if not hasattr(find(module), name)]
        if missing:
            raise MissingDependencyError(f"Pharmpy {version} has no {module}.{missing[0]}", hint=remedy)


def _execute(folder: Path, options: Mapping[str, str]) -> NmfeRun:
    with _one_at_a_time:
        return run_nmfe(folder / "model.ctl", folder / "model.lst", options=options)


def _setting_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
