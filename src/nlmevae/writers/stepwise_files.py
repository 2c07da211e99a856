"""What a stepwise search leaves besides the files of its final model: a log in the layout of PsN's scm, or the exchange
format for COSSAC and SAMBA. `nlmevae compare` reads both."""

from __future__ import annotations

import json
import math
from itertools import groupby
from pathlib import Path

from nlmevae.results.run_folder import GENERATOR
from nlmevae.results.stepwise_result import StepwiseResult
from nlmevae.results.tool_result import ToolTest
from nlmevae.writers.atomic import write_atomically

#: PsN's numbers of states, by our forms.
_STATES = {"linear": 2, "categorical": 2, "exponential": 4, "power": 5}
_INTERCHANGE = "nlmevae-covsearch/1"


def write_stepwise_file(folder: Path, result: StepwiseResult) -> Path:
    """scmlog.txt, cossac.json or samba.json; OutputError if it cannot be written."""
    path = folder / ("scmlog.txt" if result.method == "scm" else f"{result.method}.json")
    write_atomically(path, scm_log_text(result) if result.method == "scm" else interchange_text(result))
    return path


def scm_log_text(result: StepwiseResult) -> str:
    """The steps in PsN's layout, after two lines on what that has no place for. OFV is -2LL by importance sampling
    without n log(2 pi), as NONMEM's would be. Where a criterion decides, the rows are those of gof=ofv: the drop has to
    exceed what it charges for the effect."""
    fit = result.selection.fit
    constant = fit.n_known * math.log(2.0 * math.pi)
    states = {(e.parameter, e.covariate, e.name): _STATES[e.form] for e in result.selection.effects}
    by_p_value = result.criterion == "lrt"
    lines = _head(result)
    included = _included(result, result.steps[0] if result.steps else ())
    forward_before = False
    for step, group in groupby(result.tests, key=lambda t: t.step):
        tests = list(group)
        backward = tests[0].backward
        if backward and forward_before:
            lines += ["", "-" * 20, "Forward search done. Starting backward search inside forward top level directory"]
        forward_before = not backward
        lines += [
            f"Model directory {'backward' if backward else 'forward'}_step{step}/m1",
            "",
            _header(backward, by_p_value),
        ]
        lines += [_row(t, states[t.parameter, t.covariate, t.state], constant, by_p_value) for t in tests]
        chosen = next((t for t in tests if t.chosen), None)
        word = "backward" if backward else "forward"
        name = "--" if chosen is None else _relation(chosen, states)
        lines += ["", f"Parameter-covariate relation chosen in this {word} step: {name}"]
        lines.append(f"{'CRITERION':<23s}{_rule(result, backward=backward)}")
        if chosen is not None:
            (included.discard if backward else included.add)((chosen.parameter, chosen.covariate, chosen.state))
            lines.append(f"{'BASE_MODEL_OFV':<20s}{chosen.base - constant:12.5f}")
            lines.append(f"{'CHOSEN_MODEL_OFV':<20s}{chosen.new - constant:12.5f}")
        lines.append("Relations included after this step:")
        lines += _list(result, included, states)
        lines += ["-" * 20, ""]
    return "\n".join(lines) + "\n"


def _head(result: StepwiseResult) -> list[str]:
    """`comparison.psn_scm` reads them."""
    pairs = dict.fromkeys((e.parameter, e.covariate) for e in result.selection.effects)
    return [
        f"nlmevae scm: criterion {result.criterion}; {result.n_runs} models estimated in {result.seconds:.3f} s; "
        "OFV by importance sampling",
        "nlmevae scm: searched " + " ".join(f"{p}~{c}" for p, c in pairs),
        "",
    ]


def _rule(result: StepwiseResult, *, backward: bool) -> str:
    limit = result.p_backward if backward else result.p_forward
    return f"{result.criterion} falls" if limit is None else f"PVAL {'>' if backward else '<'} {limit:g}"


