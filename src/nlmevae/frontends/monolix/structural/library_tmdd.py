"""Target-mediated drug disposition of Monolix's library, one route: text by the name.

L, R and P are the concentrations of ligand, receptor and complex, A the amount in the peripheral compartment.
Equations: Mager and Jusko 2001; Gibiansky et al. 2008 (quasi-equilibrium QE, quasi-steady-state QSS, irreversible
binding IB, constant receptor); kdeg = ksyn/R0, koff = KD kon. Initially R (or Rtot) is R0 and there is no drug.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(
    r"(bolus|infusion|oral0|oral1)_([12])cpt_(full|constRtot|QE|QSS|Wagner|IB|R0IB)_(\w+)_output(Ltot|L)\Z",
    re.IGNORECASE,
)
_ROUTES: Mapping[str, tuple[str, ...]] = {
    "bolus": ("", "Tlag"),
    "infusion": ("", "Tlag"),
    "oral0": ("Tk0", "TlagTk0"),
    "oral1": ("ka", "Tlagka", "KtrMttka"),
}
_DISPOSITION: Mapping[int, Mapping[str, tuple[str, ...]]] = {
    1: {"Cl": ("Cl",), "kel": ("kel",)},
    2: {"ClQV2": ("Cl", "Q", "V2"), "kelk12k21": ("kel", "k12", "k21")},
}
#: Parameters besides those of route, distribution and elimination, as in the name.
_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "full": ("V", "kint", "kon", "KD", "ksyn", "R0"),
    "constrtot": ("V", "kint", "kon", "KD", "R0"),
    "qe": ("V", "kint", "KD", "ksyn", "R0"),
    "qss": ("V", "kint", "KS", "ksyn", "R0"),
    "wagner": ("V", "kint", "KD", "R0"),
    "ib": ("V", "kint", "kon", "ksyn", "R0"),
    "r0ib": ("V", "kint", "kon", "R0"),
}
#: Slopes of the binding model without input, elimination and exchange: L or Ltot first.
_BINDING: Mapping[str, tuple[str, ...]] = {
    "full": (
        "ddt_L = {disposition} - kon*L*R + koff*P",
        "ddt_R = ksyn - kdeg*R - kon*L*R + koff*P",
        "ddt_P = kon*L*R - koff*P - kint*P",
        "Ltot = L + P",
    ),
    "constrtot": (
        "ddt_L = {disposition} - kon*R0*L + (kon*L + koff)*P",
        "ddt_P = kon*R0*L - (kon*L + koff + kint)*P",
        "Ltot = L + P",
    ),
    "qe": (
        "L = 0.5*((Ltot - Rtot - KD) + sqrt((Ltot - Rtot - KD)^2 + 4*KD*Ltot))",
        "ddt_Ltot = {disposition} - kint*(Ltot - L)",
        "ddt_Rtot = ksyn - (kint - kdeg)*(Ltot - L) - kdeg*Rtot",
    ),
    "wagner": (
        "L = 0.5*((Ltot - R0 - KD) + sqrt((Ltot - R0 - KD)^2 + 4*KD*Ltot))",
        "ddt_Ltot = {disposition} - kint*(Ltot - L)",
    ),
    "ib": (
        "ddt_L = {disposition} - kon*L*R",
        "ddt_R = ksyn - kdeg*R - kon*L*R",
        "ddt_P = kon*L*R - kint*P",
        "Ltot = L + P",
    ),
    "r0ib": (
        "ddt_L = {disposition} - kon*L*(R0 - P)",
        "ddt_P = kon*L*(R0 - P) - kint*P",
        "Ltot = L + P",
    ),
}  # fmt: skip


def tmdd_text(stem: str) -> str | None:
    """The text of a model of this family; None for other names."""
    match = _NAME.match(stem)
    if match is None:
        return None
    route, compartments, kind, suffix, output = match.groups()
    route, n, kind = route.lower(), int(compartments), kind.lower()
    parameters = _PARAMETERS[kind]
    if kind == "ib" and output == "L":  # the complex is not observed, and its elimination not a parameter
        parameters = tuple(name for name in parameters if name != "kint")
    for start in _ROUTES[route]:
        for end, disposition in _DISPOSITION[n].items():
            if suffix.lower() == f"{start}{''.join(parameters)}{end}".lower():
                absorption = tuple(re.findall(r"Tlag|Tk0|ka|Ktr|Mtt", start))
                return _text(absorption, (*absorption, *parameters, *disposition), kind, n, output)
    return None


def _text(absorption: tuple[str, ...], inputs: tuple[str, ...], kind: str, n: int, output: str) -> str:
    own = "qe" if kind == "qss" else kind
    binding = list(_BINDING[own])
    if kind == "qss":
        binding = [line.replace("KD", "KS") for line in binding]
    if kind == "ib" and "kint" not in inputs:
        binding = [line for line in binding if not line.startswith(("ddt_P", "Ltot"))]
    dosed = "Ltot" if own in ("qe", "wagner") else "L"
    equations = ["kel = Cl/V"] if "Cl" in inputs else []
    equations += ["k12 = Q/V", "k21 = Q/V2"] if "Q" in inputs else []
    equations += ["kdeg = ksyn/R0"] if "ksyn" in inputs else []
    equations += ["koff = KD*kon"] if {"KD", "kon"} <= set(inputs) else []
    equations += ["Rtot_0 = R0"] if own == "qe" else (["R_0 = R0"] if "ksyn" in inputs else [])
    exchange = " - k12*L + k21*A/V" if n == 2 else ""
    equations += [line.format(disposition=f"-kel*L{exchange}") for line in binding]
    equations += ["ddt_A = k12*L*V - k21*A"] if n == 2 else []
    arguments = ", ".join(["adm=1", f"target={dosed}", *absorption, "p=1/V"])
    return "\n".join(
        ["[LONGITUDINAL]", f"input = {{{', '.join(inputs)}}}", "", "PK:", f"depot({arguments})", "", "EQUATION:",
         "odeType = stiff", *equations, "", "OUTPUT:", f"output = {output}", ""]
    )  # fmt: skip
