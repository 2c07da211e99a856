"""Signs of the two parts of a residual error that is their sum: sd = |a + b f| is |a| + |b| f only where they agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nlmevae.ir.observation import ObservationModel
from nlmevae.ir.parameters import PopulationParameter


def summed_thetas(
    observations: Iterable[ObservationModel], thetas: Iterable[PopulationParameter]
) -> Iterator[tuple[PopulationParameter, PopulationParameter]]:
    """The THETAs (a, b) of every residual error a + b f."""
    by_name = {t.name: t for t in thetas}
    for observation in observations:
        error = observation.error
        a, b = error.a, error.b
        if error.kind == "combined1" and a is not None and b is not None and a.kind == b.kind == "theta":
            yield by_name[a.parameter], by_name[b.parameter]


def opposite_signs(
    observations: Iterable[ObservationModel], thetas: Iterable[PopulationParameter]
) -> tuple[PopulationParameter, PopulationParameter] | None:
    """The first such pair whose initial estimates have opposite signs, the negative one first; None: there is none."""
    for pair in summed_thetas(observations, thetas):
        if pair[0].init * pair[1].init < 0.0:
            negative, positive = sorted(pair, key=lambda t: t.init)
            return negative, positive
    return None
