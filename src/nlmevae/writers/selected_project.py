"""The user's own Monolix project with the selected covariate effects in it.

Only these places change: [COVARIATE] (a transformed covariate, as ``logWT = log(WT/70.5)``), [INDIVIDUAL] (input, the
declaration of categories, covariate and coefficient of the parameters that get an effect), <PARAMETER> (the new
coefficients at their estimates), the paths where the new file stands in another folder, and `exportpath`. The text is
read back and must state the selected model and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from nlmevae.errors import ModelError, UnsupportedError
from nlmevae.frontends.monolix.lower import model_of_project
from nlmevae.frontends.monolix.names import fresh
from nlmevae.frontends.monolix.project import CategoricalCovariate, IndividualDefinition, NameOrNumber, Project
from nlmevae.frontends.monolix.read import project_of
from nlmevae.frontends.monolix.sections.files import LIBRARY, resolved_path
from nlmevae.frontends.monolix.text.split import is_colon_project, read_text
from nlmevae.frontends.nonmem.records import SourceText, source_text
from nlmevae.ir import Candidate, Model, ProjectCovariate
from nlmevae.writers.definition_edit import with_terms
from nlmevae.writers.project_edit import ProjectEdit
from nlmevae.writers.selected_control_stream import SelectedEffect, SelectedText
from nlmevae.writers.selected_model_check import WrittenEffect, difference

_DISTRIBUTIONS = {
    "normal": "normal", "lognormal": "logNormal", "logitnormal": "logitNormal", "probitnormal": "probitNormal",
}  # fmt: skip


@dataclass(slots=True)
class _Terms:
    """What one effect adds to a definition, with the names of its coefficients and their values."""

    covariate: str
    coefficients: tuple[NameOrNumber, ...]
    values: dict[str, float] = field(default_factory=dict)


def selected_project(
    model: Model, effects: Sequence[SelectedEffect], *, folder: str | Path | None = None, name: str = ""
) -> SelectedText:
    """Write the effects into the model's project and verify the result.

    Args:
        folder: where the new file will be; None: beside the project.
        name: of the new file.

    Raises:
        UnsupportedError: the project is one of Monolix 4, an effect has no spelling in Mlxtran, or the text does not
            read back as the selected model; the message says so.
    """
    path = Path(model.source.path)
    source = read_text(path)
    if is_colon_project(source.text):
        raise UnsupportedError(
            "effects cannot be written into a project of Monolix 4", hint="save it with a newer Monolix, then select"
        )
    project = project_of(source)
    target = path.parent if folder is None else Path(folder)
    try:
        return _written(model, effects, source, project, target, name or path.name, whole=False)
    except UnsupportedError:  # the definition is written in a way that has no place for them
        return _written(model, effects, source, project, target, name or path.name, whole=True)


def _written(
    model: Model,
    effects: Sequence[SelectedEffect],
    source: SourceText,
    project: Project,
    folder: Path,
    name: str,
    *,
    whole: bool,
) -> SelectedText:
    """With covariates put into the definitions as they are written, or with the `whole` of each written anew."""
    edit = ProjectEdit(source)
    taken = {*edit.words(), *(p.name for p in project.parameters)}
    shown = {c.item: c for c in model.project.covariates} if model.project is not None else {}
    used = {d.name: [t.covariate for t in d.terms] for d in project.individual}
    added = [_terms(e, model, shown, edit, taken, used) for e in effects]
    for definition in project.individual:
        mine = [t for e, t in zip(effects, added, strict=True) if _parameter(model, e.candidate) == definition.name]
        if mine:
            edit.replace_definition(definition.name, lambda *text, d=definition, m=mine: _new(d, m, *text, whole=whole))
    for terms in added:
        declared = next((c for c in project.covariates if c.name == terms.covariate), None)
        categories = declared.categories if isinstance(declared, CategoricalCovariate) else ()
        edit.add_individual_inputs([terms.covariate, *terms.values], terms.covariate, categories)
        edit.add_parameters(terms.values)
    old = Path(model.source.path).parent
    _move(edit, old, folder)
    _export(edit, project)
    return _verified(model, effects, added, edit.text(), str(folder / name))


def _new(definition: IndividualDefinition, added: Sequence[_Terms], text: str, code: str, *, whole: bool) -> str:
    """The definition with more covariates; `text` is how it is written, `code` the same without comments."""
    if whole:
        return definition_text(definition, added)
    names, values = [t.covariate for t in added], [_coefficient(t.coefficients) for t in added]
    written = with_terms(text, code, names, values, len(definition.terms))
    return definition_text(definition, added) if written is None else written


def check_project_can_be_written(model: Model, candidates: Iterable[Candidate]) -> None:
    """That each candidate alone can be written: a search should not end in an effect that cannot.

    Raises:
        UnsupportedError: as `selected_project`, for the first that cannot.
    """
    for candidate in candidates:
        beta = tuple(0.1 / max(1.0, abs(column.centre or 0.0)) for column in candidate.columns)
        selected_project(model, [SelectedEffect(candidate=candidate, beta=beta)])


def definition_text(definition: IndividualDefinition, added: Sequence[_Terms]) -> str:
    """``V = {distribution=logNormal, typical=V_pop, covariate={lw70, SEX}, coefficient={beta, {0, b}}, sd=omega}``."""
    parts = [f"distribution={_DISTRIBUTIONS[definition.distribution]}"]
    parts.append(f"{'mean' if definition.gaussian else 'typical'}={_plain(definition.typical)}")
    if definition.distribution == "logitnormal":
        parts += [f"min={definition.lower:.15g}", f"max={definition.upper:.15g}"]
    terms = [(t.covariate, t.coefficients) for t in (*definition.terms, *added)]
    if len(terms) == 1:
        parts += [f"covariate={terms[0][0]}", f"coefficient={_coefficient(terms[0][1])}"]
    else:
        parts.append(f"covariate={{{', '.join(name for name, _ in terms)}}}")
        parts.append(f"coefficient={{{', '.join(_coefficient(values) for _, values in terms)}}}")
    levels = ["*".join(v.level) for v in definition.variability]
    sizes = [_plain(v.value) for v in definition.variability]
    kind = "var" if any(v.variance for v in definition.variability) else "sd"
    if not levels:
        parts.append("no-variability")
    elif levels == ["id"]:
        parts.append(f"{kind}={sizes[0]}")
    elif len(levels) == 1:
        parts += [f"varlevel={levels[0]}", f"{kind}={sizes[0]}"]
    else:
        parts += [f"varlevel={{{', '.join(levels)}}}", f"{kind}={{{', '.join(sizes)}}}"]
    return f"{definition.name} = {{{', '.join(parts)}}}"


def _plain(value: NameOrNumber) -> str:
    return value if isinstance(value, str) else f"{value:.15g}"


def _coefficient(values: Sequence[NameOrNumber]) -> str:
    return _plain(values[0]) if len(values) == 1 else f"{{{', '.join(map(_plain, values))}}}"


def _parameter(model: Model, candidate: Candidate) -> str:
    shown = {} if model.project is None else model.project.shown
    return shown.get(candidate.parameter, candidate.parameter)


def _terms(
    effect: SelectedEffect,
    model: Model,
    shown: dict[str, ProjectCovariate],
    edit: ProjectEdit,
    taken: set[str],
    used: Mapping[str, Sequence[str]],
) -> _Terms:
    """The covariate to be named in the definition, which may be a new one, and its coefficients."""
    candidate, column = effect.candidate, effect.candidate.columns[0]
    covariate = shown.get(candidate.covariate)
    if covariate is None or candidate.missing_code is not None:
        why = "it has missing values" if covariate is not None else "the project has no such covariate"
        raise UnsupportedError(
            f"{candidate.name} cannot be written into the project: {why}",
            hint="leave it out of --covariates, or complete the covariate in the data",
        )
    parameter = _parameter(model, candidate)
    edit.add_covariate_input(covariate.name)
    if column.shape == "indicator":
        return _categorical(effect, covariate, parameter, taken)
    centre = f"{column.centre:.15g}"
    log = column.shape == "log"
    value = f"log({covariate.name}/{centre})" if log else f"{covariate.name} - {centre}".replace("- -", "+ ")
    wanted = f"{'log' if log else 'c'}{covariate.name}"
    name = edit.add_covariate(value, wanted, taken, used.get(parameter, ()))
    beta = fresh(f"beta_{parameter}_{name}", taken)
    return _Terms(covariate=name, coefficients=(beta,), values={beta: effect.beta[0]})


def _categorical(effect: SelectedEffect, covariate: ProjectCovariate, parameter: str, taken: set[str]) -> _Terms:
    if not covariate.categories:
        raise UnsupportedError(
            f"{effect.candidate.name} cannot be written into the project: {covariate.name} is continuous in it",
            hint=f"declare {covariate.name} = {{type=categorical, categories={{...}}}} in [COVARIATE]",
        )
    coefficients: list[NameOrNumber] = [0.0] * len(covariate.categories)
    values = {}
    for column, beta in zip(effect.candidate.columns, effect.beta, strict=True):
        level = int(column.level or 0)
        label = "".join(c if c.isalnum() else "_" for c in covariate.categories[level])
        name = fresh(f"beta_{parameter}_{covariate.name}_{label}", taken)
        coefficients[level], values[name] = name, beta
    return _Terms(covariate=covariate.name, coefficients=tuple(coefficients), values=values)


def _move(edit: ProjectEdit, old: Path, new: Path) -> None:
    """Paths of data and model file, from the new folder."""

    def moved(written: str) -> str:
        if written.startswith(LIBRARY):
            return written
        found, _ = resolved_path(written, old / "project", None)
        return written if found is None else os.path.relpath(found, new).replace(os.sep, "/")

    if os.path.abspath(old) != os.path.abspath(new):
        edit.move_files(moved)


def _export(edit: ProjectEdit, project: Project) -> None:
    """Results of the new project go into a folder of their own."""
    stated = project.settings.get("exportpath", "")
    if stated:
        edit.replace_setting("exportpath", stated, f"{stated}_selected")


def _verified(
    model: Model, effects: Sequence[SelectedEffect], added: Sequence[_Terms], text: str, path: str
) -> SelectedText:
    """Read back: the model under the numbers it had, coefficients of the effects behind them, must be the selected
    one."""
    try:
        new = model_of_project(project_of(source_text(text, path)))
    except ModelError as error:
        raise _not_written(error.message) from error
    number = {t.label: t.name for t in new.thetas}
    own = [number.get(t.label, "") for t in model.thetas]
    names = [tuple(number.get(label, "") for label in terms.values) for terms in added]
    order = [*own, *(name for group in names for name in group)]
    if "" in order or len(order) != len(new.thetas):
        raise _not_written("its parameters are then others")
    renumbered = {name: f"THETA({k})" for k, name in enumerate(order, 1)}
    written = [
        WrittenEffect(candidate=e.candidate, thetas=tuple(renumbered[n] for n in group))
        for e, group in zip(effects, names, strict=True)
    ]
    in_old_order = renamed(new, renumbered)
    in_old_order = replace(in_old_order, thetas=tuple(sorted(in_old_order.thetas, key=lambda t: int(t.name[6:-1]))))
    reason = difference(model, in_old_order, written)
    if reason:
        raise _not_written(reason)
    return SelectedText(text=text, thetas=tuple(names), styles=("project",) * len(names), model=new, base=tuple(own))


def renamed(value: Any, names: dict[str, str]) -> Any:
    """A copy of frozen data in which every text that is one of `names` is replaced."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, tuple):
        return tuple(renamed(v, names) for v in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: renamed(getattr(value, f.name), names) for f in fields(value) if f.init and f.name != "at"}
        return replace(value, **changed)
    return value


def _not_written(reason: str) -> UnsupportedError:
    return UnsupportedError(
        f"the project with the effects does not read back as the selected model: {reason}",
        hint="add the effects by hand to [INDIVIDUAL], or select on fewer covariates",
    )
