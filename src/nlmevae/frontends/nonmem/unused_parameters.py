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
    names = [name for block in blocks for name in block.names]
    if names and not any(name in used for name in names):
        raise _refusal(names[0], f"use it in the code, or remove it from ${record}", blocks[0].at)
    found, notes = [], []
    blocks = _apart(blocks, used)
    groups = [number if block.same_as is None else block.same_as for number, block in enumerate(blocks)]
    for number, block in enumerate(blocks):
        group = [b for b, g in zip(blocks, groups, strict=True) if g == groups[number]]
        members = [name for b in group for name in b.names]
        unused = [name for name in block.names if name not in used]
        if not unused:
            found.append(block)
        elif any(name in used for name in members):
            hint = f"use it in the code, or give it a ${record} of its own, not correlated and not SAME"
            raise _refusal(unused[0], f"{hint}; remove it if it is not needed", block.at)
        else:
            found.append(replace(block, fixed=True, idle=True))
            if not block.fixed:
                values = ", ".join(f"{block.matrix[k][k]:g}" for k in range(len(unused)))
                notes.append(_warning(" and ".join(unused), f"its ${record} stays", values, block.at))
    return tuple(found), notes


def _apart(blocks: tuple[CovarianceBlock, ...], used: Collection[str]) -> tuple[CovarianceBlock, ...]:
    """Without correlation every effect is a block of its own; taken apart where only some of them are used."""
    found: list[CovarianceBlock] = []
    first_of: dict[int, int] = {}
    repeated = {block.same_as for block in blocks}
    for number, block in enumerate(blocks):
        first_of[number] = len(found)
        several = {name in used for name in block.names} == {True, False}
        diagonal = not any(v for i, row in enumerate(block.matrix) for j, v in enumerate(row) if i != j)
        if several and diagonal and block.same_as is None and number not in repeated:
            found += [
                replace(block, names=(name,), matrix=((block.matrix[k][k],),), labels=block.labels[k : k + 1])
                for k, name in enumerate(block.names)
            ]
        else:
            found.append(replace(block, same_as=None if block.same_as is None else first_of[block.same_as]))
    return tuple(found)


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
