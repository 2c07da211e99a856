"""-2LL of other programs' final models at their estimates, by our importance sampling: `compare --reevaluate`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from nlmevae.comparison.compare import bicc, with_reevaluation
from nlmevae.errors import NlmevaeError
from nlmevae.results.comparison_result import ComparedLikelihood, ComparedTool, ComparisonResult


def reevaluated(
    comparison: ComparisonResult,
    *,
    seed: int = 1,
    draws: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> ComparisonResult:
    """With one more likelihood for every program whose control stream and estimates are there, else a note."""
    ours = comparison.tools[0]
    own = next((v.minus_two_ll for v in ours.likelihoods if v.method == "is"), math.nan)
    found: dict[int, list[ComparedLikelihood]] = {}
    tools = list(comparison.tools)
    for k, tool in enumerate(tools[1:], 1):
        value = _evaluated(comparison, tool, own, seed=seed, draws=draws, progress=progress)
        if isinstance(value, str):
            result = dataclasses.replace(tool.result, notes=(*tool.result.notes, value))
            tools[k] = dataclasses.replace(tool, result=result)
        else:
            found[k] = [value]
    return with_reevaluation(dataclasses.replace(comparison, tools=tuple(tools)), found)


def _evaluated(
    comparison: ComparisonResult,
    tool: ComparedTool,
    own: float,
    *,
    seed: int,
    draws: int | None,
    progress: Callable[[str, float], None] | None,
) -> ComparedLikelihood | str:
    """The value, or why there is none."""
    from nlmevae.at_parameters import likelihoods

    result = tool.result
    if not (result.control_stream and result.parameters_file):
        return "not evaluated here: a control stream with an .ext beside it is needed"
    try:
        computed = likelihoods(
            result.control_stream,
            params=result.parameters_file,
            methods="is",
            seed=seed,
            draws=draws,
            progress=progress,
        )
    except NlmevaeError as error:
        return f"not evaluated here: {error.message}"
    value = computed.value("is")
    if value is None or not math.isfinite(value.minus_two_ll):
        return "not evaluated here: importance sampling gave no number"
    if (computed.n_subjects, computed.n_obs_total) != (comparison.n_subjects, comparison.n_obs):
        return (
            f"not compared: its data have {computed.n_subjects} subjects and {computed.n_obs_total} observations, ours "
            f"{comparison.n_subjects} and {comparison.n_obs}"
        )
    return ComparedLikelihood(
        method="is",
        minus_two_ll=value.minus_two_ll,
        bicc=bicc(value.minus_two_ll, tool, n_subjects=comparison.n_subjects, n_obs=comparison.n_obs),
        difference=value.minus_two_ll - own,
        mc_se=value.mc_se,
        by="nlmevae",
    )
