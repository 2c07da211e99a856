"""Blocks of OMEGA as correlations."""

from __future__ import annotations

import math

from nlmevae.ir import CovarianceBlock, Model
from nlmevae_translators.report import Entry
from nlmevae_translators.to_monolix.individual import IndividualSection
from nlmevae_translators.to_monolix.occasions import LEVEL
from nlmevae_translators.to_monolix.population import PopulationValue, rounded
from nlmevae_translators.to_monolix.refusal import RefusedError


def correlation_lines(
    model: Model, individual: IndividualSection
) -> tuple[list[str], list[PopulationValue], list[Entry]]:
    """Lines of [INDIVIDUAL], their parameters, entries of the report.

    Raises:
        RefusedError: a block without all its covariances.
    """
    owner = {d.eta: d.name for d in individual.definitions if d.eta}
    between = {d.occasion.block.names[d.occasion.position]: d.name for d in individual.definitions if d.occasion}
    pairs: dict[str, list[str]] = {"id": [], LEVEL: []}
    parameters: list[PopulationValue] = []
    entries: list[Entry] = []
    for block in model.omega:
        level, names, prefix = ("id", owner, "corr_") if block.names[0] in owner else (LEVEL, between, "corr2_")
        effects = [n for n in block.names if n in names]
        if not effects or block.same_as is not None:
            continue
        found = _pairs(block, effects, names, prefix)
        pairs[level] += [text for text, _ in found]
        parameters += [p for _, p in found]
        entries.append(_entry(block, effects, names, between=level == LEVEL, correlated=bool(found)))
    lines = [f"correlation = {{level={level}, {', '.join(own)}}}" for level, own in pairs.items() if own]
    return lines, parameters, entries


def _entry(
    block: CovarianceBlock, effects: list[str], names: dict[str, str], *, between: bool, correlated: bool
) -> Entry:
    reason = "variances as standard deviations" + (", covariances as correlations" if correlated else "")
    construct = f"OMEGA of {', '.join(effects)}"
    if between:
        construct += " and its repetitions (SAME)"
        reason = f"variability between occasions, varlevel={LEVEL}: {reason}"
    target = f"{'gamma' if between else 'omega'}_{names[effects[0]]}"
    return Entry(construct=construct, kind="rule", reason=reason, source=block.at, target=target)


def _pairs(
    block: CovarianceBlock, effects: list[str], owner: dict[str, str], prefix: str
) -> list[tuple[str, PopulationValue]]:
    found = []
    places = [block.names.index(n) for n in effects]
    free = [(i, j) for i in places for j in places if j < i and block.matrix[i][j] != 0.0]
    if free and len(free) < len(places) * (len(places) - 1) // 2:
        raise RefusedError(
            f"OMEGA of {', '.join(effects)}",
            "only some of its covariances are free; Monolix correlates all of a group or none. Give every pair a "
            "covariance, or make blocks of those that are correlated",
            block.at,
        )
    for i, j in free:
        one, two = owner[block.names[j]], owner[block.names[i]]
        value = rounded(block.matrix[i][j] / math.sqrt(block.matrix[i][i] * block.matrix[j][j]))
        name = f"{prefix}{one}_{two}"
        found.append((f"r({one}, {two})={name}", PopulationValue(name, value, block.fixed)))
    return found
