"""Several results in normal form become one comparison, ours first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nlmevae.comparison.common_estimates import common_estimates
from nlmevae.errors import DataError
from nlmevae.results.comparison_result import (
    ComparedLikelihood,
    ComparedRelation,
    ComparedTool,
    ComparisonResult,
    Status,
    Verdict,
)
from nlmevae.results.tool_result import ToolLikelihood, ToolRelation, ToolResult

CONVENTION = (
    "BICc = -2LL + log(N) * (variances, correlations, effects on parameters with a random effect) + log(n) * (all "
    "other estimated parameters), Delattre, Lavielle, Poursat (2014) as Monolix counts"
)
LOG_TWO_PI = math.log(2.0 * math.pi)
#: Rsmlx's names for log(w/c) and for transformed categories.
_PREFIXES = ("logt", "t")


@dataclass(frozen=True, slots=True, kw_only=True)
class OurResult:
    """Ours in normal form, with what the comparison rests on. `n_known`: observations that are not censored, each of
    which has log(2 pi) in -2LL; `coefficients`: of each candidate, by (parameter, covariate, form)."""

    result: ToolResult
    n_known: int
    parameters: tuple[str, ...]
    covariates: tuple[str, ...]
    coefficients: dict[tuple[str, str, str], int]


def compare(
    ours: OurResult,
    others: Sequence[ToolResult],
    *,
    names: Mapping[str, str] | None = None,
    ofv_method: str | None = None,
) -> ComparisonResult:
    """
    Args:
        names: what another program calls ``lw70`` and we ``WT``.
        ofv_method: how NONMEM computed the OFV of scm and covsearch, whose files do not tell.

    Raises:
        DataError: a result is of another model: no parameter of it is known to ours.
    """
    flags: list[str] = []
    known = [_named(other, ours, names or {}, flags) for other in others]
    for other in known:
        _check_model(other, ours)
    known = [_with_method(other, ofv_method) for other in known]
    results = [ours.result, *_numbered(known)]
    relations = _relations(results)
    own = {v.method: _minus_two_ll(v, ours.n_known) for v in ours.result.likelihoods}
    tools = tuple(_tool(r, k, ours, own, relations, flags) for k, r in enumerate(results))
    flags += [flag for r in results[1:] for flag in _search_flags(r, ours.result)]
    flags += _form_flags(results, relations)
    return ComparisonResult(
        tools=tools,
        relations=relations,
        estimates=common_estimates(results),
        n_subjects=ours.result.n_subjects or 0,
        n_obs=ours.result.n_obs or 0,
        n_known=ours.n_known,
        convention=CONVENTION,
        flags=tuple(dict.fromkeys(flags)),
    )


def with_reevaluation(
    comparison: ComparisonResult, values: Mapping[int, Sequence[ComparedLikelihood]]
) -> ComparisonResult:
    """With -2LL of other programs' models as evaluated here, by index of the tool."""
    tools = list(comparison.tools)
    for k, found in values.items():
        tools[k] = replace(tools[k], likelihoods=(*tools[k].likelihoods, *found))
    return replace(comparison, tools=tuple(tools))


def bicc(minus_two_ll: float, tool: ComparedTool, *, n_subjects: int, n_obs: int) -> float:
    """NaN where the parameters are not counted."""
    if tool.random_part is None or tool.fixed_part is None:
        return math.nan
    return minus_two_ll + math.log(n_subjects) * tool.random_part + math.log(n_obs) * tool.fixed_part


# names ------------------------------------------------------------------------------------------------
def _named(other: ToolResult, ours: OurResult, names: Mapping[str, str], flags: list[str]) -> ToolResult:
    """With our spelling of parameters and covariates."""
    asked = {k.casefold(): v for k, v in names.items()}
    parameters = {p.casefold(): p for p in ours.parameters}
    covariates = {c.casefold(): c for c in ours.covariates}

    def parameter(name: str) -> str:
        return parameters.get(asked.get(name.casefold(), name).casefold(), name)

    def covariate(name: str) -> str:
        wanted = asked.get(name.casefold(), name)
        if wanted.casefold() in covariates:
            return covariates[wanted.casefold()]
        for prefix in _PREFIXES:
            rest = name.casefold().removeprefix(prefix)
            if rest != name.casefold() and rest in covariates:
                flags.append(f"{other.tool}: {name} is taken for {covariates[rest]} (say otherwise with --names)")
                return covariates[rest]
        return name

    relations = other.relations and tuple(
        replace(r, parameter=parameter(r.parameter), covariate=covariate(r.covariate)) for r in other.relations
    )
    tested = other.tested and tuple((parameter(p), covariate(c)) for p, c in other.tested)
    return replace(other, relations=relations, tested=tested, parameters=tuple(map(parameter, other.parameters)))


