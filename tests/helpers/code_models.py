"""Models from a few lines of NM-TRAN-like code, without the text front end: Python's own parser reads
the expressions, so recognition is tested independently of it."""

from __future__ import annotations

import ast
import re

from nlmevae.errors import Location
from nlmevae.ir import (
    FUNCTIONS,
    Assign,
    Binary,
    Call,
    Column,
    Compare,
    Compartment,
    CovarianceBlock,
    DataSpec,
    If,
    Logical,
    Model,
    Negate,
    Not,
    Number,
    PopulationParameter,
    Program,
    SourceReference,
    StructuralModel,
    Symbol,
)

_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_WORDS = {
    ".EQ.": "==", ".NE.": "!=", ".LT.": "<", ".LE.": "<=", ".GT.": ">", ".GE.": ">=",
    ".AND.": " and ", ".OR.": " or ", ".NOT.": " not ",
}  # fmt: skip


def expression(text: str, line: int = 1):
    """One expression."""
    for word, operator in _WORDS.items():
        text = text.replace(word, operator)
    return _node(ast.parse(text.strip(), mode="eval").body, line)


def _node(tree: ast.expr, line: int):
    at = Location(path="test.ctl", line=line, column=tree.col_offset + 1)
    match tree:
        case ast.Constant(value=value):
            return Number(float(value), at=at)
        case ast.Name(id=name):
            return Symbol(name, at=at)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Negate(_node(operand, line), at=at)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return Not(_node(operand, line), at=at)
        case ast.UnaryOp(operand=operand):
            return _node(operand, line)
        case ast.BinOp(left=left, op=op, right=right):
            return Binary(_OPERATORS[type(op)], _node(left, line), _node(right, line), at=at)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return Compare(_COMPARISONS[type(op)], _node(left, line), _node(right, line), at=at)
        case ast.BoolOp(op=op, values=values):
            operator = "and" if isinstance(op, ast.And) else "or"
            node = _node(values[0], line)
            for value in values[1:]:
                node = Logical(operator, node, _node(value, line), at=at)
            return node
        case ast.Call(func=ast.Name(id=name), args=args):
            if name in FUNCTIONS:
                return Call(name, tuple(_node(a, line) for a in args), at=at)
            return Symbol(f"{name}({args[0].value})", at=at)
    raise ValueError(f"line {line}: {ast.dump(tree)}")


def statements(text: str):
    """Assignments, IF (...) X = ..., and IF (...) THEN / ELSE IF / ELSE / END IF blocks."""
    lines = [(n, line.split(";")[0].strip()) for n, line in enumerate(text.splitlines(), 1)]
    body, rest = _block([(n, line) for n, line in lines if line])
    assert not rest
    return body


def _block(lines):
    out = []
    while lines:
        n, line = lines[0]
        if re.match(r"(ELSE|END\s*IF)", line):
            break
        lines = lines[1:]
        at = Location(path="test.ctl", line=n)
        if re.match(r"IF\s*\(", line):
            condition, tail = _condition(line[line.index("(") :])
            if tail == "THEN":
                statement, lines = _if_block(condition, lines, n)
                out.append(statement)
            else:
                out.append(If(((expression(condition, n), statements_at(tail, n)),), at=at))
        else:
            out += statements_at(line, n)
    return tuple(out), lines


def _if_block(condition, lines, n):
    arms, orelse = [], ()
    body, lines = _block(lines)
    arms.append((expression(condition, n), body))
    while True:
        m, line = lines[0]
        lines = lines[1:]
        if re.match(r"END\s*IF", line):
            return If(tuple(arms), orelse, Location(path="test.ctl", line=n)), lines
        body, lines = _block(lines)
        if re.match(r"ELSE\s*IF", line):
            condition, _ = _condition(line[line.index("(") :])
            arms.append((expression(condition, m), body))
        else:
            orelse = body


def _condition(text):
    depth = 0
    for k, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return text[1:k], text[k + 1 :].strip()
    raise ValueError(text)


def statements_at(line: str, n: int):
    target, value = line.split("=", 1)
    return (Assign(target.strip(), expression(value, n), at=Location(path="test.ctl", line=n, snippet=line)),)


def make_model(
    *,
    pk: str | None = None,
    des: str = "DADT(1) = -CL/V*A(1)",
    error: str = "Y = F + F*EPS(1)",
    thetas=((0.0, 2.0), (0.0, 20.0)),
    omega=(0.1, 0.2),
    sigma=(0.04,),
    items: str = "ID TIME AMT DV WT AGE SEX",
    scale: str | None = "V",
    fixed_thetas: tuple[int, ...] = (),
    fixed_omegas: tuple[int, ...] = (),
    fixed_sigmas: tuple[int, ...] = (),
    n_compartments: int = 1,
) -> Model:
    """A one-compartment model (pk given) or a formula model (pk None: `error` is all of $PRED).

    thetas: (lower, init) or (lower, init, upper) each, numbers in fixed_* count from 1.
    """
    program = Program(
        pk=statements(pk) if pk else (),
        des=statements(des) if pk else (),
        error=statements(error),
    )
    compartments = ()
    if pk:
        compartments = tuple(
            Compartment(name=f"COMP{n}", number=n, scale=scale if n == 1 else None)
            for n in range(1, n_compartments + 1)
        )
    return Model(
        name="test",
        source=SourceReference(format="nonmem", path="test.ctl", text=""),
        problem="",
        data=DataSpec(path="data.csv", columns=tuple(_column(name) for name in items.split())),
        thetas=tuple(_theta(k, bounds, k in fixed_thetas) for k, bounds in enumerate(thetas, 1)),
        omega=_blocks("ETA", omega, fixed_omegas),
        sigma=_blocks("EPS", sigma, fixed_sigmas),
        structural=StructuralModel(compartments=compartments),
        program=program,
    )


def _column(name: str) -> Column:
    roles = {"ID", "TIME", "AMT", "DV", "MDV", "EVID", "CMT", "RATE"}
    return Column(name=name, role=name.lower() if name in roles else "covariate")


def _theta(k: int, bounds, fixed: bool) -> PopulationParameter:
    lower, init, *rest = bounds
    upper = rest[0] if rest else float("inf")
    at = Location(path="test.ctl", line=100 + k)
    return PopulationParameter(
        name=f"THETA({k})", label=f"THETA({k})", init=init, lower=lower, upper=upper, fixed=fixed, at=at
    )


def _blocks(prefix: str, variances, fixed) -> tuple[CovarianceBlock, ...]:
    """A number is a variance; a tuple of tuples is a block."""
    blocks, n = [], 0
    for entry in variances:
        matrix = entry if isinstance(entry, tuple) else ((entry,),)
        names = tuple(f"{prefix}({n + i + 1})" for i in range(len(matrix)))
        blocks.append(CovarianceBlock(names=names, matrix=matrix, fixed=(n + 1) in fixed))
        n += len(matrix)
    return tuple(blocks)
