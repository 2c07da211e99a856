"""Random effects that nothing reads: their blocks are idle, and stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from nlmevae.errors import NlmevaeError
from nlmevae.ir import CovarianceBlock, Diagnostic

#: (block, effect nothing reads, whether others of its block are read) -> what is wrong.
Refuse = Callable[[CovarianceBlock, str, bool], NlmevaeError]
#: Block none of whose effects is read -> the warning.
Warn = Callable[[CovarianceBlock], Diagnostic]


def idle_blocks(
    blocks: tuple[CovarianceBlock, ...], used: Collection[str], refuse: Refuse, warn: Warn
) -> tuple[tuple[CovarianceBlock, ...], list[Diagnostic]]:
    """`blocks` with those idle none of whose effects is `used`, and a warning for each estimate.

    Raises:
        NlmevaeError: no effect is used, or only some of a block and of those that repeat it.
    """
    names = [name for block in blocks for name in block.names]
    if names and not any(name in used for name in names):
        raise refuse(blocks[0], names[0], False)
    found, notes = [], []
    blocks = _apart(blocks, used)
    groups = [number if block.same_as is None else block.same_as for number, block in enumerate(blocks)]
    for number, block in enumerate(blocks):
        members = [name for b, g in zip(blocks, groups, strict=True) if g == groups[number] for name in b.names]
        unused = [name for name in block.names if name not in used]
        if not unused:
            found.append(block)
        elif any(name in used for name in members):
            raise refuse(block, unused[0], True)
        else:
            found.append(replace(block, fixed=True, idle=True))
            if not block.fixed:
                notes.append(warn(block))
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
