"""Random effects between occasions: repeated blocks of OMEGA (SAME) of which one acts on every record.

    IF (OCC.EQ.1) IOV = ETA(3)
    IF (OCC.EQ.2) IOV = ETA(4)          $OMEGA BLOCK(1) 0.1   $OMEGA BLOCK(1) SAME

However the code chooses them (IF, indicators, the time), the records tell: the code is computed with every effect
moved in turn, and what moves with it at a record is that record's occasion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nlmevae.errors import Location
from nlmevae.ir import CovarianceBlock, Model, names_assigned, names_read
from nlmevae.ir.evaluate import run
from nlmevae_translators.to_monolix.refusal import RefusedError
from nlmevae_translators.to_monolix.source_data import SourceData

#: Name of the level of occasions, as Monolix writes it whatever the column's name.
LEVEL = "id*occ"


@dataclass(frozen=True, slots=True)
class OccasionEffect:
    """One effect between occasions: the ETAs of the occasions that the data have, in the order of their values, those
    of occasions that they do not have, and the block with the variance."""

    etas: tuple[str, ...]
    unused: tuple[str, ...]
    block: CovarianceBlock
    position: int

    @property
    def symbol(self) -> str:
        """Stands for the effect, whatever the occasion, in formulas."""
        return f"kappa:{self.block.names[self.position]}"


@dataclass(frozen=True, slots=True)
class Occasions:
    """Attributes:
    item: the data item that numbers them; "": none does, and they are counted from 1.
    values: (n_rows,) value of every record in the column of occasions.
    effects: none where the data have one occasion: its ETAs are then as any other.
    unused: ETAs of occasions without records.
    """

    item: str
    values: np.ndarray
    effects: tuple[OccasionEffect, ...]
    unused: frozenset[str]


def find_occasions(data: SourceData) -> Occasions | None:
    """None: nothing varies between occasions.

    Raises:
        RefusedError: blocks that are repeated for something else, or records without an occasion.
    """
    chains = list(_chains(data.model))
    if not chains:
        return None
    level = _joined([_levels(data, chain) for chain in chains], data, chains)
    item, values = _numbered(data, level, chains[0][0].at)
    _check_order(data, values, chains[0][0].at)
    order = sorted(set(level[level >= 0].tolist()), key=lambda k: float(values[level == k][0]))
    effects = []
    for chain in chains:
        rest = [block for k, block in enumerate(chain) if k not in order]
        for j in range(len(chain[0].names)):
            etas = tuple(chain[k].names[j] for k in order if k < len(chain))
            if len(etas) < len(order):
                raise _other_division(chain)
            effects.append(OccasionEffect(etas, tuple(b.names[j] for b in rest), chain[0], j))
    unused = frozenset(eta for effect in effects for eta in effect.unused)
    return Occasions(item, values, tuple(effects) if len(order) > 1 else (), unused)


def partly_active(data: SourceData, etas: Sequence[str]) -> frozenset[str]:
    """ETAs that act on some records and not on others, as those of one occasion do."""
    moved = activity(data, etas)
    return frozenset(eta for eta, rows in zip(etas, moved, strict=True) if rows.any() and not rows.all())


def activity(data: SourceData, etas: Sequence[str]) -> np.ndarray:
    """(len(etas), n_rows) bool: moving the ETA moves something at the record."""
    env = _environment(data)
    base = _computed(data, env)
    return np.array([_moved(base, _computed(data, {**env, eta: env[eta] + 0.5}), len(data.subject)) for eta in etas])


# chains ---------------------------------------------------------------------------------------------
def _chains(model: Model) -> Iterator[list[CovarianceBlock]]:
    """Blocks that repeat one another, the first of each the one with the values."""
    first: dict[int, int] = {}
    found: dict[int, list[CovarianceBlock]] = {}
    for k, block in enumerate(model.omega):
        first[k] = k if block.same_as is None else first[block.same_as]
        found.setdefault(first[k], []).append(block)
    for chain in found.values():
        if len(chain) > 1 and not set(chain[0].names) <= model.zero_etas:
            yield chain


def _levels(data: SourceData, chain: Sequence[CovarianceBlock]) -> np.ndarray:
    """(n_rows,) which block of the chain acts on the record; -1: none does."""
    active = np.array([activity(data, block.names).any(axis=0) for block in chain])
    together = np.flatnonzero(active.sum(axis=0) > 1)
    if len(together):
        etas = [n for k, block in enumerate(chain) if active[k, together[0]] for n in block.names]
        raise RefusedError(
            f"SAME of {', '.join(n for b in chain for n in b.names)}",
            f"{' and '.join(etas)} act together on line {data.run.dataset.lines[together[0]]}: one variance for "
            "several parameters has no counterpart in Monolix, where only the occasions of one parameter share theirs",
            chain[0].at,
        )
    return np.where(active.any(axis=0), active.argmax(axis=0), -1)


def _joined(levels: list[np.ndarray], data: SourceData, chains: list[list[CovarianceBlock]]) -> np.ndarray:
    """One division of the records into occasions for all chains; where one says nothing another may."""
    level = levels[0].copy()
    for own, chain in zip(levels[1:], chains[1:], strict=True):
        both = (level >= 0) & (own >= 0)
        if np.any(level[both] != own[both]):
            raise _other_division(chain)
        level = np.where(level >= 0, level, own)
    return level


def _other_division(chain: Sequence[CovarianceBlock]) -> RefusedError:
    return RefusedError(
        f"SAME of {', '.join(n for b in chain for n in b.names)}",
        "these occasions are others than those of the blocks before; a project here has one level of occasions. Give "
        "the blocks one ETA per occasion in the same order",
        chain[0].at,
    )


# numbers --------------------------------------------------------------------------------------------
def _numbered(data: SourceData, level: np.ndarray, at: Location | None) -> tuple[str, np.ndarray]:
    """The data item whose values are the occasions, and their numbers."""
    known = level >= 0
    items = sorted(set(data.canonical.values()), key=lambda n: "OCC" not in n.upper())
    for item in items:
        values = data.values(item)
        if not np.all(values == np.round(values)) or data.role(item) in ("id", "dv"):
            continue
        pairs = set(zip(level[known].tolist(), values[known].tolist(), strict=True))
        one = len(pairs) == len({k for k, _ in pairs}) == len({v for _, v in pairs})
        if one and set(values.tolist()) == {v for _, v in pairs}:
            return item, values
    if not known.all():
        line = data.run.dataset.lines[int(np.argmin(known))]
        raise RefusedError(
            "occasions",
            f"none of the effects between occasions acts on line {line}; in Monolix every line belongs to an occasion "
            "and has one. Give the code an ETA for it, or leave the record out",
            at,
        )
    return "", level + 1.0


def _check_order(data: SourceData, values: np.ndarray, at: Location | None) -> None:
    """Every occasion of a subject is one block of records."""
    ptr = data.run.dataset.subject_ptr
    for first, last in pairwise(ptr):
        seen: list[float] = []
        for k in range(first, last):
            if seen and values[k] == seen[-1]:
                continue
            if values[k] in seen:
                raise RefusedError(
                    "occasions",
                    f"line {data.run.dataset.lines[k]} goes back to occasion {values[k]:g} after another; in Monolix "
                    "an occasion is one period. Number the periods one after the other",
                    at,
                )
            seen.append(float(values[k]))


# activity -------------------------------------------------------------------------------------------
def _environment(data: SourceData) -> dict[str, object]:
    """Values for all that the code reads: data items by record, the rest anything."""
    model = data.model
    rng = np.random.default_rng(1)
    code = (*model.program.pk, *model.program.des, *model.program.error)
    env: dict[str, object] = {n: float(rng.uniform(0.5, 2.0)) for n in sorted(names_read(code))}
    env |= dict.fromkeys(names_assigned(code), 0.0)
    env |= {t.name: t.init * 1.07 if t.init else 0.11 for t in model.thetas}
    env |= {n: float(rng.normal(0.0, 0.2)) for n in (*model.etas, *model.epsilons)}
    env |= dict.fromkeys(model.zero_etas, 0.0)
    return env | {item: data.values(item) for item in data.canonical}


def _computed(data: SourceData, env: Mapping[str, object]) -> list[object]:
    """All that predictions depend on."""
    model = data.model
    after = run(model.executed.pk, env)
    found = [after[n] for n in sorted(model.structural.program_names) if n in after]
    slopes = run(model.executed.des, after)
    found += [slopes[f"DADT({c.number})"] for c in model.structural.compartments if f"DADT({c.number})" in slopes]
    return [*found, run(model.executed.error, after).get("Y", 0.0)]


def _moved(one: list[object], two: list[object], n: int) -> np.ndarray:
    pairs = [np.broadcast_arrays(a, b, np.empty(n))[:2] for a, b in zip(one, two, strict=True)]
    return np.any([(a != b) & ~(np.isnan(a) & np.isnan(b)) for a, b in pairs], axis=0)
