"""Settings of Monolix's covariate search -> the search they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nlmevae.data.search.cossac_file import CossacFile, Transform, read_cossac_file, transform_of
from nlmevae.data.search.decision import SearchDecision
from nlmevae.data.search.effect_request import EffectRequest
from nlmevae.data.search_spec import SearchSpec
from nlmevae.errors import SettingsError
from nlmevae.frontends.nonmem.records import source_text
from nlmevae.ir import Model
from nlmevae.writers.project_edit import ProjectEdit
from nlmevae_translators.report import Entry
from nlmevae_translators.search.asked import AskedSearch, note

#: Monolix's own limits of the likelihood-ratio test, to add and to keep (automatic covariate model building, 2021).
P_FORWARD, P_BACKWARD = 0.01, 0.001


def asked_of_cossac(path: str, model: Model) -> AskedSearch:
    """
    Raises:
        SettingsError: the file cannot be read, or names what the model does not have.
    """
    file = read_cossac_file(path)
    known, refused = _covariates(file, model)
    spec = _spec(file, known, model)
    entries = (*refused, *_entries(file), *_centres(file, known), *_both(file, spec))
    return AskedSearch(
        language="cossac", path=path, spec=spec, decision=_decision(file), entries=entries, model=file.project
    )


def _decision(file: CossacFile) -> SearchDecision:
    places = {"criterion": file.at("criterion"), "p_forward": file.at("lrt"), "p_backward": file.at("lrt")}
    places = {key: at for key, at in places.items() if at is not None}
    if file.criterion == "BIC":
        return SearchDecision(criterion="bicc", places=places)
    forward, backward = file.lrt or (P_FORWARD, P_BACKWARD)
    return SearchDecision(p_forward=forward, p_backward=backward, direction="both", places=places)


def _entries(file: CossacFile) -> Iterator[Entry]:
    if file.strategy == "samba":
        reason = "SAMBA also changes correlations and residual errors; covariates are searched only"
        yield note("strategy=samba", "lossy", reason, file.at("strategy"))
    else:
        reason = "the search itself is another: one that compares all sets of effects, or nlmevae scm, nlmevae cossac"
        yield note(f"strategy={file.strategy}", "rule", reason, file.at("strategy"))
    if file.samba_first:
        yield note(
            "useSambaBeforeCossac",
            "rule",
            "where the search begins, not what it finds",
            file.at("useSambaBeforeCossac"),
        )
    if file.correlation:
        reason = "limits of the correlation tests that choose what is tried; here all effects are tried"
        yield note("threshold$correlation", "rule", reason, file.at("correlation"))
    if file.linearised:
        yield note("useLin=true", "rule", "the likelihood is computed, not linearised", file.at("useLin"))


def _covariates(file: CossacFile, model: Model) -> tuple[dict[str, Transform | str], list[Entry]]:
    """Each covariate: what it is of which column (a text: its name where it is a category or untransformed)."""
    equations = _project_equations(model)
    found: dict[str, Transform | str] = {}
    refused = []
    for name in file.covariates:
        expression = file.transformed.get(name, equations.get(name))
        if expression is None and _is_regrouped(name, model):
            reason = "categories that [COVARIATE] makes of others are not searched; test the covariate they are made of"
            refused.append(note(f"covariate {name}", "refused", reason, file.at(name)))
        elif expression is None:
            _check_known(file, name, model)
            found[name] = name
        elif (transform := transform_of(expression)) is not None:
            found[name] = transform
        else:
            reason = f"{expression} is neither log(w/c) nor w - c, the forms that are searched; test {name} as a column"
            refused.append(note(f"covariate {name}", "refused", reason, file.at(name)))
    return found, refused


def _is_regrouped(name: str, model: Model) -> bool:
    return model.project is not None and any(c.computed for c in model.project.covariates if c.name == name)


def _check_known(file: CossacFile, name: str, model: Model) -> None:
    """
    Raises:
        SettingsError: nothing says whether an untransformed covariate is a number or a category.
    """
    if model.project is None and '"transformed"' not in file.text:
        raise SettingsError(
            f"nothing says whether {name} is continuous or categorical",
            hint='give the Monolix project with --model, or say "transformed": {"cWT": "WT - 70"} of numbers',
            location=file.at(name),
        )


def _project_equations(model: Model) -> dict[str, str]:
    if model.source.format != "monolix":
        return {}
    edit = ProjectEdit(source_text(model.source.text, model.source.path))
    return {name: equation for equation, name in edit.known_covariates().items()}


def _spec(file: CossacFile, known: dict[str, Transform | str], model: Model) -> SearchSpec:
    never = {(lock.parameter, lock.covariate) for lock in file.locks if not lock.inside}
    always = {(lock.parameter, lock.covariate) for lock in file.locks if lock.inside}
    effects, force = [], []
    for parameter in file.parameters:
        for name in file.covariates:
            if name in known and (parameter, name) not in never:
                request = _request(file, parameter, name, known[name], model)
                effects.append(request)
                force += [request] if (parameter, name) in always else []
    if not effects and known:
        raise SettingsError(f"{file.path} leaves nothing to search", hint="unlock a relationship")
    centres: dict[str, float] = {}
    for value in known.values():
        if isinstance(value, Transform):
            centres.setdefault(value.item.upper(), value.centre)
    return replace(SearchSpec(), effects=tuple(effects), force=tuple(force), centres=tuple(centres.items()))


def _request(file: CossacFile, parameter: str, name: str, value: Transform | str, model: Model) -> EffectRequest:
    """A column as it is: a category where it is declared as such, else w itself."""
    item = value if isinstance(value, str) else value.item
    if isinstance(value, Transform) and value.shape == "log":
        form = "power"
    elif isinstance(value, str) and _is_category(value, model):
        form = "categorical"
    else:
        form = "exponential" if _is_log(parameter, model) else "linear"
    at = file.at(name)
    return EffectRequest(parameter=parameter.upper(), covariate=item.upper(), form=form, at=at)


def _is_category(name: str, model: Model) -> bool:
    """What a project declares; of a control stream every untransformed covariate whose name is in no equation."""
    if model.project is None:
        return True
    return any(c.categories for c in model.project.covariates if c.name == name)


def _is_log(parameter: str, model: Model) -> bool:
    shown = {} if model.project is None else model.project.shown
    names = {shown.get(p.name, p.name).upper(): p.transform.kind for p in model.individual_parameters}
    return names.get(parameter.upper(), "log") == "log"


def _centres(file: CossacFile, known: dict[str, Transform | str]) -> Iterator[Entry]:
    centres: dict[str, float] = {}
    for name, value in known.items():
        if isinstance(value, Transform) and centres.setdefault(value.item, value.centre) != value.centre:
            reason = f"centred at {centres[value.item]:g} like the other of {value.item}: typical values move"
            yield note(f"covariate {name}", "rule", reason, file.at(name))


def _both(file: CossacFile, spec: SearchSpec) -> Iterator[Entry]:
    """Two covariates of one column, which Monolix may put on one parameter both."""
    forms: dict[tuple[str, str], list[EffectRequest]] = {}
    for request in spec.effects:
        forms.setdefault((request.parameter, request.covariate), []).append(request)
    for (parameter, covariate), requests in forms.items():
        if len({r.form for r in requests}) > 1:
            names = " and ".join(r.form or "" for r in requests)
            reason = "Monolix may take both; here they are forms of one effect, of which at most one is taken"
            yield note(f"{parameter}~{covariate}: {names}", "lossy", reason, requests[0].at)
