"""$THETA, $OMEGA and $SIGMA with the project's names as labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nlmevae.ir import CovarianceBlock, Model, PopulationParameter
from nlmevae_translators.report import Entry
from nlmevae_translators.to_nonmem.code_text import number_text
from nlmevae_translators.to_nonmem.lines import Line, plain, plain_text, stating
from nlmevae_translators.to_nonmem.parameter_labels import label_comments

#: NONMEM estimates no THETA that starts at 0.
SMALL_START = 1e-4


def variance_text(value: float) -> str:
    """Squares and products of what the project states: the last digit is rounding."""
    return number_text(float(f"{value:.15g}"))


def effect_order(blocks: Sequence[CovarianceBlock]) -> tuple[int, ...]:
    """Indices of the blocks in an order in which each that repeats another follows it: SAME repeats the one before."""
    first = [_first(blocks, k) for k in range(len(blocks))]
    return tuple(j for k in dict.fromkeys(first) for j, own in enumerate(first) if own == k)


def _first(blocks: Sequence[CovarianceBlock], k: int) -> int:
    """The block whose values block `k` has in the end: one that repeats may repeat one that does."""
    same = blocks[k].same_as
    return k if same is None else _first(blocks, same)


def effect_numbers(blocks: Sequence[CovarianceBlock]) -> dict[str, str]:
    """``ETA(n)`` of the model -> that of the stream."""
    names = [name for k in effect_order(blocks) for name in blocks[k].names]
    return {name: f"ETA({number})" for number, name in enumerate(names, 1)}


def theta_lines(model: Model) -> list[Line]:
    lines = plain(["$THETA"])
    width = max((len(_theta(t)) for t in model.thetas), default=0)
    comments = label_comments(t.label for t in model.thetas)
    for theta in model.thetas:
        entry = Entry(
            construct=theta.label, kind="rule" if _moved(theta) else "lossless", reason=_theta_reason(theta),
            source=theta.at,
        )  # fmt: skip
        lines += stating([f"  {_theta(theta):<{width}} ; {comments[theta.label]}"], entry)
    return lines


def _moved(theta: PopulationParameter) -> bool:
    """NONMEM refuses its initial estimate."""
    return not theta.fixed and theta.init in (0.0, theta.lower, theta.upper)


def start(theta: PopulationParameter) -> float:
    """The initial estimate in the stream."""
    if not _moved(theta):
        return theta.init
    if theta.init == theta.upper:
        return theta.init - SMALL_START * max(1.0, abs(theta.init))
    return theta.init + SMALL_START * max(1.0, abs(theta.init))


def _theta(theta: PopulationParameter) -> str:
    value = number_text(start(theta))
    if theta.fixed:
        return f"{value} FIX"
    if math.isfinite(theta.upper):
        lower = number_text(theta.lower) if math.isfinite(theta.lower) else "-INF"
        return f"({lower}, {value}, {number_text(theta.upper)})"
    return f"({number_text(theta.lower)}, {value})" if math.isfinite(theta.lower) else value


def _theta_reason(theta: PopulationParameter) -> str:
    reason = "method=FIXED: FIX" if theta.fixed else "a THETA; bounds are those of its distribution"
    if _moved(theta):
        reason += f"; starts at {number_text(start(theta))}: NONMEM starts no THETA at 0 or at a bound"
    return reason


def omega_lines(model: Model) -> list[Line]:
    """Variances and covariances; Monolix states standard deviations and correlations."""
    lines: list[Line] = []
    comments = label_comments(name for block in model.omega for name in block.labels or block.names)
    for k in effect_order(model.omega):
        block = model.omega[k]
        if block.same_as is not None:
            names = ", ".join(comments[name] for name in block.labels or block.names)
            lines += plain([f"$OMEGA BLOCK({len(block.names)}) SAME ; {names[:100]}"])
        else:
            lines += _block(block, comments, repeated=any(other.same_as == k for other in model.omega))
    return lines


def _block(block: CovarianceBlock, comments: Mapping[str, str], *, repeated: bool) -> list[Line]:
    labels = block.labels or block.names
    fixed = " FIX" if block.fixed else ""
    if len(block.names) == 1:
        entry = Entry(
            construct=labels[0], kind="rule", reason="standard deviation: its square in $OMEGA", source=block.at
        )
        head = "$OMEGA BLOCK(1)" if repeated else "$OMEGA"  # SAME repeats a BLOCK
        return stating([f"{head} {variance_text(block.matrix[0][0])}{fixed} ; {comments[labels[0]]}"], entry)
    entry = Entry(
        construct=f"correlation of {', '.join(labels)}",
        kind="rule",
        reason=f"covariances r sd sd: $OMEGA BLOCK({len(labels)})",
        source=block.at,
    )
    lines = stating([f"$OMEGA BLOCK({len(labels)}){fixed}"], entry)
    for i, label in enumerate(labels):
        values = " ".join(variance_text(v) for v in block.matrix[i][: i + 1])
        lines.append(Line(f"  {values} ; {comments[label]}"))
    return lines


def sigma_lines(model: Model) -> list[Line]:
    return plain(
        f"$SIGMA {number_text(block.matrix[0][0])} FIX ; residual error of {plain_text(name)}"
        for block, name in zip(model.sigma, _outcomes(model), strict=True)
    )


def _outcomes(model: Model) -> list[str]:
    return [next((o.name for o in model.observations if name in o.epsilons), name) for name in model.epsilons]
