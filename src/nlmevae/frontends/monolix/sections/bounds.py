"""`min` and `max` of a distribution, of individual parameters and of outcomes."""

from __future__ import annotations

from nlmevae.errors import SemanticError
from nlmevae.frontends.monolix.text.entries import Entries, number_of


def bounds_of(entries: Entries, distribution: str, name: str) -> tuple[float | None, float | None]:
    """Of logitNormal, 0 and 1 where they are not written; None of the other distributions.

    Raises:
        SemanticError: another distribution has them, or min is not below max.
    """
    lower, upper = entries.get("min"), entries.get("max")
    if distribution != "logitnormal":
        for bound in (lower, upper):
            if bound is not None:
                raise SemanticError(
                    f"min and max have no meaning for a {distribution} distribution",
                    hint="remove them, or use logitNormal",
                    location=bound.at,
                )
        return None, None
    low = 0.0 if lower is None else number_of(lower, f"min of {name}")
    high = 1.0 if upper is None else number_of(upper, f"max of {name}")
    if not low < high:
        raise SemanticError(f"min of {name} is not below its max", hint="write min < max", location=entries.at)
    return low, high
