"""Settings from the command line's text, converted to each field's type."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlmevae.errors import SettingsError

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings


def settings_from_text(pairs: Sequence[str], named: Mapping[str, str]) -> FitSettings:
    """Settings from ``--set name=value`` pairs and the options that have a name of their own.

    Raises:
        SettingsError: no "=", an unknown name, a value of the wrong type, or a name given twice.
    """
    from nlmevae.pipeline import make_settings

    texts = dict(named)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals or not name:
            raise SettingsError(f"--set {pair!r} is not NAME=VALUE", hint="write it like --set n_draws=512")
        if name in texts:
            raise SettingsError(f"{name} is given twice", hint="give every setting once")
        texts[name] = value.strip()
    kinds = _field_types()
    return make_settings({name: _convert(name, text, kinds.get(name, str)) for name, text in texts.items()})


def _field_types() -> dict[str, Any]:
    from nlmevae.estimation.settings import FitSettings

    hints = typing.get_type_hints(FitSettings)
    return {f.name: hints[f.name] for f in dataclasses.fields(FitSettings)}


def _convert(name: str, text: str, kind: Any) -> Any:
    """One value; ``none`` where the field may be None."""
    allowed = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if type(None) in allowed and text.lower() == "none":
        return None
    for choice in allowed:
        if choice is int:
            return _read(name, text, int, "a whole number")
        if choice is float:
            return _read(name, text, float, "a number")
        if choice is bool:
            return _truth(name, text)
    return text


def _read(name: str, text: str, read: Any, what: str) -> Any:
    try:
        return read(text)
    except ValueError:
        raise SettingsError(f"{name} is {text!r}", hint=f"give {what}") from None


def _truth(name: str, text: str) -> bool:
    if text.lower() in ("true", "yes", "1"):
        return True
    if text.lower() in ("false", "no", "0"):
        return False
    raise SettingsError(f"{name} is {text!r}", hint="give true or false")
