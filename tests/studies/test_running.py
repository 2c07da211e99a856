"""Who does the fits: this process or dask workers, which may die; what is wrong with one fit is its record."""

from __future__ import annotations

import pickle
import sys

import pytest

from nlmevae.errors import MissingDependencyError, SettingsError
from nlmevae.results.fit_record import FitRecord
from nlmevae.studies import pool
from nlmevae.studies.ledger import open_ledger
from nlmevae.studies.pool import Workers
from nlmevae.studies.run import run_study
from nlmevae.studies.work import Task, Work
from tests.helpers.small_study import Numbers

HERE = Workers(n=0)


def tasks(n: int) -> list[Task]:
    return [Task(0, k) for k in range(1, n + 1)]


def run(tmp_path, study, n, workers, told=None):
    ledger, _ = open_ledger(tmp_path / "study", {"seed": "1"})
    return run_study(study, tasks(n), ledger, workers, told)


def test_all_fits_are_done_and_told(tmp_path):
    told = []
    fits = run(tmp_path, Numbers(), 4, HERE, lambda record, done, total: told.append((done, total)))
    assert [r.values[0] for r in fits.records] == [1.0, 4.0, 9.0, 16.0]
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert fits.missing == ()


def test_what_is_wrong_with_one_fit_is_its_record(tmp_path):
    fits = run(tmp_path, Numbers(refused=2, broken=3), 4, HERE)
    assert [r.status for r in fits.records] == ["CONVERGED", "REFUSED", "DEFECT", "CONVERGED"]
    assert fits.records[1].message == "no observations -> add some"
    assert "ZeroDivisionError: what happened" in fits.records[2].message
    assert not fits.records[1].usable


def test_a_second_run_does_only_what_is_missing(tmp_path):
    run(tmp_path, Numbers(), 3, HERE)
    told = []
    fits = run(tmp_path, Numbers(broken=2), 5, HERE, lambda record, done, total: told.append(record and record.number))
    assert told == [None, 4, 5]
    assert [r.status for r in fits.records] == ["CONVERGED"] * 5


def test_an_interrupt_keeps_what_is_finished(tmp_path):
    def interrupt(record, done, total):
        if done == 2:
            raise KeyboardInterrupt

    fits = run(tmp_path, Numbers(), 4, HERE, interrupt)
    assert fits.interrupted
    assert [r.number for r in fits.records] == [1, 2]
    assert fits.missing == (Task(0, 3), Task(0, 4))


class Interrupted:
    def fitter(self):
        return lambda task: FitRecord(number=task.number, status="INTERRUPTED")


def test_an_interrupted_fit_is_no_result(tmp_path):
    fits = run(tmp_path, Interrupted(), 2, HERE)
    assert fits.interrupted
    assert fits.records == ()


def test_another_process_prepares_the_study_anew(tmp_path):
    ledger, _ = open_ledger(tmp_path, {"seed": "1"})
    work = Work(Numbers(), ledger)
    work.do(Task(0, 1))
    again = pickle.loads(pickle.dumps(work))
    assert again.do(Task(0, 2)).values == (4.0,)


def test_workers_of_another_version_are_refused(tmp_path):
    ledger, _ = open_ledger(tmp_path, {"seed": "1"})
    with pytest.raises(SettingsError, match=r"a worker runs nlmevae .*, this is 0\.0\.0"):
        Work(Numbers(), ledger, "0.0.0")


@pytest.mark.parametrize(
    "given", [{"n": -1}, {"n": True}, {"n": 1.5}, {"n": 2, "scheduler": "a"}, {"scheduler": "a", "scheduler_file": "b"}]
)
def test_impossible_workers_are_refused(given):
    with pytest.raises(SettingsError):
        Workers(**given)


def test_without_dask_the_message_has_the_install_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError) as error:
        Workers().require()
    assert "pip install 'nlmevae[dask]'" in error.value.hint
    assert "--workers 0" in error.value.hint
    HERE.require()


def test_a_missing_scheduler_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"no scheduler file .*nowhere\.json"):
        Workers(scheduler_file=str(tmp_path / "nowhere.json")).require()


def test_dask_workers_give_the_same_records_and_survive_deaths(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    study = Numbers(refused=2, broken=5, deadly=3, deaths=2, folder=str(tmp_path))
    fits = run(tmp_path, study, 12, Workers(n=2))
    alone = run(tmp_path / "alone", Numbers(refused=2, broken=5), 12, HERE)
    assert len(list(tmp_path.glob("death*"))) == 2

    def plain(records):
        return [(r.number, r.status, r.message, r.values) for r in records]

    assert plain(fits.records) == plain(alone.records)


def test_a_fit_that_always_kills_its_worker_is_lost_and_the_others_are_not(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    monkeypatch.setattr(pool, "ALONE", 1)
    told = {}
    study = Numbers(deadly=3, deaths=10**6, folder=str(tmp_path))
    fits = run(tmp_path, study, 5, Workers(n=1), lambda r, done, total: r and told.update({r.number: r.status}))
    assert told[3] == "LOST"
    assert [r.number for r in fits.records] == [1, 2, 4, 5]
    assert fits.missing == (Task(0, 3),)


def test_nobody_at_the_address_is_an_error_with_a_remedy(monkeypatch, tmp_path):
    pytest.importorskip("distributed")
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 1)
    with pytest.raises(SettingsError, match=r"no dask scheduler at tcp://127\.0\.0\.1:9") as error:
        run(tmp_path, Numbers(), 1, Workers(scheduler="tcp://127.0.0.1:9"))
    assert "dask scheduler" in error.value.hint
