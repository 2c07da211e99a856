"""From our result and other programs' to one comparison: `nlmevae compare`.

files -> ToolResult (one per program) -> compare -> ComparisonResult -> text, CSV, JSON
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nlmevae.comparison.compare import OurResult, compare
from nlmevae.errors import DataError, NlmevaeError, SettingsError
from nlmevae.results.comparison_result import ComparisonResult
from nlmevae.results.fit_result import FitResult
from nlmevae.results.parameter_values import canonical_name
from nlmevae.results.selection_result import SelectionResult
from nlmevae.results.tool_result import ToolEstimate, ToolLikelihood, ToolRelation, ToolResult

if TYPE_CHECKING:
    from nlmevae.ir import CovarianceBlock, Model

_DIAGONAL = re.compile(r"OMEGA\((\d+),\1\)$")

#: Kinds of results, as the options are called.
KINDS = ("scm", "covsearch", "cossac", "samba", "nonmem", "monolix")


def compare_results(
    ours: str | os.PathLike[str],
    *,
    names: Mapping[str, str] | None = None,
    ofv_method: str | None = None,
    **others: str | os.PathLike[str] | list[str],
) -> ComparisonResult:
    """Our result beside those of other programs.

    Args:
        ours: a ``.selection.json`` or ``.results.json``, or the folder with one.
        names: what another program calls ``lw70`` and we ``WT``.
        ofv_method: how NONMEM computed the OFV of scm and covsearch (focei, foce, fo, laplace, is).
        others: files or folders by `KINDS`, one or a list.

    Raises:
        DataError: a file is not what it should be, or of another model.
        SettingsError: a kind that is not known.
    """
    own = read_ours(ours)
    found = [
        _with_control_stream(read_tool_result(kind, path))
        for kind, paths in others.items()
        for path in (paths if isinstance(paths, list | tuple) else [paths])
    ]
    return compare(own, found, names=names, ofv_method=ofv_method)


def read_tool_result(kind: str, path: str | os.PathLike[str]) -> ToolResult:
    """
    Raises:
        DataError: the file or folder is not of this kind.
        SettingsError: there is no such kind.
    """
    if kind == "scm":
        from nlmevae.comparison.psn_scm import read_scm_run as read
    elif kind == "covsearch":
        from nlmevae.comparison.pharmpy_covsearch import read_covsearch as read
    elif kind == "cossac":
        from nlmevae.comparison.rsmlx_search import read_cossac as read
    elif kind == "samba":
        from nlmevae.comparison.rsmlx_search import read_samba as read
    elif kind == "nonmem":
        from nlmevae.comparison.nonmem_result import read_nonmem_result as read
    elif kind == "monolix":
        from nlmevae.comparison.monolix_result import read_monolix_result as read
    else:
        raise SettingsError(f"there is no kind of result {kind!r}", hint=f"kinds are {', '.join(KINDS)}")
    return read(path)


def _with_control_stream(result: ToolResult) -> ToolResult:
    """What the text of the final model adds to an .ext: covariate effects, their forms, and how BICc counts."""
    if not result.control_stream:
        return result
    from nlmevae.estimation.parameter_count import count_parameters
    from nlmevae.frontends.nonmem.read import read_control_stream

    try:
        model = read_control_stream(result.control_stream)
    except NlmevaeError as error:
        note = f"{result.control_stream} cannot be read, so its effects are not known: {error.message}"
        return dataclasses.replace(result, notes=(*result.notes, note))
    values = {canonical_name(e.name): e.value for e in result.estimates}
    if {t.name for t in model.thetas} != {name for name in values if name.startswith("THETA")}:
        note = f"{result.control_stream} has other THETAs than {result.parameters_file}, so it is not used"
        return dataclasses.replace(result, control_stream="", notes=(*result.notes, note))
    relations = result.relations
    if relations is None:
        relations = tuple(
            ToolRelation(
                parameter=e.parameter,
                covariate=e.covariate,
                form="" if e.form == "custom" else e.form,
                n_coefficients=len(e.coefficients),
                beta=tuple(values[name] for name in e.coefficients if name in values),
            )
            for e in model.covariate_effects
        )
        seen = {r.pair for r in relations}
        others = [(p.name, c) for p in model.individual_parameters for c in p.covariates]
        relations += tuple(
            ToolRelation(parameter=p, covariate=c, form="its own code") for p, c in others if (p, c) not in seen
        )
    count = count_parameters(model)
    return dataclasses.replace(
        result,
        parameters=tuple(p.name for p in model.individual_parameters),
        relations=relations,
        random_part=count.random_part,
        fixed_part=count.fixed_part,
        estimates=_labelled(result, model),
    )


def _labelled(result: ToolResult, model: Model) -> tuple[ToolEstimate, ...]:
    """Estimates by the labels of the control stream; coefficients are those of the relations."""
    coefficients = {name for e in model.covariate_effects for name in e.coefficients}
    labels = {t.name: t.label for t in model.thetas}
    labels |= _effect_labels(model.omega, "OMEGA") | _effect_labels(model.sigma, "SIGMA")
    parameters = {p.eta.replace("ETA(", "OMEGA("): p.name for p in model.individual_parameters}
    found = []
    for e in result.estimates:
        name = canonical_name(e.name)
        diagonal = _DIAGONAL.match(name)
        if name in coefficients or (e.value == 0.0 and name.startswith(("OMEGA", "SIGMA"))):
            continue
        if diagonal:
            error = e.standard_error / (2.0 * e.value**0.5) if e.value > 0.0 else math.nan
            label = labels.get(name) or parameters.get(f"OMEGA({diagonal[1]})", name)
            label = _without_prefix(label)
            found.append(dataclasses.replace(e, name=f"omega {label}", value=e.value**0.5, standard_error=error))
        else:
            found.append(dataclasses.replace(e, name=labels.get(name) or name))
    return tuple(found)


def _effect_labels(blocks: tuple[CovarianceBlock, ...], matrix: str) -> dict[str, str]:
    """``OMEGA(2,2)`` -> what its comment calls it, "" without one."""
    labels = [block.labels[j] if j < len(block.labels) else "" for block in blocks for j in range(len(block.names))]
    return {f"{matrix}({k},{k})": label for k, label in enumerate(labels, 1)}


def _without_prefix(label: str) -> str:
    """``IIV_CL``, ``IIV CL`` -> CL."""
    return label.removeprefix("IIV_").removeprefix("IIV ")


def read_ours(path: str | os.PathLike[str]) -> OurResult:
    """
    Raises:
        DataError: it is no result of nlmevae, or a folder with none or several.
    """
    from nlmevae.writers.results_json import read_results_json
    from nlmevae.writers.selection_json import read_selection_json

    file = _own_file(Path(path))
    if file.name.endswith(".selection.json"):
        selection = read_selection_json(file)
        return _of_selection(selection, str(file))
    return _of_fit(read_results_json(file), str(file))


def _own_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for pattern in ("*.selection.json", "*.results.json"):
        found = sorted(path.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(
                f"{path} has several results: {', '.join(p.name for p in found)}", hint="give the file of one of them"
            )
    raise DataError(f"{path} has no result of nlmevae", hint="give a .selection.json or .results.json")


def _of_selection(selection: SelectionResult, source: str) -> OurResult:
    plain = _of_fit(selection.fit, source)
    relations = tuple(
        ToolRelation(
            parameter=e.parameter,
            covariate=e.covariate,
            form=e.form,
            n_coefficients=len(e.coefficients),
            beta=e.beta,
            locked=e.forced,
        )
        for e in selection.effects
        if e.selected
    )
    coefficients = {e.coefficients[k] for e in selection.effects for k in range(len(e.coefficients))}
    result = ToolResult(
        tool="nlmevae",
        source=source,
        model=selection.fit.source_path,
        relations=relations,
        tested=tuple(dict.fromkeys((e.parameter, e.covariate) for e in selection.effects)),
        likelihoods=plain.result.likelihoods,
        criteria={selection.criterion: selection.criterion_value, **plain.result.criteria},
        estimates=tuple(e for e in plain.result.estimates if e.name not in coefficients),
        random_part=plain.result.random_part,
        fixed_part=plain.result.fixed_part,
        n_parameters=plain.result.n_parameters,
        n_subjects=plain.result.n_subjects,
        n_obs=plain.result.n_obs,
        n_runs=1,
        seconds=selection.seconds.get("total"),
    )
    return OurResult(
        result=result,
        n_known=plain.n_known,
        parameters=tuple(dict.fromkeys((*plain.parameters, *(e.parameter for e in selection.effects)))),
        covariates=tuple(dict.fromkeys(e.covariate for e in selection.effects)),
        coefficients=_coefficients(selection),
    )


def _coefficients(selection: SelectionResult) -> dict[tuple[str, str, str], int]:
    """Of each effect; not of a covariate whose levels are effects of their own, as another program's count then is
    unknown."""
    keys = [(e.parameter, e.covariate, e.form) for e in selection.effects]
    return {key: len(e.coefficients) for key, e in zip(keys, selection.effects, strict=True) if keys.count(key) == 1}


def _of_fit(fit: FitResult, source: str) -> OurResult:
    random_part, fixed_part = _parts(fit)
    values = fit.likelihood("is")
    result = ToolResult(
        tool="nlmevae",
        source=source,
        model=fit.source_path,
        likelihoods=tuple(
            ToolLikelihood(value=v.minus_two_ll, method=v.method, with_constant=True, mc_se=v.mc_se)
            for v in fit.likelihoods
            if v.method != "elbo"
        ),
        criteria={} if values is None else {"BICc": values.bicc},
        estimates=_estimates(fit),
        random_part=random_part,
        fixed_part=fixed_part,
        n_parameters=None if random_part is None or fixed_part is None else random_part + fixed_part,
        n_subjects=fit.n_subjects,
        n_obs=fit.n_obs_total,
        n_runs=1,
        seconds=fit.seconds.get("total"),
        notes=("a .results.json does not tell covariate effects: compare a .selection.json for those",),
    )
    return OurResult(
        result=result,
        n_known=fit.n_known,
        parameters=tuple(fit.individuals.psi_names),
        covariates=tuple(fit.data_ranges),
        coefficients={},
    )


def _estimates(fit: FitResult) -> tuple[ToolEstimate, ...]:
    """Under the names of `comparison.common_estimates`: typical values by label, standard deviations of the random
    effects of parameters."""
    etas = dict(zip(fit.eta_names, fit.eta_labels, strict=False))
    found = []
    for e in fit.estimates:
        if e.kind == "omega" and e.row == e.column:
            label = etas.get(f"ETA({e.row})", e.label)
            error = math.nan if not e.standard_error or e.value <= 0.0 else e.standard_error / (2.0 * e.value**0.5)
            name = f"omega {_without_prefix(label)}"
            found.append(ToolEstimate(name=name, value=max(e.value, 0.0) ** 0.5, standard_error=error, fixed=e.fixed))
        elif e.kind != "omega" or e.value != 0.0:
            error = math.nan if e.standard_error is None else e.standard_error
            found.append(ToolEstimate(name=e.label, value=e.value, standard_error=error, fixed=e.fixed))
    return tuple(found)


def _parts(fit: FitResult) -> tuple[int | None, int | None]:
    """What BICc counts with log N and with log n, from the result's criteria: AIC tells their sum, BICc the rest."""
    values = next((v for v in fit.likelihoods if math.isfinite(v.bicc)), None)
    if values is None or fit.n_subjects < 1 or fit.n_obs_total < 1:
        return None, None
    total = round((values.aic - values.minus_two_ll) / 2.0)
    log_n, log_n_obs = math.log(fit.n_subjects), math.log(fit.n_obs_total)
    if math.isclose(log_n, log_n_obs):
        return total, 0
    random = round((values.bicc - values.minus_two_ll - total * log_n_obs) / (log_n - log_n_obs))
    return random, total - random
