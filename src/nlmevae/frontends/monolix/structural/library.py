"""Models of Monolix's library by their names (`lib:oral1_1cpt_kaVCl.txt`), as Mlxtran text.

Monolix makes these texts when they are asked for and ships no files. A name is a route, the compartments and the
parameters one after the other; the text follows from it. A name whose text does not follow with certainty has none
here: TMDD models of two routes or with Michaelis-Menten elimination, most PKPD models, counts and events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nlmevae.frontends.monolix.structural.library_tmdd import tmdd_text

_TOKENS = (
    "diffTlag2", "Tlag1", "Tlag2", "Tlag", "Tk01", "Tk02", "Tk0", "Mtt1", "Mtt2", "Mtt", "Ktr1", "Ktr2", "Ktr", "ka1",
    "ka2", "ka", "F1", "V1", "V2", "V3", "Q2", "Q3", "Q", "k12", "k21", "k13", "k31", "Kpm", "kint", "kon", "ksyn",
    "kel", "KD", "KS", "R0", "kout", "Imax", "IC50", "Vm", "Km", "Cl", "V", "k",
)  # fmt: skip
#: Longest first, so that k12 is no k.
_BY_LENGTH = sorted(_TOKENS, key=len, reverse=True)
_ABSORPTION: Mapping[str, tuple[frozenset[str], ...]] = {
    "bolus": (frozenset(), frozenset({"Tlag"})),
    "infusion": (frozenset(), frozenset({"Tlag"})),
    "oral0": (frozenset({"Tk0"}), frozenset({"Tlag", "Tk0"})),
    "oral1": (frozenset({"ka"}), frozenset({"Tlag", "ka"}), frozenset({"Mtt", "Ktr", "ka"})),
}
#: Parameters of distribution and elimination by number of compartments; with V1 they are clearances and volumes.
_DISPOSITION: Mapping[int, tuple[frozenset[str], ...]] = {
    1: (frozenset({"V", "Cl"}), frozenset({"V", "k"}), frozenset({"V", "Vm", "Km"})),
    2: (
        frozenset({"Cl", "V1", "Q", "V2"}), frozenset({"V", "k", "k12", "k21"}),
        frozenset({"V1", "Q", "V2", "Vm", "Km"}), frozenset({"V", "k12", "k21", "Vm", "Km"}),
    ),
    3: (
        frozenset({"Cl", "V1", "Q2", "V2", "Q3", "V3"}), frozenset({"V", "k", "k12", "k21", "k13", "k31"}),
        frozenset({"V1", "Q2", "V2", "Q3", "V3", "Vm", "Km"}),
        frozenset({"V", "k12", "k21", "k13", "k31", "Vm", "Km"}),
    ),
}  # fmt: skip
#: Names outside the plain PK library whose text has been seen.
_SEEN = frozenset({"oral1_nofpe_2cptp1cptm_uni_kavkk12k21kmkpm"})
_TURNOVER = frozenset({"R0", "kout", "Imax", "IC50"})

_PK = re.compile(r"(bolus|infusion|oral0|oral1)_([123])cpt_(\w+)\Z", re.IGNORECASE)
_DOUBLE = re.compile(r"oral([01])_oral([01])_(seqDelay_)?([123])cpt_(\w+)\Z", re.IGNORECASE)
_PARENT = re.compile(r"(bolus|infusion|oral0|oral1)_noFPE_([123])cptP1cptM_uni_(\w+)\Z", re.IGNORECASE)
_INDIRECT = re.compile(r"(bolus|infusion|oral0|oral1)_([123])cpt_IndirectModelInhibitionKin_(\w+)\Z", re.IGNORECASE)


def model_text(name: str) -> str | None:
    """The text of a library model; None where it is not known.

    Args:
        name: with or without `lib:`, folder and `.txt`, in any case.
    """
    stem = _stem(name)
    for pattern, text in ((_PK, _pk), (_DOUBLE, _double), (_PARENT, _parent), (_INDIRECT, _indirect)):
        match = pattern.match(stem)
        found = None if match is None else text(*match.groups())
        if found is not None:
            return found
    return tmdd_text(stem)


def model_warning(name: str) -> str | None:
    """What a user should know of a text that follows from published equations and not from a text of Monolix itself;
    None for the others."""
    stem = _stem(name)
    doubtful = _DOUBLE.match(stem) or _PARENT.match(stem) or tmdd_text(stem)
    if not doubtful or stem.lower() in _SEEN or model_text(name) is None:
        return None
    return (
        f"{stem} is written from its published equations and has not been compared with Monolix's own text; compare it "
        "with the text that Monolix shows for the model"
    )


def _stem(name: str) -> str:
    stem = re.split(r"[/\\:]", name.strip())[-1]
    return stem[:-4] if stem.lower().endswith(".txt") else stem


def tokens(text: str, first: Sequence[str] = _BY_LENGTH) -> tuple[str, ...] | None:
    """The parameters that follow each other in `text`, in their own spelling; None where it does not divide."""
    found = []
    rest = text
    while rest:
        exact = [t for t in first if rest.startswith(t)]
        token = (exact or [t for t in first if rest.lower().startswith(t.lower())] or [None])[0]
        if token is None or token in found:
            return None
        found.append(token)
        rest = rest[len(token) :]
    return tuple(found)


def _pk(route: str, compartments: str, suffix: str) -> str | None:
    parts = _split(route.lower(), int(compartments), tokens(suffix))
    if parts is None:
        return None
    absorption, disposition = parts
    return _text(tokens(suffix), pk=_pkmodel(absorption, disposition), output="Cc")


def _split(route: str, n: int, names: tuple[str, ...] | None) -> tuple[tuple[str, ...], frozenset[str]] | None:
    """Parameters of absorption, in order, and those of distribution and elimination."""
    for disposition in _DISPOSITION[n]:
        if names is not None and disposition <= set(names):
            absorption = tuple(name for name in names if name not in disposition)
            if frozenset(absorption) in _ABSORPTION[route]:
                return absorption, disposition
    return None


def _volumes(disposition: frozenset[str]) -> list[str]:
    """Rate constants from clearances and volumes."""
    if "V1" not in disposition:
        return []
    if "Q" in disposition:
        return ["V = V1", "k12 = Q/V1", "k21 = Q/V2"]
    return ["V = V1", "k12 = Q2/V1", "k21 = Q2/V2", "k13 = Q3/V1", "k31 = Q3/V3"]


def _peripherals(disposition: frozenset[str]) -> list[tuple[str, str]]:
    two = bool({"Q", "Q2", "k12"} & disposition)
    three = bool({"Q3", "k13"} & disposition)
    return [("k12", "k21")] * two + [("k13", "k31")] * three


def _elimination(disposition: frozenset[str]) -> list[str]:
    return [name for name in ("k", "Cl", "Vm", "Km") if name in disposition]


def _pkmodel(absorption: Sequence[str], disposition: frozenset[str]) -> list[str]:
    rates = [rate for pair in _peripherals(disposition) for rate in pair]
    arguments = [*absorption, "V", *_elimination(disposition), *rates]
    return [*_volumes(disposition), f"Cc = pkmodel({', '.join(arguments)})"]


def _text(inputs: Sequence[str] | None, *, pk: list[str], output: str, equations: Sequence[str] = ()) -> str:
    lines = ["[LONGITUDINAL]", f"input = {{{', '.join(inputs or ())}}}", "", "PK:", *pk]
    if equations:
        lines += ["", "EQUATION:", *equations]
    return "\n".join([*lines, "", "OUTPUT:", f"output = {output}", ""])


def _double(first: str, second: str, sequential: str | None, compartments: str, suffix: str) -> str | None:
    """Two absorptions of the fractions F1 and 1 - F1; with seqDelay the second starts diffTlag2 after the first's
    delay."""
    names = tokens(suffix)
    if names is None:
        return None
    for disposition in _DISPOSITION[int(compartments)]:
        own = set(names) - disposition
        if disposition <= set(names) and _are_two_absorptions(own, first, second, sequential=bool(sequential)):
            break
    else:
        return None
    pk = _volumes(disposition)
    if sequential:
        delay = "Tlag1" if "Tlag1" in own else "Mtt1"
        pk.append(f"Tlag2 = {delay} + diffTlag2")
        own = own | {"Tlag2"}
    pk.append("compartment(cmt=1, volume=V, concentration=Cc)")
    for number, part in (("1", "F1"), ("2", "1-F1")):
        kept = [k for k in ("Tlag", "Tk0", "ka", "Ktr", "Mtt") if f"{k}{number}" in own]
        arguments = "".join(f", {k}={k}{number}" for k in kept)
        pk.append(f"absorption(adm=1, cmt=1{arguments}, p={part})")
    pk += [f"peripheral({out}, {back})" for out, back in _peripherals(disposition)]
    pk.append(f"elimination(cmt=1, {', '.join(_elimination(disposition))})")
    return _text(names, pk=pk, output="Cc")


def _are_two_absorptions(own: set[str], first: str, second: str, *, sequential: bool) -> bool:
    kinds = {"0": "Tk0", "1": "ka"}
    left = own - {f"{kinds[first]}1", f"{kinds[second]}2", "F1"}
    if len(left) != len(own) - 3:
        return False
    if sequential:  # after a zero-order absorption, or one without delay, it is not certain when the second begins
        if first != "1" or "diffTlag2" not in left or not {"Tlag1", "Mtt1"} & left:
            return False
        left.discard("diffTlag2")
        left |= {"Tlag2"}
    delays = [{n for n in left if n.endswith(number)} for number in "12"]
    allowed = [[set(), {f"Tlag{n}"}] + [{f"Mtt{n}", f"Ktr{n}"}] * (kind == "1")
               for n, kind in (("1", first), ("2", second))]  # fmt: skip
    return delays[0] | delays[1] == left and all(d in a for d, a in zip(delays, allowed, strict=True))


def _parent(route: str, compartments: str, suffix: str) -> str | None:
    """Parent with elimination and a one-way transfer to a metabolite of one compartment and the same volume."""
    known = sorted({*_TOKENS, "km"} - {"Km"}, key=len, reverse=True)
    names = tokens(suffix, known)
    if names is None or not {"km", "Kpm"} <= set(names):
        return None
    n = int(compartments)
    parts = _split(route.lower(), n, tuple(name for name in names if name not in ("km", "Kpm")))
    if parts is None or "k" not in parts[1]:
        return None
    absorption, disposition = parts
    macro = "oral" if route.lower().startswith("oral") else "iv"
    pk = [
        "compartment(cmt=1, volume=V, concentration=Cp)",
        f"{macro}({', '.join(['cmt=1', *absorption])})",
        *(f"peripheral({out}, {back})" for out, back in _peripherals(disposition)),
        "elimination(cmt=1, k)",
        f"compartment(cmt={n + 1}, volume=V, concentration=Cm)",
        f"elimination(cmt={n + 1}, k=km)",
        f"transfer(from=1, to={n + 1}, kt=Kpm)",
    ]
    return _text(names, pk=pk, output="{Cp, Cm}")


def _indirect(route: str, compartments: str, suffix: str) -> str | None:
    """Turnover with inhibition of the production."""
    names = tokens(suffix)
    if names is None or not set(names) >= _TURNOVER:
        return None
    parts = _split(route.lower(), int(compartments), tuple(name for name in names if name not in _TURNOVER))
    if parts is None:
        return None
    equations = ["R_0 = R0", "kin = R0*kout", "ddt_R = kin*(1 - Imax*Cc/(Cc + IC50)) - kout*R"]
    return _text(names, pk=_pkmodel(*parts), output="{Cc, R}", equations=equations)