def _check_model(other: ToolResult, ours: OurResult) -> None:
    pairs = (*(r.pair for r in other.relations or ()), *(other.tested or ()))
    theirs = [*other.parameters, *(p for p, _ in pairs)]
    if theirs and ours.parameters and not set(theirs) & set(ours.parameters):
        raise DataError(
            f"{other.source} is the result of another model: it has the parameters {', '.join(dict.fromkeys(theirs))}, "
            f"and ours {', '.join(ours.parameters)}",
            hint="compare results of one model; if only names differ, tell with --names ke=K,lw70=WT",
        )


def _numbered(results: Sequence[ToolResult]) -> list[ToolResult]:
    """Several results of one program get numbers."""
    totals: dict[str, int] = {}
    for r in results:
        totals[r.tool] = totals.get(r.tool, 0) + 1
    seen: dict[str, int] = {}
    numbered = []
    for r in results:
        seen[r.tool] = seen.get(r.tool, 0) + 1
        numbered.append(replace(r, tool=f"{r.tool} {seen[r.tool]}") if totals[r.tool] > 1 else r)
    return numbered


# relations --------------------------------------------------------------------------------------------
def _relations(results: Sequence[ToolResult]) -> tuple[ComparedRelation, ...]:
    """All that some program selected or searched, those of ours first."""
    pairs: dict[tuple[str, str], None] = {}
    for r in results:
        pairs |= dict.fromkeys([x.pair for x in r.relations or ()])
    for r in results:
        pairs |= dict.fromkeys(r.tested or ())
    found = []
    for pair in pairs:
        own = [[x for x in r.relations or () if x.pair == pair] for r in results]
        status = tuple(_status(r, pair) for r in results)
        found.append(
            ComparedRelation(
                parameter=pair[0],
                covariate=pair[1],
                status=status,
                verdict=tuple(_verdict(status[0], s) if k else "" for k, s in enumerate(status)),
                forms=tuple("+".join(x.form for x in group) for group in own),
                betas=tuple(tuple(b for x in group for b in x.beta) for group in own),
            )
        )
    return tuple(found)


def _status(result: ToolResult, pair: tuple[str, str]) -> Status:
    if result.relations is None:
        return "unknown"
    if any(r.pair == pair for r in result.relations):
        return "selected"
    if result.tested is None:
        return "left out"
    return "left out" if pair in result.tested else "not searched"


def _verdict(ours: Status, theirs: Status) -> Verdict:
    if "unknown" in (ours, theirs):
        return ""
    if (ours == "selected") == (theirs == "selected"):
        return "agree"
    return "missed" if ours == "selected" else "extra"


# numbers ----------------------------------------------------------------------------------------------
def _with_method(other: ToolResult, method: str | None) -> ToolResult:
    if method is None:
        return other
    told = tuple(
        replace(v, method=method, with_constant=False) if not v.method and not v.with_constant else v
        for v in other.likelihoods
    )
    return replace(other, likelihoods=told)


def _minus_two_ll(value: ToolLikelihood, n_known: int) -> float:
    return value.value if value.with_constant else value.value + n_known * LOG_TWO_PI


