"""Variability between occasions with an ETA for each: equal variances of their own -> BLOCK(1) SAME.

    IF (OCC.EQ.1) IOV = ETA(3)         $OMEGA 0.04      ->     $OMEGA BLOCK(1) 0.04
    IF (OCC.EQ.2) IOV = ETA(4)         $OMEGA 0.04             $OMEGA BLOCK(1) SAME

The variances had one value each and now have one: unless they are fixed, estimates can change, and the report says so.
That the ETAs do the same on their occasions is tried by the reference evaluator at random points, however the code
chooses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.frontends.recognition.points import compared_numbers, sample_etas, sample_items, sample_thetas
from nlmevae.ir import CovarianceBlock, Model, initial_elements, names_read
from nlmevae.ir.evaluate import run
from nlmevae.writers.selected_model_check import individual_code, visible_names
from nlmevae.writers.stream_edit import Edit, insertion, line_end_of, line_start
from nlmevae_translators.modernise.draft import Draft
from nlmevae_translators.modernise.initial_values import Value, values_of
from nlmevae_translators.report import Entry

N_POINTS = 200
_SEED = 4711
_RELATIVE = 1e-10


@dataclass(frozen=True, slots=True)
class Occasions:
    """`etas` act alike, each where the data item has its level; `first` is the index of the first one's block."""

    item: str
    levels: tuple[float, ...]
    etas: tuple[str, ...]
    first: int


def with_same(draft: Draft) -> tuple[Draft, list[Entry]]:
    """The draft with SAME for every group of occasions whose records can be changed."""
    entries: list[Entry] = []
    for group in _groups(draft.model):
        edits = _edits(draft, group)
        made = draft.edited(edits) if edits else None
        model = draft.model
        if made is None or _tied(model, group) != replace(made.model, omega=_bare(made.model.omega)).omega:
            continue
        entries.append(_entry(draft, group))
        draft = made
    return draft, entries


def _bare(blocks: tuple[CovarianceBlock, ...]) -> tuple[CovarianceBlock, ...]:
    return tuple(replace(block, labels=()) for block in blocks)


def _tied(model: Model, group: Occasions) -> tuple[CovarianceBlock, ...]:
    """The blocks as they should then be read."""
    repeats = range(group.first + 1, group.first + len(group.etas))
    return _bare(tuple(replace(b, same_as=group.first) if k in repeats else b for k, b in enumerate(model.omega)))


def _entry(draft: Draft, group: Occasions) -> Entry:
    block = draft.model.omega[group.first]
    levels = ", ".join(f"{level:g}" for level in group.levels)
    reason = f"they do the same where {group.item} is {levels}: BLOCK(1) SAME"
    if not block.fixed:
        reason += "; their variances were estimated apart and now are one, so estimates can change"
    return Entry(
        construct=f"variances of {', '.join(group.etas)}",
        kind="rule" if block.fixed else "lossy",
        reason=reason,
        source=draft.place(block.at),
    )


# which ETAs -----------------------------------------------------------------------------------------


def _groups(model: Model) -> Iterator[Occasions]:
    possible = _possible(model)
    start = 0
    for group in possible:
        if group.first >= start and _alike(model, group, [g for g in possible if g.item == group.item]):
            yield group
            start = group.first + len(group.etas)


def _possible(model: Model) -> list[Occasions]:
    """By their variances; those of one item do not overlap."""
    found: list[Occasions] = []
    for item, values in _levels(model).items():
        start = 0
        while start < len(model.omega):
            group = _starting_at(model, start, item, values)
            found += [group] if group is not None else []
            start += len(values) if group is not None else 1
    return sorted(found, key=lambda g: g.first)


def _levels(model: Model) -> dict[str, tuple[float, ...]]:
    """Data items and the numbers the code compares them with."""
    items = {c.name for c in model.data.columns if c.role == "covariate"}
    compared = compared_numbers(individual_code(model))
    return {name: tuple(sorted(n)) for name, n in compared.items() if name in items and len(n) > 1}


