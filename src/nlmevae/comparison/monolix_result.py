"""A results folder of Monolix, with its project if that is beside it, in the normal form of `results.tool_result`."""

from __future__ import annotations

import math
import os
from pathlib import Path

from nlmevae.comparison.mlxtran_covariates import MlxtranModel, read_mlxtran_covariates
from nlmevae.comparison.monolix_folder import MonolixFolder, read_monolix_folder
from nlmevae.errors import DataError
from nlmevae.results.tool_result import ToolEstimate, ToolLikelihood, ToolRelation, ToolResult


def read_monolix_result(path: str | os.PathLike[str], *, project: str | os.PathLike[str] | None = None) -> ToolResult:
    """
    Args:
        path: the folder, or the project (.mlxtran) whose folder is beside it.
        project: the project, if it is elsewhere.

    Raises:
        DataError: no such folder, or a file in it is not as Monolix writes it.
    """
    place = Path(path)
    model: MlxtranModel | None = None
    if place.suffix == ".mlxtran":
        model = read_mlxtran_covariates(place)
        place = _folder_of(place, model)
    folder = read_monolix_folder(place)
    if model is None:
        found = Path(project) if project is not None else _project_of(place)
        model = None if found is None else read_mlxtran_covariates(found)
    notes = []
    relations = _relations(folder, model, notes)
    random_part, fixed_part = _counts(folder, model, relations)
    if random_part is None:
        notes.append(
            "which parameters are fixed is not known (no standard errors, no project): no criterion is computed"
        )
    likelihoods = tuple(
        ToolLikelihood(value=v.minus_two_ll, method=v.method, with_constant=True, mc_se=v.mc_se)
        for v in folder.likelihoods
    )
    return ToolResult(
        tool="Monolix",
        source=str(path),
        model=model.path if model else "",
        parameters=model.parameters if model else _parameters(folder),
        relations=relations,
        likelihoods=likelihoods,
        criteria=_criteria(folder),
        estimates=tuple(
            ToolEstimate(name=p.name, value=p.value, standard_error=p.standard_error, fixed=p.fixed)
            for p in folder.parameters
        ),
        random_part=random_part,
        fixed_part=fixed_part,
        n_parameters=None if random_part is None or fixed_part is None else random_part + fixed_part,
        n_subjects=folder.n_subjects,
        n_obs=_n_obs(place) or None,
        n_runs=1,
        notes=tuple(notes),
    )


def _folder_of(project: Path, model: MlxtranModel) -> Path:
    for name in (model.export, project.stem):
        folder = project.parent / name.replace("\\", "/") if name else None
        if folder is not None and (folder / "populationParameters.txt").is_file():
            return folder
    raise DataError(
        f"{project} has no results folder beside it", hint="run the project, or give the folder with its results"
    )


def _project_of(folder: Path) -> Path | None:
    """The project beside the folder, or the only one in it."""
    folder = folder.resolve()
    beside = folder.parent / f"{folder.name}.mlxtran"
    inside = sorted(folder.glob("*.mlxtran"))
    return beside if beside.is_file() else inside[0] if len(inside) == 1 else None


def _parameters(folder: MonolixFolder) -> tuple[str, ...]:
    return tuple(p.name.removesuffix("_pop") for p in folder.parameters if p.name.endswith("_pop"))


def _n_obs(folder: Path) -> int:
    """Of the endpoints that were fitted: the rows of predictions*.txt. (summary.txt also counts the others.)"""
    files = [p.read_bytes().decode("utf-8", errors="replace") for p in sorted(folder.glob("predictions*.txt"))]
    return sum(max(0, sum(bool(line.strip()) for line in text.splitlines()) - 1) for text in files)


def _criteria(folder: MonolixFolder) -> dict[str, float]:
    """By Monolix's own numbers; those by linearisation are called so."""
    found = {}
    for values in folder.likelihoods:
        suffix = "" if values.method == "is" else f" ({values.method})"
        for name in ("bicc", "bic", "aic"):
            if not math.isnan(getattr(values, name)):
                found[{"bicc": "BICc", "bic": "BIC", "aic": "AIC"}[name] + suffix] = getattr(values, name)
    return found


def _relations(folder: MonolixFolder, model: MlxtranModel | None, notes: list[str]) -> tuple[ToolRelation, ...] | None:
    values = {p.name: p.value for p in folder.parameters}
    if model is not None:
        missing = [c for e in model.effects for c in e.coefficients if c not in values]
        if missing:
            raise DataError(
                f"{folder.path} has no value of {', '.join(missing)}, which {model.path} names",
                hint="the folder is of another project, or was written before the project was changed: run it again",
            )
        return tuple(
            ToolRelation(
                parameter=e.parameter,
                covariate=e.source,
                form=e.form,
                n_coefficients=len(e.coefficients),
                beta=tuple(values[c] for c in e.coefficients),
            )
            for e in model.effects
        )
    return _relations_by_name(values, notes)


def _relations_by_name(values: dict[str, float], notes: list[str]) -> tuple[ToolRelation, ...] | None:
    """``beta_V_lw70`` belongs to the parameter V if that is the only one that it can belong to; the rest is covariate
    and category in one word."""
    parameters = [name.removesuffix("_pop") for name in values if name.endswith("_pop")]
    betas = [name for name in values if name.startswith("beta_") and not name.endswith("_pop")]
    found: dict[tuple[str, str], list[float]] = {}
    for name in betas:
        owners = [p for p in parameters if name.startswith(f"beta_{p}_")]
        if len(owners) != 1:
            notes.append(f"{name} could be an effect on several parameters: give the project to tell which")
            return None
        found.setdefault((owners[0], name.removeprefix(f"beta_{owners[0]}_")), []).append(values[name])
    if betas:
        notes.append("without the project, names of covariates are those of the coefficients, category included")
    return tuple(
        ToolRelation(parameter=p, covariate=c, n_coefficients=len(beta), beta=tuple(beta))
        for (p, c), beta in found.items()
    )


def _counts(
    folder: MonolixFolder, model: MlxtranModel | None, relations: tuple[ToolRelation, ...] | None
) -> tuple[int | None, int | None]:
    """Estimated parameters as BICc counts them: standard deviations, correlations and coefficients on parameters with
    variability; and the rest (Delattre, Lavielle, Poursat, Electron. J. Stat. 8 (2014) 456-475, as Monolix counts)."""
    known = folder.error_method is not None or model is not None
    if not known or relations is None:
        return None, None
    fixed = set(model.fixed) if model else set()
    free = [p.name for p in folder.parameters if not (p.fixed if p.fixed is not None else p.name in fixed)]
    variable = {name.removeprefix("omega_") for name in free if name.startswith("omega_")}
    variable |= set(model.with_variability) if model else set()
    parameters = _parameters(folder)
    random = 0
    for name in free:
        owner = next((p for p in sorted(parameters, key=len, reverse=True) if name.startswith(f"beta_{p}_")), None)
        if name.startswith(("omega_", "gamma_", "corr_", "omega2_", "gamma2_", "corr2_")) and not name.endswith("_pop"):
            random += 1
        elif owner is not None and not name.endswith("_pop"):
            random += owner in variable
    return random, len(free) - random
