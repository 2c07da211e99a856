"""A NONMEM ``.ext`` in the normal form of `results.tool_result`."""

from __future__ import annotations

import math
import os
from pathlib import Path

from nlmevae.comparison.nonmem_ext import FINAL, ExtTable, read_ext
from nlmevae.errors import DataError
from nlmevae.results.tool_result import ToolEstimate, ToolLikelihood, ToolResult

STANDARD_ERRORS, FIXED = FINAL - 1, FINAL - 6
#: Of control streams, beside the .ext.
SUFFIXES = (".ctl", ".mod", ".con", ".nmctl", ".ctx", ".txt")
#: NONMEM's sign for "not estimated".
_NOT_ESTIMATED = 1e10


def method_name(words: str) -> str:
    """Our short name for the objective that a method of NONMEM reports; its own words where there is none.

    The objective of SAEM is not a likelihood of the data.
    """
    lower = words.lower()
    if "stochastic approximation" in lower:
        return "SAEM's objective"
    if "importance" in lower:
        return "is"
    if "laplac" in lower:
        return "laplace"
    if "iterative two stage" in lower:
        return "iterative two stage"
    if "bayes" in lower or "mcmc" in lower:
        return "mean of a Bayesian analysis"
    if "first order" in lower:
        conditional, interaction = "conditional" in lower, "interaction" in lower
        return ("focei" if interaction else "foce") if conditional else ("foi" if interaction else "fo")
    return words


def control_stream_beside(path: str | os.PathLike[str]) -> str:
    """The control stream of an .ext, "" if there is none."""
    candidates = (Path(path).with_suffix(suffix) for suffix in SUFFIXES)
    return next((str(p) for p in candidates if p.is_file() and p != Path(path)), "")


def read_nonmem_result(path: str | os.PathLike[str], *, table: int | None = None) -> ToolResult:
    """The last estimation, and the objectives of all that are likelihoods.

    Raises:
        DataError: the file cannot be read or has no final estimates.
    """
    chosen, estimates = estimates_of(path, table=table)
    likelihoods = []
    for each in read_ext(path):
        name = method_name(each.method)
        if each.is_design or each.problem != chosen.problem or FINAL not in each.rows or each.number > chosen.number:
            continue
        values = ToolLikelihood(value=each.final().objective, method=name, with_constant=False)
        likelihoods = [v for v in likelihoods if v.method != name] + [values]
    known = [e for e in estimates if e.fixed is not None]
    notes = [] if known else ["the .ext does not tell which parameters are fixed: it has no row -1000000006"]
    if method_name(chosen.method) == "SAEM's objective":
        notes.append("its last objective is SAEM's, which is no likelihood of the data: not compared")
    return ToolResult(
        tool="NONMEM",
        source=str(path),
        model=control_stream_beside(path),
        control_stream=control_stream_beside(path),
        parameters_file=str(path),
        likelihoods=tuple(reversed(likelihoods)),
        criteria={"OBJ": chosen.final().objective},
        estimates=estimates,
        n_parameters=sum(not e.fixed for e in known) if known else None,
        n_runs=1,
        notes=tuple(notes),
    )


def estimates_of(
    path: str | os.PathLike[str], *, table: int | None = None
) -> tuple[ExtTable, tuple[ToolEstimate, ...]]:
    """The chosen table (else the last of the first $PROBLEM) and its estimates.

    Raises:
        DataError: the file cannot be read, has no such table, or the table no final estimates.
    """
    tables = [t for t in read_ext(path) if not t.is_design]
    first = min((t.problem for t in tables), default=1)
    found = [t for t in tables if (t.problem == first if table is None else t.number == table)]
    if not found:
        raise DataError(f"{path} has no table {table or 'of an estimation'}", hint="choose another table")
    chosen = found[-1]
    values = chosen.final()
    errors = dict(zip(chosen.columns, chosen.rows.get(STANDARD_ERRORS, ()), strict=False))
    fixed = dict(zip(chosen.columns, chosen.rows.get(FIXED, ()), strict=False))
    estimates = []
    for name in chosen.columns[:-1]:
        value = chosen.rows[FINAL][chosen.columns.index(name)]
        error = errors.get(name, math.nan)
        is_fixed = None if name not in fixed else fixed[name] != 0.0
        estimates.append(
            ToolEstimate(
                name=name,
                value=value,
                standard_error=math.nan if error == _NOT_ESTIMATED or is_fixed else error,
                fixed=is_fixed,
            )
        )
    assert values.values
    return chosen, tuple(estimates)