def _starting_at(model: Model, start: int, item: str, levels: tuple[float, ...]) -> Occasions | None:
    others = {p.eta for p in model.individual_parameters} | model.zero_etas | _elsewhere(model)
    blocks = model.omega[start : start + len(levels)]
    etas = tuple(name for b in blocks for name in b.names)
    single = len(blocks) == len(levels) == len(etas) and all(b.same_as is None for b in blocks)
    equal = len({(b.matrix, b.fixed) for b in blocks}) == 1
    if single and equal and not others & set(etas):
        return Occasions(item, levels, etas, start)
    return None


def _elsewhere(model: Model) -> frozenset[str]:
    """What code behind the individual level reads."""
    if not model.structural.compartments:
        return frozenset()
    return names_read(model.program.des) | names_read(model.program.error)


def _alike(model: Model, group: Occasions, groups: list[Occasions]) -> bool:
    """With one value of the ETA of its occasion, whatever the others have, every occasion gives the same; other
    `groups` have one value in all occasions."""
    rng = np.random.default_rng(_SEED)
    points = {
        **sample_thetas(model, N_POINTS, rng, fixed="held"),
        **sample_items(model, N_POINTS, rng),
        **sample_etas(model, N_POINTS, rng),
        **initial_elements(model),
        **{name: rng.standard_normal(N_POINTS) for name in model.epsilons},
    }
    for other in groups:
        points |= dict.fromkeys(other.etas, points[other.etas[0]])
    effect = rng.standard_normal(N_POINTS)
    found = []
    for size in (1.0, 1.0, 0.5):  # the last one shows that the effect acts at all
        for level, eta in zip(group.levels, group.etas, strict=True):
            own = {other: rng.standard_normal(N_POINTS) for other in group.etas} | {eta: size * effect}
            found.append(_visible(model, {**points, **own, **_item(model, group.item, level)}))
    n = len(group.levels)
    same = all(_equal(found[0], other) for other in found[1 : 2 * n])
    return same and not _equal(found[0], found[2 * n])


def _item(model: Model, item: str, level: float) -> dict[str, np.ndarray]:
    names = [n for c in model.data.columns if item in (c.name, c.synonym) for n in (c.name, c.synonym) if n]
    return {name: np.full(N_POINTS, level) for name in names}


def _visible(model: Model, points: dict) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):
        values = run(individual_code(model), points)
    return {name: values[name] for name in sorted(visible_names(model)) if name in values}


def _equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(
        np.allclose(a[name], b[name], rtol=_RELATIVE, atol=1e-300, equal_nan=True) for name in a
    )


# text -----------------------------------------------------------------------------------------------


def _edits(draft: Draft, group: Occasions) -> list[Edit]:
    """None where a value stands in a form that is not taken apart."""
    found: dict[str, tuple[Value, bool]] = {}
    after: list[Value] = []
    for record in draft.stream.named("OMEGA"):
        values = values_of(draft.model, draft.source, record)
        for k, value in enumerate(values):
            found[value.name] = (value, k == 0)
            if value.name == group.etas[-1]:
                after = values[k + 1 : k + 2]
    if not set(group.etas) <= found.keys():
        return []
    edits = []
    for eta in group.etas:
        value, first = found[eta]
        edits.append(_own_record(draft, value, "BLOCK(1) ", first=first))
        if eta != group.etas[0]:
            edits.append(Edit(value.start, value.stop, "SAME"))
    edits += [_own_record(draft, value, "", first=False) for value in after]
    return edits


def _own_record(draft: Draft, value: Value, option: str, *, first: bool) -> Edit:
    """Makes a value the first one of a record of its own."""
    if first:
        return insertion(value.start, option)
    begin = line_start(draft.source, value.start)
    if not draft.text[begin : value.start].strip():
        return Edit(begin, value.start, f"$OMEGA {option}")
    blank = value.start - len(draft.text[begin : value.start].rstrip(" \t,")) - begin
    return Edit(value.start - blank, value.start, f"{line_end_of(draft.text)}$OMEGA {option}")
