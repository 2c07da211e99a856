"""What a project states otherwise than the control stream it was written from, and whether the report says so.

Names and numbering differ by design; random effects meet by the names the translator gives for them. Values of THETAs
are not compared here: they may stand on another scale, and the proof moves them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nlmevae.estimation.parameter_count import count_parameters
from nlmevae.ir import Model
from nlmevae_translators.proof import effects_by_label
from nlmevae_translators.report import Entry

#: Kind of difference -> what a reason of the report must say for it.
_REASONS = {
    "distribution": r"none of Monolix's distributions|acts on a value that is fixed|on the scale of the parameter",
    "outcomes": r"logarithm of the prediction|observation types|linear in EPS|shares a parameter|left out",
    "estimated parameters": r"left out",
    "compartments": r"macros|ddt_|administration",
}


@dataclass(frozen=True, slots=True)
class Difference:
    kind: str
    text: str

    def named_by(self, entries: Sequence[Entry]) -> bool:
        pattern = _REASONS.get(self.kind)
        return pattern is not None and any(re.search(pattern, e.reason) for e in entries)


def stated_differences(
    stream: Model, project: Model, effects: Mapping[str, str], unused: Collection[str] = ()
) -> list[Difference]:
    """Args:
    effects: ETA of the stream -> label of its standard deviation in the project.
    unused: ETAs of the stream that the data do not have an occasion for.
    """
    same = effects_by_label(project, effects)
    return [*_variances(stream, project, same, unused), *_distributions(stream, project, same), *_rest(stream, project)]


def _variances(stream: Model, project: Model, same: Mapping[str, str], unused: Collection[str]) -> Iterator[Difference]:
    acting = [eta for eta in stream.etas if eta not in stream.zero_etas and eta not in unused]
    if set(acting) != set(same):
        yield Difference("effects", f"{', '.join(acting)} became {', '.join(same)}")
        return
    one, two = _covariance(stream), _covariance(project)
    for k, eta in enumerate(acting):
        for other in acting[: k + 1]:
            a, b = (
                one.get(frozenset((eta, other)), (0.0, True)),
                two.get(frozenset((same[eta], same[other])), (0.0, True)),
            )
            if not np.isclose(a[0], b[0], rtol=1e-9, atol=0.0):
                yield Difference("variance", f"{eta}, {other}: {a[0]} became {b[0]}")
            if a[0] and a[1] != b[1]:
                yield Difference("variance", f"{eta}, {other}: fixed {a[1]} became {b[1]}")


def _covariance(model: Model) -> dict[frozenset[str], tuple[float, bool]]:
    """Of a pair of effects that are correlated: the value, and whether it is fixed."""
    found = {}
    for block in model.omega:
        for i, name in enumerate(block.names):
            for j, other in enumerate(block.names[: i + 1]):
                if block.matrix[i][j] != 0.0:
                    found[frozenset((name, other))] = block.matrix[i][j], block.fixed
    return found


def _distributions(stream: Model, project: Model, same: Mapping[str, str]) -> Iterator[Difference]:
    one = {p.eta: p.transform for p in stream.individual_parameters}
    two = {p.eta: p.transform for p in project.individual_parameters}
    for eta, other in same.items():
        a, b = one.get(eta), two.get(other)
        if a is not None and a != b:
            yield Difference("distribution", f"{eta}: {a} became {b}")


def _rest(stream: Model, project: Model) -> Iterator[Difference]:
    pairs = (
        ("estimated parameters", *(count_parameters(m).total for m in (stream, project))),
        ("outcomes", _outcomes(stream), _outcomes(project)),
        ("compartments", len(stream.structural.compartments), len(project.structural.compartments)),
    )
    yield from (Difference(kind, f"{a} became {b}") for kind, a, b in pairs if a != b)


def _outcomes(model: Model) -> Counter[tuple[str, bool]]:
    return Counter((o.error.kind, o.error.power is not None) for o in model.observations)
