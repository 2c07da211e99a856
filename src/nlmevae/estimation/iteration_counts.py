"""How many steps of its parts a run usually takes, where a stopping rule or the data decide.

Everything that only experience tells stands here; `estimation/forecast.py` multiplies it with what a step takes on the
user's machine. Counted in the fits and searches that `python -m tests.benchmarks.time_forecast` makes of the fixtures
and of the reference data, which it prints beside the forecast.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usual:
    """How many there are: usually, and in nine of ten runs at least and at most."""

    low: float
    usual: float
    high: float

    def times(self, seconds: float) -> Usual:
        return Usual(self.low * seconds, self.usual * seconds, self.high * seconds)

    def plus(self, other: Usual) -> Usual:
        return Usual(self.low + other.low, self.usual + other.usual, self.high + other.high)


#: Iterations of the approach that follow those of the settings, while the likelihood still falls.
LONGER = Usual(0, 1, 5)
#: Of an alternative start, until it is given up or has arrived.
ALTERNATIVE = Usual(3, 8, 13)
#: Iterations of the polish with the settings' draws, and such that test convergence.
ORDINARY, TESTS = Usual(1, 2, 8), Usual(1, 1.3, 4)
#: Along a ridge, which the trial sees: ordinary ones, and iterations with large batches of fresh draws, half of them
#: with either size of batch.
RIDGE_ORDINARY, RIDGE_LARGE = Usual(2, 5, 12), Usual(4, 8, 18)
#: Of a run that begins with a part of very many subjects: iterations with few draws of all of them after that.
AFTER_SOME = Usual(2, 3, 6)
#: Times the polish of a fit that that of a search takes: checks of close decisions, rivals that are estimated.
SEARCH = Usual(1.2, 2.5, 6)
#: Rounds of the fit of a sample that sharpens its end.
SHARPENING = Usual(1, 1.5, 3)
#: Times the draws that the trial says subjects need anew; and times the first draws of all, those that it does not
#: show, because some subjects' weights are poor at the final estimates only.
REDRAWN, UNSEEN = Usual(0, 1, 2), Usual(0, 0.15, 3)
