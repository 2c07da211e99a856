"""How a search decides, as a settings file says it beside what is searched.

criterion = "lrt:0.01"    # nlmevae select; another than lrt also nlmevae scm
p_forward = 0.05          # nlmevae scm, nlmevae cossac
p_backward = 0.01
direction = "both"        # nlmevae scm
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nlmevae.data.search import option_values as read
from nlmevae.data.search.option_values import Where
from nlmevae.data.search.settings_text import SettingsText
from nlmevae.errors import Location, SettingsError

#: Keys of a settings file that do not say what is searched.
DECISIONS = ("criterion", "p_forward", "p_backward", "direction")
Direction = Literal["forward", "backward", "both"]
DIRECTIONS: tuple[Direction, ...] = ("forward", "backward", "both")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchDecision:
    """None where nothing is said. `criterion` is text as `nlmevae.selection.criterion` reads it; `places` the key ->
    where it stands."""

    criterion: str | None = None
    p_forward: float | None = None
    p_backward: float | None = None
    direction: Direction | None = None
    places: Mapping[str, Location] = field(default_factory=dict, compare=False, repr=False)

    def at(self, key: str) -> Location | None:
        return self.places.get(key)


def decision_of_file(path: str | os.PathLike[str] | None) -> SearchDecision:
    """Of a TOML settings file; nothing is decided where there is none.

    Raises:
        SettingsError: unreadable, not TOML, or an impossible value; with line and column.
    """
    if path is None:
        return SearchDecision()
    text = SettingsText(path)
    given = {key: text.values[key] for key in DECISIONS if key in text.values}
    found: dict[str, Any] = {key: _value(key, value, text.where) for key, value in given.items()}
    places = {key: at for key in given if (at := text.where(key)) is not None}
    return SearchDecision(**found, places=places)


def _value(key: str, value: Any, where: Where) -> Any:
    if key == "direction":
        return read.choice(key, value, DIRECTIONS, where)
    if key == "criterion":
        if not isinstance(value, str):
            raise SettingsError(
                f"criterion is {value!r}", hint='write criterion = "bicc" or "lrt:0.01"', location=where(key, None)
            )
        return value.strip().lower()
    found = read.number(key, value, where)
    if not 0.0 < found < 1.0:
        raise SettingsError(f"{key} is {value!r}", hint="give a number between 0 and 1", location=where(key, None))
    return found
