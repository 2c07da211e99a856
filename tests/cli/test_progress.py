"""A running fit says where it is and how long it will take."""

import io

import pytest

from nlmevae.cli.progress import LiveProgress, PlainProgress, progress_line
from nlmevae.estimation.trace import ProgressEvent
from tests.helpers.results import trace_row


def event(iteration: int, *, phase: str = "vae", total: int | None = 60, left: float | None = 8.0) -> ProgressEvent:
    row = trace_row(iteration, phase=phase)
    return ProgressEvent(
        phase=phase, iteration=iteration, total=total, objective=371.2, seconds=3.2, seconds_left=left, row=row
    )


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_line_names_phase_iteration_objective_and_time_left():
    assert " ".join(progress_line(event(12)).split()) == "vae 12/60 -2ELBO 371.20 3.2 s, about 8.0 s left"


def test_the_first_iterations_promise_no_time():
    assert "left" not in progress_line(event(1, left=490.0))


def test_the_last_iteration_promises_no_time():
    assert "left" not in progress_line(event(60, left=0.0))


def test_the_polish_reports_the_likelihood_and_has_no_known_end():
    line = progress_line(event(3, phase="polish", total=None, left=None))
    assert "-2LL 371.20" in line
    assert "until it stops improving" in line


def test_a_fit_of_under_two_seconds_prints_its_title_only():
    stream, clock = io.StringIO(), Clock()
    with PlainProgress(stream, title="fitting run1.ctl", clock=clock) as progress:
        for k in range(100):
            clock.now = 0.0199 * k
            progress.update(event(k))
    assert stream.getvalue() == "fitting run1.ctl\n"


def test_a_long_fit_prints_a_line_every_five_seconds():
    stream, clock = io.StringIO(), Clock()
    with PlainProgress(stream, title="fitting", clock=clock) as progress:
        for k in range(301):
            clock.now = 0.1 * k
            progress.update(event(k))
    assert len(stream.getvalue().splitlines()) == 1 + 6  # at 2, 7, 12, 17, 22, 27 s


@pytest.mark.parametrize("totals", [(30, 60, None), (None, None, None)])
def test_the_live_display_follows_the_phases(totals):
    stream = io.StringIO()
    with LiveProgress(stream) as progress:
        for phase, total in zip(("burn-in", "vae", "polish"), totals, strict=True):
            progress.update(event(1, phase=phase, total=total))
            progress.update(event(2, phase=phase, total=total))
    shown = stream.getvalue()
    assert all(word in shown for word in ("burn-in", "vae", "polish", "-2LL 371.20"))
