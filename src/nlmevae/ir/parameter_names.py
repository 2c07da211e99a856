"""What a user may call a population parameter: its NONMEM name, or its label where that is unambiguous."""

from __future__ import annotations

from nlmevae.ir.model import Model
from nlmevae.ir.parameters import CovarianceBlock


def parameter_names(model: Model) -> dict[str, str]:
    """Accepted spelling, upper case -> ``THETA(1)``, ``OMEGA(2,1)``, ``SIGMA(1,1)``.

    Labels are those the model text gives; one that names two parameters names none. The label of a THETA wins over
    that of a variance, because CL is the clearance and not its variability.
    """
    thetas = [(t.label, t.name) for t in model.thetas]
    variances = [*_labels("OMEGA", model.omega), *_labels("SIGMA", model.sigma)]
    names = _unambiguous(variances) | _unambiguous(thetas)
    for word, n in (("OMEGA", len(model.etas)), ("SIGMA", len(model.epsilons))):
        for i in range(1, n + 1):
            for j in range(1, i + 1):
                names |= {f"{word}({i},{j})": f"{word}({i},{j})", f"{word}({j},{i})": f"{word}({i},{j})"}
    return names | {t.name: t.name for t in model.thetas}


def estimated_names(model: Model) -> set[str]:
    """Names of the parameters that are estimated on their own: not fixed, not between blocks, not SAME."""
    names = {t.name for t in model.thetas if not t.fixed}
    for word, blocks in (("OMEGA", model.omega), ("SIGMA", model.sigma)):
        start = 1
        for block in blocks:
            stop = start + len(block.names)
            if not block.fixed and block.same_as is None:
                names |= {f"{word}({i},{j})" for i in range(start, stop) for j in range(start, i + 1)}
            start = stop
    return names


def _labels(word: str, blocks: tuple[CovarianceBlock, ...]) -> list[tuple[str, str]]:
    labels = [block.labels[k] if k < len(block.labels) else "" for block in blocks for k in range(len(block.names))]
    return [(label, f"{word}({i + 1},{i + 1})") for i, label in enumerate(labels)]


def _unambiguous(pairs: list[tuple[str, str]]) -> dict[str, str]:
    upper = [label.upper() for label, _ in pairs]
    return {label: name for label, (_, name) in zip(upper, pairs, strict=True) if label and upper.count(label) == 1}
