"""A study whose fits are one number each, for what runs studies; its module can be imported by workers."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from nlmevae.errors import DataError
from nlmevae.results.fit_record import FitRecord


@dataclass(frozen=True)
class Numbers:
    """Fit k is k * k. What goes wrong: `refused` k raises our error, `broken` k any other; `deadly` k kills its process
    with SIGKILL, the first `deaths` times that it is tried (counted by files in `folder`)."""

    refused: int = 0
    broken: int = 0
    deadly: int = 0
    deaths: int = 0
    folder: str = ""
    seconds: float = 0.0

    def fitter(self):
        return self._fit

    def _fit(self, task) -> FitRecord:
        time.sleep(self.seconds)
        k = task.number
        if k == self.refused:
            raise DataError("no observations", hint="add some")
        if k == self.broken:
            raise ZeroDivisionError("what happened")
        if k == self.deadly and len(list(Path(self.folder).glob("death*"))) < self.deaths:
            (Path(self.folder) / f"death-{time.time_ns()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return FitRecord(number=k, model=task.model, status="CONVERGED", minus_two_ll=float(k), values=(float(k * k),))
