"""Effects as users write them: ``CL~WT``, ``V~WT:power``, ``CL~*``, ``CL~RACE=2``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, get_args

from nlmevae.data.search.option_values import Where, as_number, parts
from nlmevae.data.search.suggestion import suggestion
from nlmevae.errors import Location, SettingsError
from nlmevae.ir.candidate import EffectForm

FORMS: tuple[str, ...] = get_args(EffectForm)

_SIDE = re.compile(r"\*|[A-Za-z][A-Za-z0-9_]*")
_HOW = "write PARAMETER~COVARIATE, as in CL~WT; CL~WT:power names a form, CL~* means every covariate"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRequest:
    """One effect, or all effects a "*" on either side stands for.

    `form` and `level` are None where the user named none.
    """

    parameter: str
    covariate: str
    form: EffectForm | None = None
    level: float | None = None
    at: Location | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        form = f":{self.form}" if self.form else ""
        level = "" if self.level is None else f"={self.level:g}"
        return f"{self.parameter}~{self.covariate}{form}{level}"


def effect_requests(option: str, value: Any, where: Where) -> tuple[EffectRequest, ...]:
    """Effects of a text or a sequence of texts; a covariate alone goes on with the parameter before it.

    >>> from nlmevae.data.search.option_values import nowhere
    >>> [str(e) for e in effect_requests("effects", "CL~WT,V~WT,SEX", nowhere)]
    ['CL~WT', 'V~WT', 'V~SEX']

    Raises:
        SettingsError: a text that is no effect, or an unknown form.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(t, str) for t in texts):
        raise SettingsError(f"{option} is {value!r}", hint=_HOW, location=where(option, None))
    found: list[EffectRequest] = []
    for text in texts:
        found += _of_text(option, text, where)
    return tuple(dict.fromkeys(found))


def _of_text(option: str, text: str, where: Where) -> list[EffectRequest]:
    closed = re.sub(r"\s*([~:=])\s*", r"\1", text.replace("+", ","))
    parameter, found = "", []
    for part in parts(option, closed, where):
        left, tilde, right = part.rpartition("~")
        if tilde:
            parameter = left
        if not parameter or _SIDE.fullmatch(parameter) is None or not right:
            raise SettingsError(f"{option}: {part!r} is not an effect", hint=_HOW, location=where(option, part))
        found.append(_effect(option, parameter, right, where(option, part)))
    return found


def _effect(option: str, parameter: str, text: str, at: Location | None) -> EffectRequest:
    """The effect of `parameter` and the text on the right of ~."""
    rest, equals, level_text = text.partition("=")
    covariate, colon, form = rest.partition(":")
    level = as_number(level_text) if equals else None
    if _SIDE.fullmatch(covariate) is None or (equals and level is None):
        raise SettingsError(f"{option}: {parameter}~{text} is not an effect", hint=_HOW, location=at)
    if colon and form.lower() not in FORMS:
        raise SettingsError(
            f"{option}: {parameter}~{text}: there is no form {form!r}",
            hint=suggestion(form, FORMS, "forms are"),
            location=at,
        )
    return EffectRequest(
        parameter=_star(parameter), covariate=_star(covariate), form=form.lower() or None, level=level, at=at
    )


def _star(name: str) -> str:
    return "*" if name.lower() == "all" else name.upper()
