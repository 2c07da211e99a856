"""Cores are those a process was given; work that is shared comes back in order."""

import os
import threading

import pytest

from nlmevae import threads


@pytest.fixture(autouse=True)
def no_limits(monkeypatch, tmp_path):
    for name in threads.LIMITS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "OLD_QUOTA", (tmp_path / "quota", tmp_path / "period"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def test_the_affinity_of_the_process_counts_not_the_machine():
    assert threads.usable_cores() == 8


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000", 8), ("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("", 8), ("x y", 8)],
)
def test_the_quota_of_a_container_limits_them(tmp_path, text, cores):
    (tmp_path / "cpu.max").write_text(text)
    assert threads.usable_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("300000", 3)])
def test_so_does_that_of_an_older_kernel(tmp_path, quota, cores):
    (tmp_path / "quota").write_text(quota)
    (tmp_path / "period").write_text("100000")
    assert threads.usable_cores() == cores


@pytest.mark.parametrize(("given", "cores"), [("3", 3), ("64", 8), ("", 8), ("0", 1), ("many", 8)])
def test_what_the_scheduler_gave_limits_them(monkeypatch, given, cores):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", given)
    assert threads.usable_cores() == cores


def test_results_come_in_the_order_of_the_items():
    with threads.shared_by(3):
        assert threads.each(lambda k: k * k, range(100)) == [k * k for k in range(100)]


def test_one_thread_is_the_caller():
    with threads.shared_by(1):
        assert set(threads.each(lambda _: threading.get_ident(), range(5))) == {threading.get_ident()}


def test_shared_work_is_not_shared_again():
    def outer(_):
        return set(threads.each(lambda _: threading.get_ident(), range(5))) == {threading.get_ident()}

    with threads.shared_by(2), threads.shared_by(4):
        assert all(threads.each(outer, range(8)))


def test_an_error_reaches_the_caller_and_leaves_no_threads():
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), threads.shared_by(2):
        threads.each(lambda k: 1 // k, range(4))
    assert threading.active_count() == before
    assert threads.each(lambda k: k, [1, 2]) == [1, 2]


@pytest.mark.parametrize(("n", "expected"), [(0, []), (3, [(0, 3)]), (7, [(0, 3), (3, 6), (6, 7)])])
def test_parts_cover_everything_once(n, expected):
    assert [(p.start, p.stop) for p in threads.parts(n, 3)] == expected


@pytest.mark.parametrize("number", [1, 2])
def test_parts_know_that_they_are_parts_whatever_the_number_of_threads(number):
    with threads.shared_by(number):
        assert threads.each(lambda _: threads.inside(), range(3)) == [True] * 3
        assert threads.each(lambda _: threads.inside(), range(1)) == [False]
    assert not threads.inside()


def test_two_callers_at_once_have_threads_of_their_own():
    started, ended, found = threading.Event(), threading.Event(), []

    def other():
        with threads.shared_by(2):
            started.set()
            ended.wait(10)
            found.append(threads.each(lambda k: k, range(5)))

    caller = threading.Thread(target=other)
    caller.start()
    started.wait(10)
    with threads.shared_by(2):
        assert threads.each(lambda k: k, range(5)) == [0, 1, 2, 3, 4]
    ended.set()
    caller.join()
    assert found == [[0, 1, 2, 3, 4]]
