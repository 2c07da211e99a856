"""The built-in linear models of PREDPP, ADVAN1 to ADVAN4, ADVAN11 and ADVAN12, and their TRANS."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from nlmevae.errors import Location
from nlmevae.ir import Binary, ClosedForm, Expression, Negate, Number, Symbol

#: For one TRANS: the variables $PK must assign, and (rate constant, formula) of those computed from them, in order.
Translation = tuple[tuple[str, ...], tuple[tuple[str, str], ...]]

_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearModel:
    """Compartment names, rate constants in `StructuralModel.rate_constants` order, their flows (from, to; to 0 is
    elimination), and what each TRANS needs. `observed`: number of the central compartment."""

    closed_form: ClosedForm
    compartments: tuple[str, ...]
    observed: int
    rates: tuple[str, ...]
    flows: tuple[tuple[int, int], ...]
    trans: dict[int, Translation]


def _two_exponentials(out: str, back: str) -> tuple[tuple[str, str], ...]:
    """K and the rate constant `out` from the exponents and `back` (Users Guide VI, chapter VII, TRANS6).

    The characteristic polynomial gives ALPHA + BETA = K + out + back and ALPHA BETA = K back.
    """
    return (("K", f"ALPHA*BETA/{back}"), (out, f"ALPHA+BETA-{back}-K"))


def _two_coefficients(out: str, back: str) -> tuple[tuple[str, str], ...]:
    """TRANS5: AOB is the ratio A/B of the coefficients after a bolus, A/B = (ALPHA - back) / (back - BETA)."""
    return ((back, "(AOB*BETA+ALPHA)/(AOB+1)"), *_two_exponentials(out, back))


def _three_exponentials(out: str, back: str, out2: str, back2: str) -> tuple[tuple[str, str], ...]:
    """TRANS6 of three compartments: sum, sum of products and product of the exponents are those of the matrix."""
    pairs = "ALPHA*BETA+ALPHA*GAMMA+BETA*GAMMA"
    return (
        ("K", f"ALPHA*BETA*GAMMA/({back}*{back2})"),
        (out2, f"({pairs}+{back2}*{back2}-{back2}*(ALPHA+BETA+GAMMA)-K*{back})/({back}-{back2})"),
        (out, f"ALPHA+BETA+GAMMA-K-{out2}-{back}-{back2}"),
    )


def _quotients(*parts: tuple[str, str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((rate, f"{above}/({below})") for rate, above, below in parts)


#: NONMEM Users Guide VI, chapter VII.
LINEAR: dict[int, LinearModel] = {
    1: LinearModel(
        closed_form="one",
        compartments=("CENTRAL",),
        observed=1,
        rates=("K",),
        flows=((1, 0),),
        trans={1: (("K",), ()), 2: (("CL", "V"), _quotients(("K", "CL", "V")))},
    ),
    2: LinearModel(
        closed_form="one_absorption",
        compartments=("DEPOT", "CENTRAL"),
        observed=2,
        rates=("KA", "K"),
        flows=((1, 2), (2, 0)),
        trans={1: (("KA", "K"), ()), 2: (("KA", "CL", "V"), _quotients(("K", "CL", "V")))},
    ),
    3: LinearModel(
        closed_form="two",
        compartments=("CENTRAL", "PERIPHERAL"),
        observed=1,
        rates=("K", "K12", "K21"),
        flows=((1, 0), (1, 2), (2, 1)),
        trans={
            1: (("K", "K12", "K21"), ()),
            3: (("CL", "V", "Q", "VSS"), _quotients(("K", "CL", "V"), ("K12", "Q", "V"), ("K21", "Q", "VSS-V"))),
            4: (("CL", "V1", "Q", "V2"), _quotients(("K", "CL", "V1"), ("K12", "Q", "V1"), ("K21", "Q", "V2"))),
            5: (("AOB", "ALPHA", "BETA"), _two_coefficients("K12", "K21")),
            6: (("ALPHA", "BETA", "K21"), _two_exponentials("K12", "K21")),
        },
    ),
    4: LinearModel(
        closed_form="two_absorption",
        compartments=("DEPOT", "CENTRAL", "PERIPHERAL"),
        observed=2,
        rates=("KA", "K", "K23", "K32"),
        flows=((1, 2), (2, 0), (2, 3), (3, 2)),
        trans={
            1: (("KA", "K", "K23", "K32"), ()),
            3: (("KA", "CL", "V", "Q", "VSS"), _quotients(("K", "CL", "V"), ("K23", "Q", "V"), ("K32", "Q", "VSS-V"))),
            4: (("KA", "CL", "V2", "Q", "V3"), _quotients(("K", "CL", "V2"), ("K23", "Q", "V2"), ("K32", "Q", "V3"))),
            5: (("KA", "AOB", "ALPHA", "BETA"), _two_coefficients("K23", "K32")),
            6: (("KA", "ALPHA", "BETA", "K32"), _two_exponentials("K23", "K32")),
        },
    ),
    11: LinearModel(
        closed_form="three",
        compartments=("CENTRAL", "PERIPH1", "PERIPH2"),
        observed=1,
        rates=("K", "K12", "K21", "K13", "K31"),
        flows=((1, 0), (1, 2), (2, 1), (1, 3), (3, 1)),
        trans={
            1: (("K", "K12", "K21", "K13", "K31"), ()),
            4: (
                ("CL", "V1", "Q2", "V2", "Q3", "V3"),
                _quotients(("K", "CL", "V1"), ("K12", "Q2", "V1"), ("K21", "Q2", "V2"), ("K13", "Q3", "V1"),
                           ("K31", "Q3", "V3")),
            ),
            6: (("ALPHA", "BETA", "GAMMA", "K21", "K31"), _three_exponentials("K12", "K21", "K13", "K31")),
        },
    ),
    12: LinearModel(
        closed_form="three_absorption",
        compartments=("DEPOT", "CENTRAL", "PERIPH1", "PERIPH2"),
        observed=2,
        rates=("KA", "K", "K23", "K32", "K24", "K42"),
        flows=((1, 2), (2, 0), (2, 3), (3, 2), (2, 4), (4, 2)),
        trans={
            1: (("KA", "K", "K23", "K32", "K24", "K42"), ()),
            4: (
                ("KA", "CL", "V2", "Q3", "V3", "Q4", "V4"),
                _quotients(("K", "CL", "V2"), ("K23", "Q3", "V2"), ("K32", "Q3", "V3"), ("K24", "Q4", "V2"),
                           ("K42", "Q4", "V4")),
            ),
            6: (("KA", "ALPHA", "BETA", "GAMMA", "K32", "K42"), _three_exponentials("K23", "K32", "K24", "K42")),
        },
    ),
}  # fmt: skip


def formula(text: str, name_of: Mapping[str, str], at: Location) -> Expression:
    """The expression of one of the formulas above; names in `name_of` are replaced."""
    return _expression(ast.parse(text, mode="eval").body, name_of, at)


def _expression(node: ast.expr, name_of: Mapping[str, str], at: Location) -> Expression:
    match node:
        case ast.Name():
            return Symbol(name_of.get(node.id, node.id), at=at)
        case ast.Constant():
            return Number(float(node.value), at=at)
        case ast.UnaryOp():
            return Negate(_expression(node.operand, name_of, at), at=at)
    left, right = (_expression(side, name_of, at) for side in (node.left, node.right))
    return Binary(_OPERATORS[type(node.op)], left, right, at=at)
