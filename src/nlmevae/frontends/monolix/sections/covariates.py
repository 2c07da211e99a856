"""[COVARIATE]: categories, transformations and regroupings of the covariates."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from nlmevae.errors import ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.project import (
    CategoricalCovariate,
    ComputedCovariate,
    Covariate,
    RegroupedCovariate,
)
from nlmevae.frontends.monolix.text.entries import (
    Entries,
    assignments_of,
    items_of,
    key_of,
    label_of,
    labels_of,
    name_of,
    word_of,
)
from nlmevae.frontends.monolix.text.expression import value_of
from nlmevae.frontends.monolix.text.nodes import Assignment, ListNode, Node, Pair
from nlmevae.frontends.monolix.text.split import Block
from nlmevae.frontends.monolix.text.syntax import parse_block

CATEGORY_KEYS = ("type", "categories")
REGROUPING_KEYS = ("transform", "categories", "reference")
#: Of covariates that a simulation draws.
LAW_KEYS = ("distribution", "typical", "mean", "sd", "var")


def read_covariates(blocks: Sequence[Block], columns: Collection[str]) -> tuple[Covariate, ...]:
    """The covariates of [COVARIATE] in order. `columns`: those of the data that are covariates or occasions.

    Raises:
        ModelError: an input that is no covariate of the data, a covariate twice, a category twice or in two groups,
            probability laws of covariates.
    """
    covariates: list[Covariate] = []
    inputs: list[Node] = []
    for block in blocks:
        if block.label == "EQUATION":
            covariates += _computed(block)
        elif block.label in ("", "DEFINITION"):
            for node in assignments_of(parse_block(block), "[COVARIATE]"):
                if key_of(node, "[COVARIATE]") == "input" and block.label == "":
                    inputs += items_of(node.value)
                else:
                    covariates.append(_declared(node))
        elif block.label != "DESCRIPTION" and block.code.strip():
            raise UnsupportedError(
                f"{block.label}: is not a block of [COVARIATE]", hint="EQUATION and DEFINITION are", location=block.at
            )
    _check_names(covariates)
    _check_inputs(inputs, {*columns, *(c.name for c in covariates)})
    return tuple(covariates)


def _check_inputs(inputs: Sequence[Node], known: Collection[str]) -> None:
    for item in inputs:
        if (name := name_of(item, "a covariate")) not in known:
            raise SemanticError(
                f"{name} is not a covariate of the data",
                hint=f"add {name} = {{use=covariate, type=continuous}} to [CONTENT], or remove it here",
                location=item.at,
            )


def _computed(block: Block) -> Iterable[ComputedCovariate]:
    for node in parse_block(block):
        if not isinstance(node, Assignment) or isinstance(node.target, ListNode):
            raise UnsupportedError(
                "only assignments can be computed in [COVARIATE]",
                hint="compute the covariate in the data file, or write name = expression",
                location=node.at,
            )
        yield ComputedCovariate(name=key_of(node, "[COVARIATE]"), value=value_of(node.value), at=node.target.at)


def _declared(node: Assignment) -> Covariate:
    name = key_of(node, "[COVARIATE]")
    entries = Entries(
        node.value, of=f"the covariate {name}", known=(*dict.fromkeys((*CATEGORY_KEYS, *REGROUPING_KEYS)), *LAW_KEYS)
    )
    if "distribution" in entries:
        raise UnsupportedError(
            f"{name} has a distribution: covariates are read from the data",
            hint="remove the definition",
            location=node.target.at,
        )
    return regrouped(name, entries, node) if "transform" in entries else categorical(name, node)


def categorical(name: str, node: Assignment) -> CategoricalCovariate:
    """`SEX = {type=categorical, categories={'F', 'M'}}`."""
    entries = Entries(node.value, of=f"the covariate {name}", known=CATEGORY_KEYS)
    word_of(entries.need("type"), "type of a declared covariate", ("categorical",))
    given = entries.need("categories")
    categories = labels_of(given, "a category")
    _check_distinct(name, categories, given)
    return CategoricalCovariate(name=name, categories=categories, at=node.target.at)


def _check_distinct(name: str, categories: Sequence[str], node: Node) -> None:
    twice = next((c for c in categories if categories.count(c) > 1), None)
    if twice is not None:
        raise SemanticError(f"{name} has the category {twice} twice", hint="keep one of them", location=node.at)


def regrouped(name: str, entries: Entries, node: Assignment) -> RegroupedCovariate:
    """`tSex = {transform=sex, categories={'F'={'0'}, 'M'={'1'}}, reference='M'}`."""
    groups = []
    given = entries.need("categories")
    for item in items_of(given):
        if not isinstance(item, Pair):
            raise ModelSyntaxError(
                f"{item.written} has no members", hint="write group = {member, ...}", location=item.at
            )
        groups.append((label_of(item.key, "a group of categories"), labels_of(item.value, "a category")))
    _check_distinct(name, [group for group, _ in groups], given)
    _check_distinct(name, [member for _, members in groups for member in members], given)
    reference = entries.get("reference")
    label = label_of(reference, "the reference") if reference is not None else None
    if label is not None and label not in [group for group, _ in groups]:
        raise SemanticError(
            f"the reference {label} is not a category of {name}",
            hint="the categories are " + ", ".join(group for group, _ in groups),
            location=reference.at if reference is not None else None,
        )
    source = name_of(entries.need("transform"), "a covariate")
    return RegroupedCovariate(name=name, source=source, groups=tuple(groups), reference=label, at=node.target.at)


def _check_names(covariates: Sequence[Covariate]) -> None:
    seen = set()
    for covariate in covariates:
        if covariate.name in seen:
            raise SemanticError(
                f"the covariate {covariate.name} is defined twice", hint="keep one of them", location=covariate.at
            )
        seen.add(covariate.name)
