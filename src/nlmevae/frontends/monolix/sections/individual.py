"""[INDIVIDUAL]: distributions, covariates and variability of the individual parameters, and their correlations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nlmevae.errors import ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.project import (
    CategoricalCovariate,
    Correlation,
    CovariateTerm,
    IndividualDefinition,
    Variability,
)
from nlmevae.frontends.monolix.sections.bounds import bounds_of
from nlmevae.frontends.monolix.sections.covariates import categorical
from nlmevae.frontends.monolix.text.entries import (
    Entries,
    assignments_of,
    items_of,
    key_of,
    name_of,
    name_or_number,
    names_of,
    word_of,
)
from nlmevae.frontends.monolix.text.nodes import Assignment, CallNode, ListNode, Node, Operation, Pair, Word
from nlmevae.frontends.monolix.text.split import Block
from nlmevae.frontends.monolix.text.syntax import parse_block

DISTRIBUTIONS = ("normal", "lognormal", "logitnormal", "probitnormal")
DEFINITION_KEYS = (
    "distribution", "typical", "mean", "reference", "prediction", "covariate", "coefficient", "varlevel", "sd", "var",
    "min", "max", "no-variability",
)  # fmt: skip


@dataclass(slots=True)
class IndividualSection:
    """What [INDIVIDUAL] states. `declared`: categorical covariates declared again; `used`: names of `input`."""

    used: list[str] = field(default_factory=list)
    declared: list[CategoricalCovariate] = field(default_factory=list)
    definitions: list[IndividualDefinition] = field(default_factory=list)
    correlations: list[Correlation] = field(default_factory=list)


def read_individual(blocks: Sequence[Block]) -> IndividualSection:
    """[INDIVIDUAL] of a project.

    Raises:
        ModelError: equations, a parameter twice, a definition without a distribution or a typical value.
    """
    section = IndividualSection()
    for block in blocks:
        if block.label == "":
            _read_head(block, section)
        elif block.label == "DEFINITION":
            for node in assignments_of(parse_block(block), "DEFINITION: of [INDIVIDUAL]"):
                _read_definition(node, section)
        elif block.label != "DESCRIPTION" and block.code.strip():
            raise UnsupportedError(
                f"{block.label}: in [INDIVIDUAL] is not supported",
                hint="define the parameters under DEFINITION:, compute others in the structural model",
                location=block.at,
            )
    return section


def _read_head(block: Block, section: IndividualSection) -> None:
    for node in assignments_of(parse_block(block), "[INDIVIDUAL]"):
        key = key_of(node, "[INDIVIDUAL]")
        if key == "input":
            section.used += names_of(node.value, "an input")
        elif isinstance(node.value, ListNode) and _is_regressor(node.value):
            raise UnsupportedError(
                f"the regressor {key} in [INDIVIDUAL] is not supported",
                hint="use it in the structural model, or as a covariate",
                location=node.target.at,
            )
        else:
            section.declared.append(categorical(key, node))


def _is_regressor(node: ListNode) -> bool:
    return any(
        isinstance(i, Pair) and isinstance(i.value, Word) and i.value.text.lower() == "regressor" for i in node.items
    )


def _read_definition(node: Assignment, section: IndividualSection) -> None:
    name = key_of(node, "DEFINITION: of [INDIVIDUAL]")
    if name == "correlation":
        section.correlations += correlations_of(node)
        return
    if any(d.name == name for d in section.definitions):
        raise SemanticError(f"the parameter {name} is defined twice", hint="keep one of them", location=node.target.at)
    section.definitions.append(individual_definition(name, node))


def individual_definition(name: str, node: Assignment) -> IndividualDefinition:
    """One entry `P = {distribution=..., typical=..., ...}`."""
    entries = Entries(node.value, of=f"the parameter {name}", known=DEFINITION_KEYS)
    distribution = word_of(entries.need("distribution"), "distribution of individual parameters", DISTRIBUTIONS)
    typical, gaussian = _typical(entries, name)
    bounds = bounds_of(entries, distribution, name)
    return IndividualDefinition(
        name=name,
        distribution=distribution,  # type: ignore[arg-type]
        typical=typical,
        gaussian=gaussian,
        lower=bounds[0],
        upper=bounds[1],
        terms=_terms(entries, name),
        variability=_variability(entries, name),
        at=node.target.at,
    )


def _typical(entries: Entries, name: str) -> tuple[str | float, bool]:
    """(typical value, whether it is that of the normal variable)."""
    given = [key for key in ("typical", "mean", "reference", "prediction") if key in entries]
    if not given:
        raise SemanticError(f"the parameter {name} has no typical value", hint="add typical=...", location=entries.at)
    if len(given) > 1:
        raise SemanticError(
            f"the parameter {name} has {given[0]} and {given[1]}",
            hint="keep one of them",
            location=entries.values[given[1]].at,
        )
    if given[0] in ("reference", "prediction"):
        raise UnsupportedError(
            f"{given[0]}= is of an older form of Mlxtran: its scale is not certain",
            hint="write typical=..., the median on the scale of the parameter",
            location=entries.values[given[0]].at,
        )
    value = name_or_number(entries.values[given[0]], f"{given[0]} of {name}")
    return value, given[0] == "mean"


def _terms(entries: Entries, name: str) -> tuple[CovariateTerm, ...]:
    given, coefficients = entries.get("covariate"), entries.get("coefficient")
    if given is None and coefficients is None:
        return ()
    if given is None or coefficients is None:
        present, absent = ("covariate", "coefficient") if coefficients is None else ("coefficient", "covariate")
        raise SemanticError(
            f"the parameter {name} has {present} without {absent}", hint=f"add {absent}=...", location=entries.at
        )
    covariates = [(name_of(c, "a covariate"), c) for c in items_of(given)]
    nodes = items_of(coefficients)
    # one covariate: {b, 0} are its categories
    nodes = (coefficients,) if len(covariates) == 1 and len(nodes) != 1 else nodes
    if len(nodes) != len(covariates):
        raise SemanticError(
            f"{len(covariates)} covariates of {name}, but {len(nodes)} coefficients",
            hint="give one coefficient, or one list in braces for the categories, per covariate",
            location=coefficients.at,
        )
    twice = next((c for c, _ in covariates if [n for n, _ in covariates].count(c) > 1), None)
    if twice is not None:
        raise SemanticError(f"the covariate {twice} acts twice on {name}", hint="keep one of them", location=given.at)
    return tuple(
        CovariateTerm(
            covariate=covariate,
            coefficients=tuple(name_or_number(c, f"a coefficient of {name}") for c in items_of(node)),
            at=at.at,
        )
        for (covariate, at), node in zip(covariates, nodes, strict=True)
    )


def _variability(entries: Entries, name: str) -> tuple[Variability, ...]:
    none = entries.flags.get("no-variability")
    for flag in entries.flags.values():
        if flag is not none:
            raise ModelSyntaxError(f"{flag.written} has no value", hint="write key=value", location=flag.at)
    given = [key for key in ("sd", "var") if key in entries]
    if none is not None:
        for key in (*given, *(["varlevel"] if "varlevel" in entries else [])):
            raise SemanticError(
                f"the parameter {name} has {key} and no-variability",
                hint="keep one of them",
                location=entries.values[key].at,
            )
        return ()
    if not given:
        raise SemanticError(
            f"the parameter {name} says nothing about its variability",
            hint=f"add sd=omega_{name}, or no-variability",
            location=entries.at,
        )
    if len(given) == 2:
        raise SemanticError(
            f"the parameter {name} has sd and var", hint="keep one of them", location=entries.values["var"].at
        )
    values = items_of(entries.values[given[0]])
    levels = _levels(entries, name, len(values))
    return tuple(
        Variability(level=level, value=name_or_number(value, f"{given[0]} of {name}"), variance=given[0] == "var")
        for level, value in zip(levels, values, strict=True)
    )


def _levels(entries: Entries, name: str, count: int) -> list[tuple[str, ...]]:
    given = entries.get("varlevel")
    levels = [("id",)] if given is None else [level_of(item) for item in items_of(given)]
    if len(levels) != count:
        raise SemanticError(
            f"{len(levels)} levels of variability of {name}, but {count} standard deviations",
            hint="write varlevel={id, id*occ}, sd={omega, gamma}",
            location=entries.at,
        )
    if len(set(levels)) < len(levels):
        raise SemanticError(f"a level of variability of {name} is given twice", hint="keep one", location=entries.at)
    return levels


def level_of(node: Node) -> tuple[str, ...]:
    """`id` or `id*occ` or `id*occ1*occ2`."""
    if isinstance(node, Operation) and node.operator == "*":
        return (*level_of(node.operands[0]), *level_of(node.operands[1]))
    if isinstance(node, Word):
        return (node.text,)
    raise ModelSyntaxError(
        f"{node.written} is not a level of variability", hint="write id, or id*occ", location=node.at
    )


def correlations_of(node: Assignment) -> list[Correlation]:
    """`correlation = {level=id, r(V, Cl)=corr_V_Cl, ...}`."""
    level: tuple[str, ...] = ("id",)
    pairs: list[Pair] = []
    for item in items_of(node.value):
        if not isinstance(item, Pair):
            raise ModelSyntaxError(
                f"{item.written} is not a correlation", hint="write r(P1, P2)=name", location=item.at
            )
        if isinstance(item.key, Word) and item.key.text == "level":
            level = level_of(item.value)
        else:
            pairs.append(item)
    found: list[Correlation] = []
    for pair in pairs:
        key = pair.key
        if not (isinstance(key, CallNode) and key.name.text == "r" and len(key.arguments) == 2):
            raise ModelSyntaxError(f"{key.written} is not a correlation", hint="write r(P1, P2)=name", location=key.at)
        first, second = (name_of(argument, "a parameter") for argument in key.arguments)
        value = name_or_number(pair.value, "a correlation")
        found.append(Correlation(level=level, parameters=(first, second), value=value, at=key.at))
    return found
