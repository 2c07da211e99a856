"""Expressions of population parameters that a user types: ``LOG(2)*V/CL``, ``SQRT(OMEGA(1,1))``."""

from __future__ import annotations

from collections.abc import Mapping

from lark.exceptions import UnexpectedInput

from nlmevae.errors import ModelSyntaxError, SemanticError
from nlmevae.frontends.nonmem.code import expression_tree
from nlmevae.frontends.nonmem.lower import lower_expression
from nlmevae.frontends.nonmem.records import source_text
from nlmevae.frontends.nonmem.vocabulary import Vocabulary
from nlmevae.ir import Expression


def parse_parameter_expression(text: str, names: Mapping[str, str]) -> Expression:
    """The expression in the language of $PK, its symbols the canonical names of parameters.

    Args:
        names: accepted name, upper case -> canonical name (`parameter_names`).

    Raises:
        ModelSyntaxError: not an expression. SemanticError: a name that is no parameter, or no parameter at all.
        UnsupportedError: a function that cannot be computed.
    """
    source = source_text(text, f"the expression {text}")
    try:
        tree = expression_tree(text)
    except UnexpectedInput as error:
        offset = min(error.pos_in_stream if error.pos_in_stream is not None else len(text), max(len(text) - 1, 0))
        raise ModelSyntaxError(
            "this is not an expression of parameters",
            hint="write it like LOG(2)*V/CL or SQRT(OMEGA(1,1)); a label with blanks cannot be used, its THETA(n) can",
            location=source.location(offset),
        ) from None
    vocabulary = Vocabulary(source=source, section="", counts={}, parameters=names)
    expression = lower_expression(tree, vocabulary)
    if not expression.names():
        raise SemanticError(
            "the expression has no parameter", hint="use THETA(n), OMEGA(n,n) or SIGMA(n,n)", location=expression.at
        )
    return expression