def _tool(
    result: ToolResult,
    k: int,
    ours: OurResult,
    own: Mapping[str, float],
    relations: Sequence[ComparedRelation],
    flags: list[str],
) -> ComparedTool:
    random_part, fixed_part, counted = _counts(result, ours, flags, is_ours=k == 0)
    comparable = [v for v in result.likelihoods if v.method and v.with_constant is not None]
    verdicts = [r.verdict[k] for r in relations if "selected" in (r.status[0], r.status[k])]
    tool = ComparedTool(
        result=result,
        likelihoods=(),
        unclear=tuple(v for v in result.likelihoods if v not in comparable),
        random_part=random_part,
        fixed_part=fixed_part,
        counted=counted,
        n_agree=verdicts.count("agree"),
        n_missed=verdicts.count("missed"),
        n_extra=verdicts.count("extra"),
    )
    n_subjects = result.n_subjects or ours.result.n_subjects or 1
    n_obs = result.n_obs or ours.result.n_obs or 1
    same_data = _same_data(result, ours.result)
    if not same_data:
        flags.insert(
            0,
            f"{result.tool} has {result.n_subjects or '?'} subjects and {result.n_obs or '?'} observations, ours "
            f"{ours.result.n_subjects} and {ours.result.n_obs}: other data, so its -2LL is not compared",
        )
    values = []
    for v in comparable:
        value = _minus_two_ll(v, ours.n_known)
        values.append(
            ComparedLikelihood(
                method=v.method,
                minus_two_ll=value,
                bicc=bicc(value, tool, n_subjects=n_subjects, n_obs=n_obs),
                difference=value - own.get(v.method, math.nan) if k and same_data else math.nan,
                mc_se=v.mc_se,
            )
        )
    return replace(tool, likelihoods=tuple(values))


def _same_data(result: ToolResult, ours: ToolResult) -> bool:
    pairs = ((result.n_subjects, ours.n_subjects), (result.n_obs, ours.n_obs))
    return all(a is None or b is None or a == b for a, b in pairs)


def _counts(
    result: ToolResult, ours: OurResult, flags: list[str], *, is_ours: bool
) -> tuple[int | None, int | None, str]:
    """Estimated parameters: as its files tell, else ours with its effects in the place of ours."""
    if result.random_part is not None:
        return result.random_part, result.fixed_part, "its files"
    base = ours.result
    if is_ours or base.random_part is None or base.fixed_part is None:
        return None, None, ""
    if result.relations is None or base.relations is None:
        return None, None, ""
    added = [_n_coefficients(r, ours) for r in result.relations]
    if None in added or any(r.parameter not in ours.parameters for r in result.relations):
        return None, None, ""
    removed = sum(r.n_coefficients or len(r.beta) for r in base.relations)
    random = base.random_part - removed + sum(n for n in added if n is not None)
    total = random + base.fixed_part
    if result.n_parameters is not None and result.n_parameters != total:
        flags.insert(
            0,
            f"{result.tool} estimates {result.n_parameters} parameters, our model with its effects has {total}: its "
            "base model is another one, so no BICc is computed",
        )
        return None, None, ""
    return random, base.fixed_part, "our model with its effects"


def _n_coefficients(relation: ToolRelation, ours: OurResult) -> int | None:
    if relation.n_coefficients is not None:
        return relation.n_coefficients
    same = [n for (p, c, f), n in ours.coefficients.items() if (p, c) == relation.pair and relation.form in ("", f)]
    if same:
        return same[0]
    return {"power": 1, "exponential": 1, "linear": 1, "hockey-stick": 2}.get(relation.form)


# flags ------------------------------------------------------------------------------------------------
def _search_flags(result: ToolResult, ours: ToolResult) -> list[str]:
    """Relations that only one of the two searched."""
    if result.tested is None or ours.tested is None:
        return []
    found = []
    for who, pairs in (
        (f"only {result.tool} searched", [p for p in result.tested if p not in ours.tested]),
        (f"{result.tool} did not search", [p for p in ours.tested if p not in result.tested]),
    ):
        if pairs:
            shown = ", ".join(f"{p}~{c}" for p, c in pairs[:12]) + (", ..." if len(pairs) > 12 else "")
            found.append(f"search spaces differ: {who} {shown}")
    return found


def _form_flags(results: Sequence[ToolResult], relations: Sequence[ComparedRelation]) -> list[str]:
    found = []
    for k, result in enumerate(results[1:], 1):
        differ = [
            f"{r.name} {r.forms[k]}, ours {r.forms[0]}"
            for r in relations
            if r.status[0] == r.status[k] == "selected" and r.forms[0] and r.forms[k] and r.forms[0] != r.forms[k]
        ]
        if differ:
            found.append(f"{result.tool} has other forms, so coefficients do not compare: {'; '.join(differ)}")
    return found
