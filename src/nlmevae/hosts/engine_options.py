"""Settings of a fit where a control stream is all there is: comments in it, and an environment variable.

    ;; nlmevae: seed=7 method=vae+polish
    NLMEVAE_OPTIONS="n_draws=512 backend=compiled"

A comment line may stand anywhere in the control stream; NONMEM ignores it and tools that copy control streams keep it.
The environment variable overrides the comments. Names and values are those of `nlmevae fit --set`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping

from nlmevae.errors import SettingsError

VARIABLE = "NLMEVAE_OPTIONS"

_COMMENT = re.compile(r";+[ \t]*nlmevae[ \t]*:(.*)", re.IGNORECASE)


def engine_options(text: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Name -> value as written, of a control stream's text and of the environment (None: the process's own).

    Raises:
        SettingsError: something that is not NAME=VALUE, or a name given twice in the comments.
    """
    environment = os.environ if environment is None else environment
    found: dict[str, str] = {}
    for match in _COMMENT.finditer(text):
        source = f"the comment {match.group(0).strip()!r}"
        for name, value in _pairs(match.group(1), source).items():
            if found.get(name, value) != value:
                raise SettingsError(
                    f"{name} is {found[name]} in one comment and {value} in {source}", hint="give every setting once"
                )
            found[name] = value
    return found | _pairs(environment.get(VARIABLE, ""), f"the environment variable {VARIABLE}")


def _pairs(text: str, source: str) -> dict[str, str]:
    try:
        words = shlex.split(text.strip())
    except ValueError:
        raise SettingsError(f"{source} has an open quotation mark", hint="close it") from None
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise SettingsError(
                f"{word!r} in {source} is not NAME=VALUE", hint="write it like seed=7 method=vae+polish, without blanks"
            )
        if name in pairs:
            raise SettingsError(f"{name} is given twice in {source}", hint="give every setting once")
        pairs[name] = value
    return pairs
