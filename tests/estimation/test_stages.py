"""Stages of a run: kept, and continued by another process."""

from __future__ import annotations

import time

import numpy as np
import pytest

from nlmevae.estimation import stages as module
from nlmevae.estimation.stages import Clock, Stages


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Every safe place is kept, however long it takes."""
    monkeypatch.setattr(module, "SHARE", 1e9)


class Selector:
    count = 0


def walk(stages: Stages, *, steps: int = 5, stop: int | None = None, told: list | None = None) -> tuple[float, int]:
    """A random walk in two stages; `stop`: killed in that step of the second."""
    selector = Selector()
    stages.remember("count", selector, "count")

    def first(_):
        selector.count += 10
        return np.random.default_rng(3)

    def second(stage):
        place, begin = (0.0, 0) if stage.state is None else stage.state[:2]
        rng = start if stage.state is None else stage.state[2]
        for i in range(begin, steps):
            stage.reached(lambda place=place, i=i: (place, i, rng))
            if i == stop:
                raise MemoryError
            selector.count += 1
            place += rng.standard_normal()
        return place

    start = stages.run("first", first, tell=(told or []).append)
    return stages.run("second", second), selector.count


def test_a_run_that_was_killed_ends_as_if_it_had_not_been():
    expected = walk(Stages())
    for stop in range(5):
        kept = []
        with pytest.raises(MemoryError):
            walk(Stages(kept.append, every=0.0), stop=stop)
        assert walk(Stages(known=kept[-1])) == expected


def test_every_checkpoint_leads_to_the_same_end():
    kept = []
    expected = walk(Stages(kept.append, every=0.0))
    assert len(kept) == 7
    assert {walk(Stages(known=checkpoint)) for checkpoint in kept} == {expected}


def test_an_interrupted_stage_has_no_outcome_and_goes_on():
    kept = []
    stages = Stages(kept.append, every=0.0)
    assert stages.run("only", lambda stage: stage.reached(lambda: 7), finished=lambda _: False) is None
    seen = []
    Stages(known=kept[-1]).run("only", lambda stage: seen.append(stage.state))
    assert seen == [7]


def test_a_kept_outcome_is_told():
    kept, told = [], []
    Stages(kept.append, every=0.0).run("a", lambda _: 5)
    Stages(known=kept[-1]).run("a", lambda _: pytest.fail("was kept"), tell=told.append)
    assert told == [5]


def test_states_are_not_made_before_they_are_due():
    Stages(lambda _: None, every=60.0).run("a", lambda stage: stage.reached(lambda: pytest.fail("too early")))
    Stages().run("a", lambda stage: stage.reached(lambda: pytest.fail("nothing is kept")))


def test_a_checkpoint_that_takes_long_makes_them_rare(monkeypatch):
    monkeypatch.setattr(module, "SHARE", 0.01)
    kept = []

    def keep(checkpoint):
        kept.append(checkpoint)
        time.sleep(0.02)

    def work(stage):
        for i in range(1000):
            stage.reached(lambda i=i: i)
            time.sleep(1e-4)

    Stages(keep, every=0.0).run("a", work)
    assert 1 <= len(kept) <= 2


def test_what_cannot_be_kept_does_not_end_the_run():
    kept = []
    stages = Stages(kept.append, every=0.0)
    assert stages.run("a", lambda stage: [stage.reached(lambda: print), 5][1]) == 5
    assert "print" in stages.failure


def test_seconds_go_on():
    first = Clock()
    first.lap("setup")
    later = Clock({"setup": 2.0, "vae": 1.0, "total": 3.5})
    later.lap("vae")
    assert later.seconds["setup"] == 2.0
    assert later.seconds["vae"] == pytest.approx(1.5, abs=0.1)
    assert later.seconds["total"] == pytest.approx(3.5, abs=0.1)