def _header(backward: bool, by_p_value: bool) -> str:
    sign = "INSIGNIFICANT" if backward else "SIGNIFICANT"
    columns = f"{'MODEL':<16s}{' TEST ':>6s}{'BASE OFV':>12s}{'NEW OFV':>12s}{'TEST OFV (DROP)':>24s}{'GOAL':>8s}"
    return columns + (f"{'dDF':>8s}{' ' + sign:>15s}{'PVAL':>5s}" if by_p_value else f"   {sign:>13s}")


def _row(test: ToolTest, state: int, constant: float, by_p_value: bool) -> str:
    name = f"{test.parameter}{test.covariate}-{1 if test.backward else state}"
    failed = math.isnan(test.new)
    new = "    FAILED" if failed else f"{test.new - constant:12.5f}"
    drop = " " * 17 + "FAILED" if failed else f"{test.drop:21.5f}"
    sign = "YES!  " if test.significant else ""
    numbers = f"{test.base - constant:12.5f} {new}{drop}  >{test.goal:10.5f}"
    if not by_p_value:
        return f"{name:<16s}{' OFV ':>6s}{numbers}{sign:>14s}".rstrip()
    if math.isnan(test.p_value):
        p_value = f"{999 if failed else 9999:9.0f}"
    else:
        p_value = f"{test.p_value:<9.6f}" if test.p_value >= 5e-7 else f"{test.p_value:<9.2e}"
    return f"{name:<16s}{' PVAL ':>6s}{numbers}{test.df or 0:5d}{sign:>14s}{p_value}"


def _relation(test: ToolTest, states: dict[tuple[str, str, str], int]) -> str:
    state = 1 if test.backward else states[test.parameter, test.covariate, test.state]
    return f"{test.parameter}-{test.covariate}-{state}"


def _included(result: StepwiseResult, names: tuple[str, ...]) -> set[tuple[str, str, str]]:
    return {(e.parameter, e.covariate, e.name) for e in result.selection.effects if e.name in names}


def _list(
    result: StepwiseResult, included: set[tuple[str, str, str]], states: dict[tuple[str, str, str], int]
) -> list[str]:
    lines = []
    for parameter in dict.fromkeys(e.parameter for e in result.selection.effects):
        own = [f"{c}-{states[p, c, n]}" for p, c, n in sorted(included) if p == parameter]
        lines.append(f"{parameter:<8s}" + "".join(f"{text:<17s}" for text in own))
    return lines


def interchange_text(result: StepwiseResult) -> str:
    """`docs/compare.md` shows the format; ours also has the tests."""
    effects = result.selection.effects
    params = list(dict.fromkeys(e.parameter for e in effects))
    covs = list(dict.fromkeys(e.covariate for e in effects))
    inside = {(e.parameter, e.covariate) for e in effects if e.selected}
    fit = result.selection.fit
    likelihood = fit.likelihood("is")
    run = {"matrix": [[int((p, c) in inside) for c in covs] for p in params]}
    if likelihood is not None:
        run |= {"m2ll": likelihood.minus_two_ll, "BICc": likelihood.bicc, "BIC": likelihood.bic, "AIC": likelihood.aic}
    document = {
        "generator": GENERATOR,
        "schema": _INTERCHANGE,
        "tool": result.method.upper(),
        "source": "nlmevae",
        "params": params,
        "covs": covs,
        "locked": [[e.parameter, e.covariate] for e in effects if e.forced],
        "ll_method": "importanceSampling",
        "criterion": result.criterion,
        "n_runs": result.n_runs,
        "seconds": result.seconds,
        "final": 1,
        "runs": [run],
        "steps": [list(step) for step in result.steps],
        "tests": [_test(t) for t in result.tests],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _test(test: ToolTest) -> dict[str, object]:
    return {
        "step": test.step,
        "effect": test.state,
        "removed": test.backward,
        "m2ll_before": _number(test.base),
        "m2ll_after": _number(test.new),
        "p_value": _number(test.p_value),
        "accepted": test.chosen,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
