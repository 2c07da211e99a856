"""A search -> settings of Monolix's covariate search: an R script for lixoftConnectors, and the same as JSON.

Calls and names of settings are those of the page "Covariate search" of Monolix's R functions (2024R1).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlmevae.data.search.cossac_file import SCHEMA
from nlmevae.frontends.monolix.names import fresh
from nlmevae.ir import Candidate
from nlmevae_translators.report import Entry
from nlmevae_translators.search.asked import KnownSearch, WrittenSearch, note, placed, without
from nlmevae_translators.search.decisions import Limits, for_monolix


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """Candidate index -> the covariate it tests; and what new covariates are."""

    covariates: tuple[str, ...]
    transformed: dict[str, str]


def to_cossac(search: KnownSearch, *, name: str, model: str) -> WrittenSearch:
    """`name`.R and `name`.json."""
    refused = {k: reason for k, c in enumerate(search.candidates) if (reason := _refusal(c))}
    left_out = tuple(search.candidates[k] for k in refused)
    entries = [
        note(search.candidates[k].name, "refused", reason, search.place(search.candidates[k]))
        for k, reason in refused.items()
    ]
    kept = without(search, left_out)
    if not kept.candidates:
        return WrittenSearch(entries=tuple(entries), left_out=left_out)
    project = model if model.endswith(".mlxtran") else f"{Path(model).stem or 'project'}.mlxtran"
    limits, decided = for_monolix(kept)
    names = _names(kept)
    settings = _settings(kept, names, limits, project)
    files = {f"{name}.R": _script(settings, name), f"{name}.json": _json(settings)}
    told = placed([*_effects(kept, names), *_others(kept, project), *decided], files)
    return WrittenSearch(files=files, entries=(*entries, *told), main=f"{name}.json", left_out=left_out)


def _refusal(candidate: Candidate) -> str:
    if candidate.missing_code is not None:
        return "Monolix has no missing values of covariates; complete the data"
    if candidate.form == "categorical" and "=" in candidate.name:
        return "Monolix tests all levels of a covariate or none; take levels=each away"
    return ""


def _names(search: KnownSearch) -> _Names:
    taken = {search.covariate(c) for c in search.candidates} | {search.parameter(c) for c in search.candidates}
    project = search.run.model.project
    taken |= {c.name for c in project.covariates} if project is not None else set()
    transformed: dict[str, str] = {}
    by_text: dict[str, str] = {}
    found = []
    for candidate in search.candidates:
        own, column = search.covariate(candidate), candidate.columns[0]
        if candidate.form == "categorical":
            found.append(own)
            continue
        centre = f"{column.centre:.15g}"
        log = column.shape == "log"
        text = f"log({own}/{centre})" if log else f"{own} - {centre}".replace("- -", "+ ")
        if text not in by_text:
            by_text[text] = fresh(f"{'logt' if log else 't'}{own}", taken)
            taken.add(by_text[text])
            transformed[by_text[text]] = text
        found.append(by_text[text])
    return _Names(covariates=tuple(found), transformed=transformed)


def _settings(search: KnownSearch, names: _Names, limits: Limits, project: str) -> dict:
    covariates = list(dict.fromkeys(names.covariates))
    parameters = list(dict.fromkeys(search.parameter(c) for c in search.candidates))
    wanted = {
        (search.parameter(c), name): c.forced for c, name in zip(search.candidates, names.covariates, strict=True)
    }
    never = [[p, w, False] for p in parameters for w in covariates if (p, w) not in wanted]
    always = [[p, w, True] for (p, w), forced in wanted.items() if forced]
    threshold = {} if limits.bic else {"threshold": {"lrt": [limits.forward, limits.backward]}}
    return {
        "schema": SCHEMA,
        "project": project,
        "transformed": names.transformed,
        "strategy": "cossac",
        "useSambaBeforeCossac": False,
        "criterion": "BIC" if limits.bic else "LRT",
        **threshold,
        "covariates": covariates,
        "parameters": parameters,
        "relationships": [*always, *never],
    }


def _json(settings: dict) -> str:
    """One value a line, one relationship a line."""
    lines = []
    for key, value in settings.items():
        if key == "relationships" and value:
            rows = ",\n    ".join(json.dumps(row) for row in value)
            lines.append(f'  "relationships": [\n    {rows}\n  ]')
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _script(settings: dict, name: str) -> str:
    return "\n".join((*_r_lines(settings, name), ""))


def _r_lines(settings: dict, name: str) -> Iterator[str]:
    project = settings["project"]
    yield f"# Covariate search by Monolix (2021 and later): Rscript {name}.R"
    yield "library(lixoftConnectors)"
    yield 'initializeLixoftConnectors(software = "monolix")'
    yield f"loadProject({_r(project)})"
    for covariate, text in settings["transformed"].items():
        yield f"addContinuousTransformedCovariate({covariate} = {_r(text)})"
    yield f"saveProject({_r(Path(project).stem + '_search.mlxtran')})"
    yield from ("", "set <- getModelBuildingSettings()")
    yield f"set$strategy <- {_r(settings['strategy'])}"
    yield "set$useSambaBeforeCossac <- FALSE"
    yield f"set$criterion <- {_r(settings['criterion'])}"
    if "threshold" in settings:
        forward, backward = settings["threshold"]["lrt"]
        yield f"set$threshold$lrt[1] <- {forward:.15g}  # to add"
        yield f"set$threshold$lrt[2] <- {backward:.15g}  # to keep"
    yield f"set$covariates <- {_vector(settings['covariates'])}"
    yield f"set$parameters <- {_vector(settings['parameters'])}"
    for k, (parameter, covariate, inside) in enumerate(settings["relationships"], 1):
        end = "in all models" if inside else "in none"
        locked = "TRUE" if inside else "FALSE"
        yield f"set$relationships[{k},] <- c({_r(parameter)}, {_r(covariate)}, {locked})  # {end}"
    yield from ("", "runModelBuilding(settings = set)", "results <- getModelBuildingResults()")


def _r(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _vector(names: Sequence[str]) -> str:
    return f"c({', '.join(map(_r, names))})"


def _effects(search: KnownSearch, names: _Names) -> Iterator[Entry]:
    for candidate, name in zip(search.candidates, names.covariates, strict=True):
        if candidate.form == "categorical":
            words = f"the covariate {name}; Monolix's reference category moves typical values only"
        else:
            words = f"the coefficient of {name} = {names.transformed[name]}"
        if candidate.forced:
            words += "; locked in, in all models"
        yield note(candidate.name, "rule", words, search.place(candidate), "set$covariates")


def _others(search: KnownSearch, project: str) -> Iterator[Entry]:
    for group in search.exclusive:
        found = [search.candidates[k].name for k in group]
        reason = "Monolix may take both: it knows no forms of one effect that exclude each other"
        yield note(" and ".join(found), "lossy", reason, search.place(search.candidates[group[0]]), "set$covariates")
    if search.run.model.project is None:
        columns = ", ".join(dict.fromkeys(c.covariate for c in search.candidates))
        reason = (
            f"the project of the same model, as nlmevae convert --to mlxtran writes it; {columns} must be covariates "
            "in its [CONTENT]"
        )
        yield note(f"model {search.asked.model or search.run.model.source.path}", "rule", reason, None, "loadProject")
    if search.asked.spec.missing is not None:
        yield note(f"missing={search.asked.spec.missing:g}", "rule", "no subject has a missing covariate")
    direction = search.asked.decision.direction
    if direction in ("forward", "backward"):
        reason = "Monolix adds and removes: no setting keeps it from either"
        yield note(f"direction={direction}", "lossy", reason, search.asked.decision.at("direction"), "set$strategy")
    elif direction == "both":
        reason = 'set$strategy <- "scm" is the search that first adds, then removes; cossac does both by correlations'
        yield note("direction=both", "rule", reason, search.asked.decision.at("direction"), "set$strategy")
