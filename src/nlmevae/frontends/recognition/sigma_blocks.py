"""$SIGMA blocks: which covariances act on a record, and which no record can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nlmevae.errors import UnsupportedError
from nlmevae.ir import CovarianceBlock, Diagnostic, Model, ObservationModel


def block_of(model: Model, name: str) -> CovarianceBlock:
    """The block of one EPS."""
    return next(block for block in model.sigma if name in block.names)


def variance_of(model: Model, name: str) -> float:
    block = block_of(model, name)
    k = block.names.index(name)
    return block.matrix[k][k]


def covariance_of(model: Model, first: str, second: str) -> float:
    """0 between blocks."""
    block = block_of(model, first)
    if second not in block.names:
        return 0.0
    return block.matrix[block.names.index(first)][block.names.index(second)]


def is_correlated(model: Model, first: str, second: str) -> bool:
    """Whether the covariance of two EPS is estimated, or fixed at something other than 0."""
    block = block_of(model, first)
    return second in block.names and (not block.fixed or covariance_of(model, first, second) != 0.0)


def check_sigma(model: Model) -> None:
    """Raises UnsupportedError: a correlated block is repeated (SAME)."""
    for block in model.sigma:
        if block.same_as is not None and len(block.names) > 1:
            raise UnsupportedError(
                f"{', '.join(block.names)}: a $SIGMA block that repeats another one (SAME) is not supported",
                hint="give each EPS a $SIGMA of its own; single variances may be repeated",
                location=block.at,
            )


def without_idle_covariances(
    model: Model, observations: Sequence[ObservationModel]
) -> tuple[tuple[CovarianceBlock, ...], tuple[Diagnostic, ...]]:
    """The blocks, those whose EPS never act on one record taken apart, and a note for each.

    Without L2 the residual errors of different records are independent in NONMEM too: the covariance of EPS(1) on one
    endpoint and EPS(2) on the other does not enter the likelihood.

    Raises:
        UnsupportedError: a block of three or more EPS, some of which are correlated on one record.
    """
    correlated = [o.error.correlation.names for o in observations if o.error.correlation is not None]
    blocks: list[CovarianceBlock] = []
    first_of: dict[int, int] = {}
    notes = []
    for number, block in enumerate(model.sigma):
        acting = [names for names in correlated if names[0] in block.names]
        if acting and len(block.names) > 2:
            raise UnsupportedError(
                f"{', '.join(block.names)}: a $SIGMA block of more than two EPS is only supported where no record has "
                "two of them",
                hint="give the two EPS of one endpoint a BLOCK(2) of their own",
                location=block.at,
            )
        first_of[number] = len(blocks)
        same_as = None if block.same_as is None else first_of[block.same_as]
        if acting or block.fixed or len(block.names) == 1:
            blocks.append(replace(block, same_as=same_as))
            continue
        blocks += [
            CovarianceBlock(names=(name,), matrix=((block.matrix[k][k],),), labels=block.labels[k : k + 1], at=block.at)
            for k, name in enumerate(block.names)
        ]
        notes.append(
            Diagnostic(
                code="sigma-covariance-idle",
                severity="note",
                message=f"the covariances of {', '.join(block.names)} have no effect, because these act on different "
                "records (in NONMEM too, unless there is an L2 data item): they are left at 0",
                hint="write $SIGMA without BLOCK",
                location=block.at,
            )
        )
    return tuple(blocks), tuple(notes)
