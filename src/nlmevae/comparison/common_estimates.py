"""Estimates of several programs under one name each."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from nlmevae.results.comparison_result import ComparedEstimate
from nlmevae.results.tool_result import ToolResult

_SD = re.compile(r"omega_(\w+)$")
_POPULATION = re.compile(r"(\w+)_pop$")
_THETA = re.compile(r"THETA\(?(\d+)\)?$")


def common_estimates(results: Sequence[ToolResult]) -> tuple[ComparedEstimate, ...]:
    """Typical values, standard deviations of random effects and coefficients, in ours' order; what only other programs
    have comes behind.

    Names are "P", "omega P" and "beta P~C"; case does not count. THETAs, OMEGAs and SIGMAs of a program that has no
    other names for them keep theirs, with the program's before it.
    """
    named = [_ours(results[0]), *(_theirs(r, results[0]) for r in results[1:])]
    labels: dict[str, str] = {}
    for values in named:
        for name in values:
            labels.setdefault(name.casefold(), name)
    folded = [{name.casefold(): value for name, value in values.items()} for values in named]
    return tuple(
        ComparedEstimate(name=label, values=tuple(values.get(key, math.nan) for values in folded))
        for key, label in labels.items()
    )


def _ours(result: ToolResult) -> dict[str, float]:
    return {e.name: e.value for e in result.estimates} | _betas(result)


def _theirs(result: ToolResult, ours: ToolResult) -> dict[str, float]:
    if all(_THETA.match(e.name) or e.name.startswith(("OMEGA(", "SIGMA(")) for e in result.estimates):
        return {f"{result.tool} {e.name}": e.value for e in result.estimates if e.fixed is not True} | _betas(result)
    found = {}
    for e in result.estimates:
        population, sd = _POPULATION.match(e.name), _SD.match(e.name)
        if population:
            found[population[1]] = e.value
        elif sd:
            found[f"omega {sd[1]}"] = e.value
        elif not e.name.startswith("beta_"):
            found[e.name] = e.value
    return found | _betas(result)


def _betas(result: ToolResult) -> dict[str, float]:
    found = {}
    for r in result.relations or ():
        for k, value in enumerate(r.beta):
            found[f"beta {r.parameter}~{r.covariate}" + (f" {k + 1}" if len(r.beta) > 1 else "")] = value
    return found
