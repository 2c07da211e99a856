"""THETAs, ETAs and EPSs that Y does not depend on: NONMEM keeps them, with a gradient of zero.

The likelihood does not depend on such a THETA, nor on the variance of such an effect where it is independent of all
that act. They stay at their initial estimates, as if FIX, and a warning names them; the effect itself is 0, its most
likely value, and so in tables. Where such an effect belongs to a block with others that act, the block has directions
in which the likelihood is flat: that stops.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from nlmevae.errors import Location, SemanticError
from nlmevae.frontends.idle_blocks import idle_blocks
from nlmevae.ir import CovarianceBlock, Diagnostic, PopulationParameter


def with_idle_thetas(
    thetas: tuple[PopulationParameter, ...], used: Collection[str]
) -> tuple[tuple[PopulationParameter, ...], list[Diagnostic]]:
    """`thetas` with those fixed that are not `used`, and a warning for each that was not FIX."""
    idle = [t for t in thetas if t.name not in used and not t.fixed]
    notes = [_warning(t.name, "it stays", f"{t.init:g}", t.at) for t in idle]
    return tuple(replace(t, fixed=True) if t in idle else t for t in thetas), notes


def with_idle_blocks(
    record: str, blocks: tuple[CovarianceBlock, ...], used: Collection[str]
) -> tuple[tuple[CovarianceBlock, ...], list[Diagnostic]]:
    """`blocks` of $OMEGA or $SIGMA with those idle none of whose effects is `used`, and a warning for each estimate.

    Raises:
        SemanticError: no effect is used, or only some of a block and of those that repeat it.
    """

    def refuse(block: CovarianceBlock, name: str, others: bool) -> SemanticError:
        if not others:
            return _refusal(name, f"use it in the code, or remove it from ${record}", block.at)
        hint = f"use it in the code, or give it a ${record} of its own, not correlated and not SAME"
        return _refusal(name, f"{hint}; remove it if it is not needed", block.at)

    def warn(block: CovarianceBlock) -> Diagnostic:
        values = ", ".join(f"{block.matrix[k][k]:g}" for k in range(len(block.names)))
        return _warning(" and ".join(block.names), f"its ${record} stays", values, block.at)

    return idle_blocks(blocks, used, refuse, warn)


def _warning(names: str, stays: str, values: str, at: Location | None) -> Diagnostic:
    return Diagnostic(
        code="unused-parameter",
        severity="warning",
        message=f"Y does not depend on {names}: {stays} at {values}",
        hint="remove it, or write FIX",
        location=at,
    )


def _refusal(name: str, hint: str, at: Location | None) -> SemanticError:
    return SemanticError(f"Y does not depend on {name}", hint=hint, location=at)
