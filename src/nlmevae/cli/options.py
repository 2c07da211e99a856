"""Settings from the command line's text, converted to each field's type."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlmevae.errors import SettingsError

if TYPE_CHECKING:
    from nlmevae.estimation.settings import FitSettings, SelectionSettings


def settings_from_text(pairs: Sequence[str], named: Mapping[str, str]) -> FitSettings:
    """Settings from ``--set name=value`` pairs and the options that have a name of their own.

    Raises:
        SettingsError: no "=", an unknown name, a value of the wrong type, or a name given twice.
    """
    from nlmevae.estimation.settings import FitSettings
    from nlmevae.pipeline import make_settings

    return make_settings(_values(pairs, named, FitSettings))


def settings_given(pairs: Sequence[str], named: Mapping[str, str]) -> set[str]:
    """The names of the settings that the command line has, of one kind or the other."""
    return {*named, *(pair.partition("=")[0].strip() for pair in pairs)}


def selection_settings_from_text(
    pairs: Sequence[str], named: Mapping[str, str], penalties: Sequence[str] = ()
) -> tuple[FitSettings, SelectionSettings]:
    """Settings of the fit and of the selection, from the same kind of text; `penalties` are ``CL~WT=4``.

    Raises:
        SettingsError: as `settings_from_text` says.
    """
    from nlmevae.estimation.settings import FitSettings, SelectionSettings
    from nlmevae.pipeline import make_selection_settings

    values = _values(pairs, named, FitSettings, SelectionSettings)
    if "penalties" in values:
        raise SettingsError("penalties cannot be set with --set", hint="write them like --penalty CL~WT=4")
    return make_selection_settings({**values, "penalties": dict(map(_penalty, penalties))})


def _values(pairs: Sequence[str], named: Mapping[str, str], *classes: type) -> dict[str, Any]:
    """Name -> value, of the type of the field with this name in one of the dataclasses."""
    texts = dict(named)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals or not name:
            raise SettingsError(f"--set {pair!r} is not NAME=VALUE", hint="write it like --set n_draws=512")
        if name in texts:
            raise SettingsError(f"{name} is given twice", hint="give every setting once")
        texts[name] = value.strip()
    kinds = {name: kind for made in classes for name, kind in _field_types(made).items()}
    return {name: _convert(name, text, kinds.get(name, str)) for name, text in texts.items()}


def _field_types(made: type) -> dict[str, Any]:
    hints = typing.get_type_hints(made)
    return {f.name: hints[f.name] for f in dataclasses.fields(made)}


def _penalty(text: str) -> tuple[str, float]:
    """``CL~WT=4``; the effect itself may have a "=" (``CL~RACE=2=4``)."""
    effect, equals, value = text.rpartition("=")
    if not equals or "~" not in effect:
        raise SettingsError(f"--penalty {text!r} is not EFFECT=VALUE", hint="write it like --penalty CL~WT=4")
    return effect.strip(), _read(f"the penalty of {effect.strip()}", value.strip(), float, "a number")


def read_number(name: str, text: str, kind: type) -> Any:
    """One number of type int or float; SettingsError if it is none."""
    return _read(name, text, kind, "a whole number" if kind is int else "a number")


def _convert(name: str, text: str, kind: Any) -> Any:
    """One value; ``none`` where the field may be None."""
    allowed = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if type(None) in allowed and text.lower() == "none":
        return None
    for choice in allowed:
        if typing.get_origin(choice) is tuple:
            return tuple(word.strip() for word in text.split(","))
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
