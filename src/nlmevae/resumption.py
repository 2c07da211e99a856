"""How a run survives being killed: a checkpoint from time to time, and a later run that goes on from it.

A checkpoint belongs to one model, data set and choice of settings; a run of anything else does not go on from it. The
same run on another machine or with other versions of the numerical libraries may: its last digits may then differ.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from collections.abc import Iterator
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlmevae import __version__
from nlmevae.errors import DataError, OutputError, SettingsError
from nlmevae.results.checkpoint import Checkpoint
from nlmevae.results.fit_result import FitResult
from nlmevae.results.status import FitStatus
from nlmevae.writers.atomic import remove_abandoned
from nlmevae.writers.checkpoint_file import read_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from nlmevae.data.search_space import Search
    from nlmevae.estimation.settings import FitSettings, SelectionSettings
    from nlmevae.estimation.stages import Stages
    from nlmevae.prepared_run import PreparedRun

#: Seconds between checkpoints: what is lost at most, besides the iteration under way.
USUAL_SECONDS = 30.0

#: What a run may differ in from the one it continues: its last digits may.
MAY_DIFFER = ("Python", "numpy", "torch", "numba", "processor")


class Resumption:
    """The checkpoint file of one run. `notes`: sentences for the user, before anything is computed; `warnings`: that
    belong to the result.

    Args:
        resume: go on from the file, if there is one.
        every: seconds between checkpoints; 0: none is written.

    Raises:
        SettingsError: `every` is no such number, or the checkpoint is of another run.
        DataError: it cannot be read.
    """

    def __init__(self, path: Path, provenance: dict[str, str], *, resume: bool = False, every: float = USUAL_SECONDS):
        if not (isinstance(every, int | float) and 0 <= every < float("inf")):
            raise SettingsError(f"{every!r} seconds between checkpoints", hint="give a number, 0 for no checkpoints")
        self.path, self.every, self._provenance = path, float(every), provenance
        self.notes: tuple[str, ...] = ()
        self._differing = self._failure = ""
        self._known: Checkpoint | None = None
        self._stages: Stages | None = None
        if path.exists() or resume:
            self._look(resume=resume)

    def _look(self, *, resume: bool) -> None:
        if not self.path.exists():
            self.notes = (f"There is no {self.path.name}: the run starts from the beginning.",)
        elif not resume:
            self.notes = (
                f"{self.path} is left of a run that did not end. --resume goes on from it; this run starts anew.",
            )
        else:
            self._known, found = read_checkpoint(self.path)
            self._differing = self._differences(found)

    def _differences(self, found: dict[str, str]) -> str:
        names = [n for n in (*self._provenance, *found) if self._provenance.get(n) != found.get(n)]
        names = list(dict.fromkeys(names))
        refused = [n for n in names if n not in MAY_DIFFER]
        if refused:
            raise SettingsError(
                f"{self.path} is of another run: {_listed(refused)} differ",
                hint="restore what was changed, or run without --resume to start anew",
            )
        if not names:
            return ""
        return f"The run began with another {_listed(names)}: its last digits may differ from those of one run."

    @property
    def warnings(self) -> tuple[str, ...]:
        defect = self._stages.failure if self._stages is not None else ""
        failure = f"No checkpoint (a defect of nlmevae): {defect}." if defect else self._failure
        return tuple(w for w in (self._differing, failure) if w)

    def stages(self) -> Stages:
        """For the estimation; what cannot be written does not end it."""
        from nlmevae.estimation.stages import Stages

        self._stages = Stages(self._keep if self.every else None, every=self.every, known=self._known)
        return self._stages

    def _keep(self, checkpoint: Checkpoint) -> None:
        try:
            write_checkpoint(self.path, checkpoint, self._provenance)
            self._failure = ""
        except OutputError as error:
            self._failure = f"No checkpoint: {error.message}."

    def done(self, fit: FitResult) -> None:
        """Call when the results are on disk: the checkpoint has served, unless the run was interrupted."""
        remove_abandoned(self.path)
        if fit.status is not FitStatus.INTERRUPTED:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)


@contextlib.contextmanager
def stages_of(resumption: Resumption | None) -> Iterator[Stages | None]:
    """The stages of a run, None where nothing is kept.

    Raises:
        DataError: the states in the checkpoint turn out to be of no use.
    """
    if resumption is None:
        yield None
        return
    from nlmevae.estimation.snapshot import SnapshotError

    try:
        yield resumption.stages()
    except SnapshotError as error:
        raise DataError(
            f"{resumption.path} is no checkpoint that this version can go on from ({error})",
            hint="run without --resume to start anew",
        ) from error


def with_warnings(fit: FitResult, resumption: Resumption | None) -> FitResult:
    """The result, with what is to be said about its checkpoints."""
    return fit if resumption is None else replace(fit, warnings=(*fit.warnings, *resumption.warnings))


def provenance_of(
    run: PreparedRun,
    settings: FitSettings,
    *,
    search: Search | None = None,
    selection: SelectionSettings | None = None,
) -> dict[str, str]:
    """What the numbers of a run depend on, by the name a user knows it by."""
    found = {
        "the model file": _digest(run.model.source.text or repr(run.model)),
        "the data": _digest(run.table),
        "the settings": json.dumps([_numbers(settings), selection and _values(selection)], default=str),
        "the candidate effects": _digest(search),
        "nlmevae": __version__,
        "Python": platform.python_version(),
        "numpy": np.__version__,
        "torch": version("torch"),
        "numba": version("numba"),
        "processor": _processor(),
    }
    return {name: str(value) for name, value in found.items()}


def _numbers(settings: FitSettings) -> dict[str, Any]:
    """What the numbers of a fit depend on: not how many threads share the work."""
    return {name: value for name, value in settings.as_dict().items() if name != "threads"}


def _values(settings: SelectionSettings) -> dict[str, Any]:
    return {f.name: getattr(settings, f.name) for f in fields(settings)}


def _digest(value: Any) -> str:
    """Of text, or of a dataclass of arrays and plain values."""
    digest = hashlib.sha256()
    parts = [value] if not hasattr(value, "__dataclass_fields__") else [getattr(value, f.name) for f in fields(value)]
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """Its name: vector instructions, on which the order of sums depends, go with it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
