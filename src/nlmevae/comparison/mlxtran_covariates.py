"""Covariate effects that a Monolix project states: [INDIVIDUAL] and [COVARIATE] of its .mlxtran.

    V = {distribution=logNormal, typical=V_pop, covariate={lw70, sex}, coefficient={beta_V_lw70, {0, beta_V_sex_F}}}

Only these lines are read, not the project: names of coefficients are resolved by them, never by splitting at "_".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nlmevae.errors import DataError

_SECTION = re.compile(r"^\s*(?:<(\w+)>|\[(\w+)\])\s*$")
_DEFINITION = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\}\s*$")
_EQUATION = re.compile(r"^\s*(\w+)\s*=\s*([^{].*?)\s*$")
_LOG_RATIO = re.compile(r"(?i:log)\(\s*(\w+)\s*/\s*[\d.eE+-]+\s*\)$")
_DIFFERENCE = re.compile(r"\(?\s*(\w+)\s*-\s*[\d.eE+-]+\s*\)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class MlxtranEffect:
    """`source` the column of the data that `covariate` is made from, `form` how it acts on a log-normal parameter, ""
    where the equation is another; `coefficients` without the zeros of reference categories."""

    parameter: str
    covariate: str
    source: str
    form: str
    coefficients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MlxtranModel:
    """`with_variability`: parameters that have a random effect; `fixed`: names with method=FIXED; `export`: the results
    folder it names, "" if none."""

    path: str
    parameters: tuple[str, ...]
    with_variability: tuple[str, ...]
    effects: tuple[MlxtranEffect, ...]
    fixed: tuple[str, ...]
    export: str


def read_mlxtran_covariates(path: Path) -> MlxtranModel:
    """
    Raises:
        DataError: it cannot be read, or has no [INDIVIDUAL].
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="check the path of the project") from None
    parts = _parts(_joined(text))
    definitions = [m for line in parts.get("INDIVIDUAL", ()) if (m := _DEFINITION.match(line)) and m[1] != "input"]
    if not definitions:
        raise DataError(f"{path} has no [INDIVIDUAL] with definitions", hint="give a project of Monolix (.mlxtran)")
    sources = _sources(parts.get("COVARIATE", ()))
    effects: list[MlxtranEffect] = []
    variable = []
    for found in definitions:
        options = _options(found[2])
        if "no-variability" not in options and ("sd" in options or "var" in options):
            variable.append(found[1])
        covariates = _list(options.get("covariate", ""))
        coefficients = _list(options.get("coefficient", ""))
        if len(covariates) == 1 and len(coefficients) > 1:
            coefficients = ["{" + ", ".join(coefficients) + "}"]
        for name, group in zip(covariates, coefficients, strict=False):
            source, form = sources.get(name, (name, ""))
            names = tuple(c for c in _list(group) if c != "0")
            if group.startswith("{"):
                form = "categorical"
            effects.append(
                MlxtranEffect(parameter=found[1], covariate=name, source=source, form=form, coefficients=names)
            )
    values = [m for line in parts.get("PARAMETER", ()) if (m := _DEFINITION.match(line))]
    fixed = [m[1] for m in values if "method=FIXED" in m[2].replace(" ", "")]
    return MlxtranModel(
        path=str(path),
        parameters=tuple(m[1] for m in definitions),
        with_variability=tuple(variable),
        effects=tuple(effects),
        fixed=tuple(fixed),
        export=_export(text),
    )


def _joined(text: str) -> list[str]:
    """Lines without comments; a definition that goes on over several lines becomes one."""
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.partition(";")[0].rstrip()
        if lines and lines[-1].count("{") > lines[-1].count("}"):
            lines[-1] = f"{lines[-1]} {line.strip()}"
        else:
            lines.append(line)
    return lines


def _parts(lines: list[str]) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        section = _SECTION.match(line)
        if section:
            name = section[1] or section[2]
        else:
            parts.setdefault(name, []).append(line)
    return parts


def _sources(lines: list[str]) -> dict[str, tuple[str, str]]:
    """Covariate -> its column and form: ``lw70 = log(wt/70)``, ``tSEX = {transform = SEX, ...}``."""
    found: dict[str, tuple[str, str]] = {}
    for line in lines:
        definition, equation = _DEFINITION.match(line), _EQUATION.match(line)
        if definition:
            transform = _options(definition[2]).get("transform")
            found[definition[1]] = (transform or definition[1], "categorical")
        elif equation and equation[1] != "input":
            ratio, difference = _LOG_RATIO.match(equation[2]), _DIFFERENCE.match(equation[2])
            form = "power" if ratio else "exponential" if difference else ""
            source = (ratio or difference)[1] if ratio or difference else equation[1]  # type: ignore[index]
            found[equation[1]] = (source, form)
    return found


def _options(text: str) -> dict[str, str]:
    found = {}
    for part in _list("{" + text + "}"):
        key, _, value = part.partition("=")
        found[key.strip()] = value.strip()
    return found


def _list(text: str) -> list[str]:
    """Parts of ``{a, {0, b}}`` at its outer commas; a text without braces is one part."""
    text = text.strip()
    inside = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    parts, depth = [""], 0
    for character in inside:
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _export(text: str) -> str:
    found = re.search(r"exportpath\s*=\s*'([^']*)'", text)
    return found[1] if found else ""
