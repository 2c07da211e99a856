"""Covariate searches of Rsmlx: `covariateSearch` (COSSAC, SCM) and `buildmlx` (SAMBA), by their summaries.

covSearchSummary.txt tells each run and ends with

    FINAL MODEL (OFV = 622.0)
    --> target parameters: V, Cl
     --> searched covariates: lw70, sex

    Covariate lw70 on parameter V

     => Done with 9 runs in 35s

summary.txt of buildmlx prints, under "Final statistical model:", a table of parameters by covariates with 0 and 1. The
templates are those of the program's source; no file of a real run was at hand.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from nlmevae.comparison.monolix_result import read_monolix_result
from nlmevae.comparison.search_interchange import is_interchange, read_interchange
from nlmevae.errors import DataError
from nlmevae.results.tool_result import ToolLikelihood, ToolRelation, ToolResult, ToolTest

SEARCH_SUMMARY, BUILD_SUMMARY = "covSearchSummary.txt", "summary.txt"

_RUN = re.compile(
    r"Run (\d+): Evaluation of (adding|removing) covariate (\S+) (?:on|from) parameter (\S+)\s*==>\s*(OFV|BIC|AIC) = "
    r"([^,\s]+), (?:OFV|BIC|AIC)-difference = ([^,\s]+)(?:, pVal = (\S+))?"
)
_DECIDED = re.compile(r"=> covariate (\S+) was (included|not included|removed|kept) (?:on|from) parameter (\S+)")
_FINAL = re.compile(r"FINAL MODEL \((OFV|BIC|AIC) = ([^)\s]+)\)")
_TARGETS = re.compile(r"--> target parameters: (.*)")
_SEARCHED = re.compile(r"--> searched covariates: (.*)")
_RELATION = re.compile(r"^\s*Covariate (\S+) on parameter (\S+)\s*$", re.MULTILINE)
_DONE = re.compile(r"=> Done with (\d+) runs in (\d+)s")
_CRITERIA = re.compile(r"Estimated criteria \((importanceSampling|linearization)\):\s*\n\s*(.+)\n\s*(.+)")
_TIME = re.compile(r"total time: ([\d.]+)s")
_METHODS = {"importanceSampling": "is", "linearization": "lin"}


def read_cossac(path: str | os.PathLike[str]) -> ToolResult:
    """COSSAC: the folder of `covariateSearch`, a file in the exchange format, or a Monolix project with its results.

    Raises:
        DataError: it is none of these, or is cut off.
    """
    place = Path(path)
    if (interchange := is_interchange(place)) is not None:
        return read_interchange(interchange, tool="COSSAC")
    found = _summary(place, SEARCH_SUMMARY)
    if found is not None:
        return _search(found, str(path))
    return _folder_alone(place, "COSSAC", f"the folder covariateSearch_COSSAC_* of Rsmlx, which has {SEARCH_SUMMARY}")


def read_samba(path: str | os.PathLike[str]) -> ToolResult:
    """SAMBA: the folder of `buildmlx`, a file in the exchange format, or a Monolix project with its results.

    Raises:
        DataError: it is none of these, or is cut off.
    """
    place = Path(path)
    if (interchange := is_interchange(place)) is not None:
        return read_interchange(interchange, tool="SAMBA")
    found = _summary(place, BUILD_SUMMARY, inside="buildmlx")
    if found is not None and "- - - Initialization - - -" in _text(found):
        return _build(found, str(path))
    return _folder_alone(place, "SAMBA", f"the folder buildmlx of Rsmlx, which has {BUILD_SUMMARY}")


def _summary(place: Path, name: str, *, inside: str = "") -> Path | None:
    if not place.exists():
        raise DataError(f"there is no {place}", hint="check the path")
    candidates = [place / inside / name, place / name] if place.is_dir() else [place]
    return next((p for p in candidates if p.is_file() and p.name == name), None)


def _folder_alone(place: Path, tool: str, expected: str) -> ToolResult:
    """The final model of any search is a project with its results: all but the search is there."""
    try:
        result = read_monolix_result(place)
    except DataError as error:
        raise DataError(
            f"{place} is no result of {tool}: {error.message}",
            hint=f"give {expected}, a file in the exchange format (docs/compare.md), or the final project",
        ) from None
    from dataclasses import replace

    note = "only the final model is there: number of runs and what was searched are not known"
    return replace(result, tool=tool, n_runs=None, notes=(*result.notes, note))


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


# covariateSearch ------------------------------------------------------------------------------------
def _search(path: Path, source: str) -> ToolResult:
    text = _text(path)
    final, done = _FINAL.search(text), _DONE.search(text)
    if final is None or done is None:
        what = "ends before its final model: the search did not finish" if _RUN.search(text) else "has no search in it"
        raise DataError(f"{path} {what}", hint="give the folder of a finished covariateSearch")
    tests = _tests(text[: final.start()])
    relations = tuple(
        ToolRelation(parameter=p, covariate=c, p_value=_last_p(tests, p, c))
        for c, p in _RELATION.findall(text[final.start() :])
    )
    value = _number(final[2])
    targets, searched = (
        [w.strip() for w in m[1].split(",") if w.strip()] if (m := pattern.search(text)) else []
        for pattern in (_TARGETS, _SEARCHED)
    )
    tool = "COSSAC" if "scm" not in path.parent.name.lower() else "SCM (Rsmlx)"
    return ToolResult(
        tool=tool,
        source=source,
        relations=relations,
        tested=tuple((p, c) for p in targets for c in searched) or None,
        tests=tests,
        likelihoods=(ToolLikelihood(value=value, method="", with_constant=True),) if final[1] == "OFV" else (),
        criteria={final[1]: value},
        n_runs=int(done[1]),
        seconds=float(done[2]),
        notes=("its summary does not tell whether -2LL is by importance sampling or linearisation",),
    )


def _tests(text: str) -> tuple[ToolTest, ...]:
    """Runs in order; a step ends where one of them was decided on."""
    tests: list[ToolTest] = []
    step = 1
    for line in text.splitlines():
        run, decided = _RUN.search(line), _DECIDED.search(line)
        if run:
            new, difference = _number(run[6]), _number(run[7])
            tests.append(
                ToolTest(
                    step=step,
                    backward=run[2] == "removing",
                    parameter=run[4],
                    covariate=run[3],
                    state="",
                    base=new + difference,
                    new=new,
                    drop=difference,
                    goal=math.nan,
                    df=None,
                    p_value=_number(run[8] or "nan"),
                    significant=False,
                    chosen=False,
                )
            )
        if decided:
            for k in range(len(tests) - 1, -1, -1):
                t = tests[k]
                if t.step == step and (t.covariate, t.parameter) == (decided[1], decided[3]):
                    tests[k] = _marked(t, chosen=decided[2] in ("included", "removed"))
                    break
            step += 1
    return tuple(tests)


def _marked(test: ToolTest, *, chosen: bool) -> ToolTest:
    from dataclasses import replace

    return replace(test, chosen=chosen, significant=chosen != test.backward)


def _last_p(tests: tuple[ToolTest, ...], parameter: str, covariate: str) -> float:
    own = [t.p_value for t in tests if (t.parameter, t.covariate) == (parameter, covariate)]
    return own[-1] if own else math.nan


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


# buildmlx -------------------------------------------------------------------------------------------
def _build(path: Path, source: str) -> ToolResult:
    text = _text(path)
    start = text.rfind("Final statistical model:")
    if start < 0:
        raise DataError(
            f"{path} ends before its final model: the search did not finish",
            hint="give the folder of a finished buildmlx",
        )
    end = text[start:]
    table = re.search(r"Covariate model:\s*\n(.*?)(?:\n\s*\n|\n[A-Z][a-z]+ |\Z)", end, re.DOTALL)
    rows = None if table is None else _matrix(table[1])
    if table is not None and rows is None:
        raise DataError(
            f"{path}: its final covariate model is not a table of 0 and 1", hint="give the summary as buildmlx wrote it"
        )
    criteria, method = _criteria(end)
    value = criteria.pop("-2LL", math.nan)
    runs = 1 + len(re.findall(r"Run scenario for model \d+", text))
    time = _TIME.search(end)
    notes = ["SAMBA also changes correlations and the residual error: only its covariates are compared"]
    return ToolResult(
        tool="SAMBA",
        source=source,
        relations=None if rows is None else tuple(ToolRelation(parameter=p, covariate=c) for p, c, v in rows if v),
        tested=None if rows is None else tuple((p, c) for p, c, _ in rows),
        likelihoods=() if math.isnan(value) else (ToolLikelihood(value=value, method=method, with_constant=True),),
        criteria=criteria,
        n_runs=runs,
        seconds=float(time[1]) if time else None,
        notes=tuple(notes),
    )


def _matrix(text: str) -> list[tuple[str, str, bool]] | None:
    """R's print of a data frame of 0 and 1; wide ones come in several blocks of columns. None if it is not one."""
    if text.strip().startswith(("NULL", "data frame with 0")):
        return []
    header: list[str] = []
    found: list[tuple[str, str, bool]] = []
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        values = [w.strip("*") for w in words[1:]]
        if header and len(values) == len(header) and all(v in ("0", "1") for v in values):
            found += [(words[0], c, v == "1") for c, v in zip(header, values, strict=True)]
        elif all(v not in ("0", "1") for v in words):
            header = words
        else:
            return None
    return found or None


def _criteria(text: str) -> tuple[dict[str, float], str]:
    """A named vector of R: names on one line, values on the next."""
    found = _CRITERIA.search(text)
    if found is None:
        return {}, ""
    names, values = found[2].split(), [_number(w) for w in found[3].split()]
    pairs = {n: v for n, v in zip(names, values, strict=False) if not math.isnan(v)}
    known = {"OFV": "-2LL", "-2LL": "-2LL", "AIC": "AIC", "BIC": "BIC", "BICc": "BICc"}
    method = _METHODS[found[1]]
    suffix = "" if method == "is" else f" ({method})"
    kept = {known[n]: v for n, v in pairs.items() if n in known}
    return {(n if n == "-2LL" else n + suffix): v for n, v in kept.items()}, method
