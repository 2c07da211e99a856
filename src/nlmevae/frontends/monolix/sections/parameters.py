"""<PARAMETER>: initial values of the population parameters and what is estimated."""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.errors import ModelSyntaxError, SemanticError
from nlmevae.frontends.monolix.project import InitialValue
from nlmevae.frontends.monolix.text.entries import Entries, assignments_of, key_of, number_of, word_of
from nlmevae.frontends.monolix.text.nodes import Assignment, ListNode
from nlmevae.frontends.monolix.text.split import Block
from nlmevae.frontends.monolix.text.syntax import parse_block

METHODS = ("mle", "fixed", "map")


def read_parameters(blocks: Sequence[Block]) -> tuple[InitialValue, ...]:
    """<PARAMETER> of a project.

    Raises:
        ModelError: a parameter twice, a value that is no number.
    """
    found: dict[str, InitialValue] = {}
    for block in blocks:
        for node in assignments_of(parse_block(block), "<PARAMETER>"):
            value = _initial_value(node)
            if value.name in found:
                raise SemanticError(
                    f"{value.name} has two initial values", hint="keep one of them", location=node.target.at
                )
            found[value.name] = value
    return tuple(found.values())


def _initial_value(node: Assignment) -> InitialValue:
    name = key_of(node, "<PARAMETER>")
    if not isinstance(node.value, ListNode):
        return InitialValue(name=name, value=number_of(node.value, f"the value of {name}"), at=node.target.at)
    entries = Entries(node.value, of=f"the parameter {name}", known=("value", "method"))
    for flag in entries.flags.values():
        raise ModelSyntaxError(f"{flag.written} has no value", hint="write value=1, method=MLE", location=flag.at)
    value = number_of(entries.need("value"), f"the value of {name}")
    given = entries.get("method")
    method = "mle" if given is None else word_of(given, "method of estimation", METHODS)
    at = node.target.at if method != "map" or given is None else given.at
    return InitialValue(name=name, value=value, method=method, at=at)  # type: ignore[arg-type]
