"""The fits of a study that are not on disk, done and kept one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nlmevae.results.fit_record import FitRecord
from nlmevae.studies.ledger import Ledger
from nlmevae.studies.pool import LOST, Workers, open_pool
from nlmevae.studies.work import Study, Task, Work

#: Told (the fit that was finished, None at the beginning; how many are finished; how many there are in all).
Told = Callable[[FitRecord | None, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """The finished fits, by model and number; `missing` were not finished, `interrupted`: by the user."""

    records: tuple[FitRecord, ...]
    missing: tuple[Task, ...] = ()
    interrupted: bool = False


def run_study(study: Study, tasks: Iterable[Task], ledger: Ledger, workers: Workers, told: Told | None = None) -> Fits:
    """Finish all tasks. Ctrl-C ends the study with the fits that are finished.

    Raises:
        SettingsError: the workers cannot be used. OutputError: a fit cannot be kept.
    """
    tasks = sorted(tasks)
    known = ledger.finished()
    missing = [task for task in tasks if (task.model, task.number) not in known]
    done, interrupted = len(tasks) - len(missing), False
    if told is not None:
        told(None, done, len(tasks))
    try:
        if missing:
            with open_pool(workers, Work(study, ledger), len(missing)) as pool:
                for record in pool.run(missing):
                    done += 1
                    if record.status != LOST:
                        ledger.keep(record)
                    if told is not None:
                        told(record, done, len(tasks))
    except KeyboardInterrupt:
        interrupted = True
    known = ledger.finished()
    return Fits(
        records=tuple(known[task.model, task.number] for task in tasks if (task.model, task.number) in known),
        missing=tuple(task for task in tasks if (task.model, task.number) not in known),
        interrupted=interrupted,
    )
