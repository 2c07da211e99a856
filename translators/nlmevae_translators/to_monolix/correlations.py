"""Blocks of OMEGA as correlations."""

from __future__ import annotations

import math

from nlmevae.ir import CovarianceBlock, Model
from nlmevae_translators.report import Entry
from nlmevae_translators.to_monolix.individual import IndividualSection
from nlmevae_translators.to_monolix.population import PopulationValue
from nlmevae_translators.to_monolix.refusal import RefusedError


def correlation_lines(
    model: Model, individual: IndividualSection
) -> tuple[list[str], list[PopulationValue], list[Entry]]:
    """Lines of [INDIVIDUAL], their parameters, entries of the report.

    Raises:
        RefusedError: a block without all its covariances, or one that repeats another (SAME).
    """
    owner = {d.eta: d.name for d in individual.definitions if d.eta}
    pairs: list[str] = []
    parameters: list[PopulationValue] = []
    entries: list[Entry] = []
    for block in model.omega:
        effects = [n for n in block.names if n in owner]
        if block.same_as is not None and effects:
            reason = "variability between occasions (SAME) is not converted yet; write varlevel={id, id*occ} by hand"
            raise RefusedError(f"SAME of {', '.join(effects)}", reason, block.at)
        size = f"OMEGA of {', '.join(effects)}"
        if not effects:
            continue
        found = _pairs(block, effects, owner)
        pairs += [text for text, _ in found]
        parameters += [p for _, p in found]
        reason = "variances as standard deviations" + (", covariances as correlations" if found else "")
        entries.append(
            Entry(construct=size, kind="rule", reason=reason, source=block.at, target=f"omega_{owner[effects[0]]}")
        )
    lines = [f"correlation = {{level=id, {', '.join(pairs)}}}"] if pairs else []
    return lines, parameters, entries


def _pairs(block: CovarianceBlock, effects: list[str], owner: dict[str, str]) -> list[tuple[str, PopulationValue]]:
    found = []
    places = [block.names.index(n) for n in effects]
    free = [(i, j) for i in places for j in places if j < i and block.matrix[i][j] != 0.0]
    if free and len(free) < len(places) * (len(places) - 1) // 2:
        raise RefusedError(
            f"OMEGA of {', '.join(effects)}",
            "only some of its covariances are free; Monolix correlates all of a group or none",
            block.at,
        )
    for i, j in free:
        one, two = owner[block.names[j]], owner[block.names[i]]
        value = block.matrix[i][j] / math.sqrt(block.matrix[i][i] * block.matrix[j][j])
        name = f"corr_{one}_{two}"
        found.append((f"r({one}, {two})={name}", PopulationValue(name, value, block.fixed)))
    return found
