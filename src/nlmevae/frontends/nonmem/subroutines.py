"""$SUBROUTINES, $MODEL and $TOL: which solution, which compartments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from nlmevae.errors import Location, ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.options import Option, abbreviates, read_options
from nlmevae.frontends.nonmem.records import Record

#: Built-in models; general linear models ($MODEL and rate constants); solutions of $DES, True: a stiff solver.
BUILT_IN_ADVANS = (1, 2, 3, 4, 10, 11, 12)
GENERAL_LINEAR_ADVANS = (5, 7)
DES_ADVANS = {6: False, 8: True, 9: True, 13: True, 14: True, 15: True}

_UNSUPPORTED_ADVANS = {
    16: "ADVAN16 (delay differential equations) is not supported; use transit compartments in $DES",
    17: "ADVAN17 (delay and algebraic equations) is not supported; use transit compartments in $DES",
    18: "ADVAN18 (delay differential equations) is not supported; use transit compartments in $DES",
}
_IGNORED = ("ATOL", "SSATOL", "SSTOL", "SS1", "SS2", "SS3", "SS4", "SS6", "SS9", "SS", "DP")
_FIRST_NAMES = re.compile(r"(ADVAN|TRANS)(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Subroutines:
    """`trans` is 1 where none is written; `tol` the number of digits asked for."""

    advan: int
    trans: int
    tol: int | None
    at: Location


@dataclass(frozen=True, slots=True)
class DeclaredCompartment:
    """One COMP=(...) of $MODEL."""

    name: str
    options: frozenset[str]
    at: Location


@dataclass(slots=True)
class _ModelRecord:
    compartments: list[DeclaredCompartment] = field(default_factory=list)
    count: int | None = None


def read_subroutines(records: tuple[Record, ...], tolerances: tuple[Record, ...] = ()) -> Subroutines:
    """ADVAN, TRANS and TOL.

    Raises:
        SemanticError: no ADVAN, or two.
        UnsupportedError: an ADVAN this engine does not solve, user-written subroutines.
    """
    found: dict[str, int] = {}
    places: dict[str, Location] = {}
    for record in records:
        for option in _joined(_separated(read_options(record)), "TOL", "NRD", "ATOL", "SSTOL", "SSATOL"):
            _subroutine(option, found, places)
    for record in tolerances:
        for option in _joined(_separated(read_options(record)), "TOL", "NRD", "ATOL", "SSTOL", "SSATOL"):
            if option.value is None and option.key.isdigit():
                found["TOL"] = int(option.key)
            else:
                _subroutine(option, found, places)
    if "ADVAN" not in found:
        raise SemanticError(
            "$SUBROUTINES names no ADVAN", hint="write $SUBROUTINES ADVANn TRANSn", location=records[0].head
        )
    advan, at = found["ADVAN"], places["ADVAN"]
    if advan in _UNSUPPORTED_ADVANS:
        message, _, hint = _UNSUPPORTED_ADVANS[advan].partition("; ")
        raise UnsupportedError(message, hint=hint, location=at)
    solved = sorted((*BUILT_IN_ADVANS, *GENERAL_LINEAR_ADVANS, *DES_ADVANS))
    if advan not in solved:
        known = ", ".join(f"ADVAN{n}" for n in solved)
        raise UnsupportedError(f"ADVAN{advan} is not supported", hint=f"use one of {known}", location=at)
    return Subroutines(advan, found.get("TRANS", 1), found.get("TOL"), places.get("TRANS", at))


def _separated(options: list[Option]) -> list[Option]:
    """``TOL9`` is ``TOL=9``."""
    found: list[Option] = []
    for option in options:
        digits = re.fullmatch(r"(TOL|NRD|ATOL)(\d+)", option.key)
        if digits and option.value is None:
            token = replace(option.token, text=digits.group(1))
            option = Option(token, digits.group(2), option.token.start, assigned=True)
        found.append(option)
    return found


def _joined(options: list[Option], *keys: str) -> Iterator[Option]:
    """``TOL 6`` and ``COMP (NAME)``: the value of one of `keys` stands after a blank, without "="."""
    rest = iter(options)
    for option in rest:
        if option.value is not None or not abbreviates(option.key, *keys):
            yield option
            continue
        following = next(rest, None)
        if following is None:
            yield option
        elif following.token.kind == "(":
            yield Option(option.token, following.value, following.value_start)
        elif following.value is None and following.key.isdigit():
            yield Option(option.token, following.token.text, following.token.start)
        else:
            yield from (option, following)


def _subroutine(option: Option, found: dict[str, int], places: dict[str, Location]) -> None:
    key = option.key
    text = (option.value or "").upper() if key in ("ADVAN", "TRANS") or abbreviates(key, "SUBROUTINES") else key
    if key in ("ADVAN", "TRANS") and text.isdigit():
        text = key + text
    match = _FIRST_NAMES.match(text)
    if match:
        name, number = match.group(1), int(match.group(2))
        if found.get(name, number) != number:
            raise SemanticError(f"$SUBROUTINES names two {name}s", hint="keep one of them", location=option.at)
        found[name], places[name] = number, option.at
    elif key in ("TOL", "NRD"):
        if not (option.value or "").isdigit():
            raise ModelSyntaxError("TOL is a number of digits", hint="write TOL=6", location=option.at)
        found["TOL"] = int(option.value)
    elif key in _IGNORED:
        pass
    elif option.value is not None:
        raise _user_written(option)
    else:
        raise ModelSyntaxError(
            f"{option.token.text} is not a $SUBROUTINES option", hint="write ADVANn TRANSn TOL=n", location=option.at
        )


def refuse_user_written(record: Record) -> None:
    """Raises UnsupportedError: a file of the user's own (OTHER=file), which may stand beside $PRED."""
    for option in read_options(record):
        if option.value is not None and abbreviates(option.key, "OTHER", "INFN", "CONTR", "CCONTR", "PRIOR"):
            raise _user_written(option)


