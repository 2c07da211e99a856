"""Values of search options, from Python objects, command line text or a settings file alike.

Every reader takes the option's name, its value and `where`, which tells the place of a part of the value
in a settings file (None for Python and the command line).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nlmevae.data.search.suggestion import suggestion
from nlmevae.errors import Location, SettingsError

Where = Callable[[str, str | None], Location | None]

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def nowhere(option: str, part: str | None) -> None:
    """The `Where` of values that do not come from a file."""
    return


def parts(option: str, value: Any, where: Where) -> tuple[str, ...]:
    """Texts of a sequence, or of one text separated by commas, blanks or semicolons.

    >>> parts("covariates", "WT, AGE", nowhere)
    ('WT', 'AGE')
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, Sequence) or not all(isinstance(t, str) for t in texts):
        raise SettingsError(
            f"{option} is {value!r}",
            hint=f"give names: {option}='WT,AGE' or {option}=['WT', 'AGE']",
            location=where(option, None),
        )
    return tuple(part for text in texts for part in re.split(r"[,;\s]+", text) if part)


def names(option: str, value: Any, where: Where) -> tuple[str, ...]:
    """Names, upper case as programs read them; "*" (also written "all") stands for every one.

    Raises:
        SettingsError: something that is no name.
    """
    found = parts(option, value, where)
    for part in found:
        if NAME.fullmatch(part) is None and part != "*":
            raise SettingsError(
                f"{option}: {part!r} is not a name",
                hint=f"write names separated by commas, {option}=WT,AGE",
                location=where(option, part),
            )
    return tuple(dict.fromkeys("*" if part.lower() == "all" else part.upper() for part in found))


def choice(option: str, value: Any, allowed: Sequence[str], where: Where) -> str:
    """One of `allowed`.

    Raises:
        SettingsError: another value; the nearest allowed one is named.
    """
    if isinstance(value, str) and value.strip().lower() in allowed:
        return value.strip().lower()
    text = value if isinstance(value, str) else repr(value)
    at = where(option, value if isinstance(value, str) else None)
    raise SettingsError(f"{option}: {text!r} is not possible", hint=suggestion(text, allowed, "choose"), location=at)


def number(option: str, value: Any, where: Where) -> float:
    """A finite number, given as one or as text.

    Raises:
        SettingsError: it is none.
    """
    found = as_number(value)
    if found is None:
        part = value if isinstance(value, str) else None
        raise SettingsError(f"{option} is {value!r}", hint="give a number", location=where(option, part))
    return found


def as_number(value: Any) -> float | None:
    """The finite number `value` is or spells, None if it is none; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def assignments(option: str, value: Any, where: Where) -> list[tuple[str, Any]]:
    """(name, value) pairs of a mapping or of text, ``WT=70,AGE=median``; a value without a name has the name "".

    Raises:
        SettingsError: neither text nor a mapping with names.
    """
    if isinstance(value, Mapping):
        pairs: Iterable[tuple[Any, Any]] = value.items()
    else:
        pairs = (_split(part) for part in parts(option, value, where))
    found: dict[str, Any] = {}
    for key, item in pairs:
        if not isinstance(key, str) or (key and NAME.fullmatch(key) is None):
            raise SettingsError(
                f"{option}: {key!r} is not a name", hint=f"write {option}=NAME=value", location=where(option, str(key))
            )
        name = "" if key.lower() == "default" else key.upper()
        if name in found:
            raise SettingsError(
                f"{option} has {name or 'a value for every covariate'} twice",
                hint="give it once",
                location=where(option, key or None),
            )
        found[name] = item
    return list(found.items())


def _split(part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    return (name, value) if equals else ("", part)
