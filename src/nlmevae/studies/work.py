"""What a process does for a study: prepare once, then one fit after the other, each kept when it is finished."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from nlmevae import __version__
from nlmevae.errors import NlmevaeError, OutputError, SettingsError
from nlmevae.results.fit_record import DEFECT, REFUSED, FitRecord
from nlmevae.results.status import FitStatus
from nlmevae.studies.ledger import Ledger


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """Fit `number` of model `model`."""

    model: int
    number: int


class Study(Protocol):
    """What is fitted; can be sent to another process."""

    def fitter(self) -> Callable[[Task], FitRecord]:
        """What fits: it keeps what all fits share. A record depends on the study and the task alone, not on what was
        fitted before."""
        ...


class Work:
    """A study in one process. Sent to another one it is prepared there anew.

    Raises:
        SettingsError: the other process runs another version.
    """

    def __init__(self, study: Study, ledger: Ledger, version: str = __version__) -> None:
        if version != __version__:
            raise SettingsError(
                f"a worker runs nlmevae {__version__}, this is {version}", hint="install the same version everywhere"
            )
        self._study, self._ledger, self._version = study, ledger, version
        self._fit: Callable[[Task], FitRecord] | None = None
        self._one_at_a_time = threading.Lock()

    def __reduce__(self) -> tuple:
        return Work, (self._study, self._ledger, self._version)

    def do(self, task: Task) -> FitRecord:
        """Fit and, where this process sees the folder of the study, keep the record at once. What is wrong with one
        fit is its record.

        Raises:
            KeyboardInterrupt: it was interrupted; MemoryError: another process may have enough. Neither is kept.
        """
        with self._one_at_a_time:  # a worker of many threads: the engine's own threads are a setting of the fit
            record = self._timed(task)
        if record.status == FitStatus.INTERRUPTED.name:
            raise KeyboardInterrupt
        if self._ledger.is_here():
            with contextlib.suppress(OutputError):  # whoever asked for the fit keeps it, too, and says what is wrong
                self._ledger.keep(record)
        return record

    def _timed(self, task: Task) -> FitRecord:
        start = time.perf_counter()
        try:
            if self._fit is None:
                self._fit = self._study.fitter()
            record = self._fit(task)
        except NlmevaeError as error:
            record = _failed(task, REFUSED, " -> ".join(t for t in (_placed(error), error.hint) if t))
        except MemoryError:
            raise
        except Exception as error:
            sentence = f"This is a defect of nlmevae: {type(error).__name__}: {error}"
            record = _failed(task, DEFECT, sentence)
        return replace(record, seconds=time.perf_counter() - start)


def do(work: Work, task: Task) -> FitRecord:
    """`Work.do`, as a function that clusters can call."""
    return work.do(task)


def _failed(task: Task, status: str, message: str) -> FitRecord:
    return FitRecord(number=task.number, model=task.model, status=status, message=" ".join(message.split()))


def _placed(error: NlmevaeError) -> str:
    return error.message if error.location is None else f"{error.location}: {error.message}"