def _user_written(option: Option) -> UnsupportedError:
    return UnsupportedError(
        f"$SUBROUTINES {option.key}={option.value}: user-written subroutines cannot be run",
        hint="write the model in abbreviated code and remove the option",
        location=option.at,
    )


def read_model_record(records: tuple[Record, ...]) -> tuple[DeclaredCompartment, ...]:
    """Compartments of $MODEL in order.

    Raises:
        SemanticError: no compartment, more of them than NCOMPARTMENTS.
        UnsupportedError: an option that changes the equations.
    """
    found = _ModelRecord()
    for record in records:
        for option in _joined(read_options(record), "COMPARTMENTS"):
            _model_option(option, found)
    head = records[0].head
    if found.count is not None and found.count < len(found.compartments):
        raise SemanticError(
            f"$MODEL declares {len(found.compartments)} compartments but NCOMPARTMENTS={found.count}",
            hint="make the two agree",
            location=head,
        )
    for number in range(len(found.compartments) + 1, (found.count or 0) + 1):
        found.compartments.append(DeclaredCompartment(f"COMP{number}", frozenset(), head))
    if not found.compartments:
        raise SemanticError(
            "$MODEL declares no compartment", hint="write COMP=(NAME) for each compartment", location=head
        )
    return tuple(found.compartments)


def _model_option(option: Option, found: _ModelRecord) -> None:
    key = option.key
    if key in ("NCOMPS", "NCM") or abbreviates(key, "NCOMPARTMENTS"):
        if not (option.value or "").isdigit():
            raise ModelSyntaxError(f"{key} is a number", hint=f"write {key}=2", location=option.at)
        if len(option.value) > 4:
            raise ModelSyntaxError(
                f"{key}={option.value} is no number of compartments", hint=f"write {key}=2", location=option.at
            )
        found.count = int(option.value)
    elif abbreviates(key, "COMPARTMENTS") and option.value is not None:
        found.compartments.append(_compartment(option, len(found.compartments) + 1))
    elif abbreviates(key, "NPARAMETERS") or (abbreviates(key, "NEQUILIBRIUM") and option.value == "0"):
        pass
    else:
        raise UnsupportedError(
            f"$MODEL {option.token.text} is not supported",
            hint="write COMP=(NAME) for each compartment; flows are KiTj = ... in $PK (ADVAN5, 7) or equations in $DES",
            location=option.at,
        )


def _compartment(option: Option, number: int) -> DeclaredCompartment:
    words = [w.strip("'\"").upper() for w in re.split(r"[\s,]+", option.value.strip("()").strip()) if w]
    if not words:
        raise ModelSyntaxError("COMP=() names nothing", hint="write COMP=(CENTRAL)", location=option.at)
    attributes = ("DEFDOSE", "DEFOBSERVATION", "NODOSE", "NOOFF", "INITIALOFF", "EQUILIBRIUM", "EXCLUDE")
    name = words[0]
    rest = words[1:]
    if any(abbreviates(name, a) for a in attributes[:2]):
        name, rest = f"COMP{number}", words
    options = set()
    for word in rest:
        full = next((a for a in attributes if abbreviates(word, a)), None)
        if full is None:
            raise ModelSyntaxError(
                f"{word} is not an option of COMP", hint=f"known: {', '.join(attributes)}", location=option.at
            )
        if full in ("EQUILIBRIUM", "EXCLUDE"):
            raise UnsupportedError(
                f"the compartment option {full} is not supported",
                hint="solve the algebraic equation by hand in $DES; EXCLUDE only matters where the output compartment "
                "is observed",
                location=option.at,
            )
        options.add(full)
    return DeclaredCompartment(name, frozenset(options), option.at)
