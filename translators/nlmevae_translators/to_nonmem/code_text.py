"""Expressions and statements as NM-TRAN's abbreviated code.

NM-TRAN has no conditional expressions: a `Where` becomes a variable assigned in an IF block before the statement.
Lines stay under 100 characters (NM-TRAN reads 160) by continuation with &.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nlmevae.errors import UnsupportedError
from nlmevae.ir import (
    Assign,
    Binary,
    Call,
    Compare,
    Expression,
    If,
    Logical,
    Negate,
    Not,
    Number,
    Statement,
    Symbol,
    Where,
)
from nlmevae_translators.expression_parts import with_children

LINE = 100
_COMPARE = {"==": ".EQ.", "!=": ".NE.", "<": ".LT.", "<=": ".LE.", ">": ".GT.", ">=": ".GE."}
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_LOGICAL = {"and": ".AND.", "or": ".OR."}
#: _SIGNED: a product that begins with a sign.
_SUM, _SIGNED, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4, 5
_OPERATORS = {"+": (" + ", _SUM), "-": (" - ", _SUM), "*": ("*", _PRODUCT), "/": ("/", _PRODUCT), "**": ("**", _POWER)}


def number_text(value: float) -> str:
    """The shortest text that is this double; whole numbers without a point."""
    if value == int(value) and abs(value) < 1e9:  # Fortran's whole numbers end at 2**31
        return str(int(value))
    return repr(value).upper()


@dataclass(slots=True)
class CodeWriter:
    """Writes statements of one record.

    Attributes:
        names: name in the program -> name in the stream; others stay.
        fresh: a new name that starts with what it is given.
        helpers: names of variables that stand for conditional values.
    """

    names: Mapping[str, str]
    fresh: Callable[[str], str]
    helpers: list[str] = field(default_factory=list)

    def statements(self, statements: Sequence[Statement], indent: int = 2) -> list[str]:
        """The lines of statements in order."""
        lines: list[str] = []
        for statement in statements:
            lines += self._if(statement, indent) if isinstance(statement, If) else self._assign(statement, indent)
        return lines

    def expression(self, expression: Expression) -> str:
        """An expression without conditional values.

        Raises:
            UnsupportedError: a number that is not finite.
        """
        return self._text(expression)[0]

    def name(self, name: str) -> str:
        """In the stream; "=X" is already X."""
        return name[1:] if name.startswith("=") else self.names.get(name, name)

    def _assign(self, statement: Assign, indent: int) -> list[str]:
        target = self.name(statement.target)
        if isinstance(statement.value, Where):
            return self._branches(target, statement.value, indent)
        before, value = self._without_where(statement.value, target, indent)
        return [*before, *wrapped(f"{' ' * indent}{target} = {self.expression(value)}")]

    def _branches(self, target: str, value: Where, indent: int) -> list[str]:
        """``IF ... ELSEIF ... ELSE`` that assigns a conditional value."""
        arms: list[tuple[Expression, Expression]] = []
        rest: Expression = value
        while isinstance(rest, Where):
            arms.append((rest.condition, rest.then))
            rest = rest.otherwise
        bodies = [(condition, (_raw(target, then),)) for condition, then in arms]
        return self._if(If(tuple(bodies), (_raw(target, rest),)), indent)

    def _if(self, statement: If, indent: int) -> list[str]:
        before: list[str] = []
        lines: list[str] = []
        for k, (condition, body) in enumerate(statement.arms):
            more, plain = self._without_where(condition, "COND", indent)
            before += more
            word = "IF" if k == 0 else "ELSEIF"
            lines += wrapped(f"{' ' * indent}{word} ({self._condition(plain)}) THEN")
            lines += self.statements(body, indent + 2)
        if statement.orelse:
            lines += [f"{' ' * indent}ELSE", *self.statements(statement.orelse, indent + 2)]
        return [*before, *lines, f"{' ' * indent}ENDIF"]

    def _without_where(self, value: Expression, target: str, indent: int) -> tuple[list[str], Expression]:
        """Lines that compute the conditional parts of `value`, and `value` with their names in their places."""
        lines: list[str] = []

        known: dict[Where, Symbol] = {}

        def plain(node: Expression) -> Expression:
            if isinstance(node, Where):
                if node in known:
                    return known[node]
                helper = self.fresh(target.replace("MU_", "COV") if target.startswith("MU_") else f"{target}_C")
                self.helpers.append(helper)
                lines.extend(self._branches(helper, node, indent))
                known[node] = Symbol(f"={helper}")
                return known[node]
            return with_children(node, tuple(plain(child) for child in node.children()))

        return lines, plain(value)

    def _text(self, node: Expression) -> tuple[str, int]:
        """The text and how strongly it binds."""
        match node:
            case Number(value):
                return self._number(node, value)
            case Symbol(name):
                return self.name(name), _ATOM
            case Negate(operand):
                return f"-{self._bound(operand, _PRODUCT)}", _SIGNED
            case Binary(operator, left, right):
                return self._binary(operator, left, right)
            case Call(function, arguments):
                return self._call(function, arguments), _ATOM
        raise UnsupportedError(
            "a condition where a number is expected", hint="write it as a condition of if", location=node.at
        )

    def _number(self, node: Expression, value: float) -> tuple[str, int]:
        if value != value or value in (float("inf"), float("-inf")):
            raise UnsupportedError("a number that is not finite", hint="correct the model", location=node.at)
        return number_text(value), (_ATOM if value >= 0.0 else _SUM)

    def _binary(self, operator: str, left: Expression, right: Expression) -> tuple[str, int]:
        sign, level = _OPERATORS[operator]
        if operator in ("+", "-") and right == Number(0.0):
            return self._text(left)
        if operator == "+" and left == Number(0.0):
            return self._text(right)
        if isinstance(left, Number) and isinstance(right, Number):
            # 1/2 is 0.5, and large products are large, whatever is done with whole numbers
            last = self._bound(right, level + 1) if operator == "**" else _with_point(right.value)
            return f"{_with_point(left.value)}{sign}{last}", level
        text, own = self._text(left)  # once: twice at every level is 2**depth
        if level == _PRODUCT and own == _SIGNED:  # -A*B is -(A*B), which is the same
            return f"{text}{sign}{self._bound(right, level + 1)}", _SIGNED
        first = text if own >= (level + 1 if operator == "**" else level) else f"({text})"
        return f"{first}{sign}{self._bound(right, max(level + 1, _PRODUCT))}", level

    def _bound(self, node: Expression, level: int) -> str:
        text, own = self._text(node)
        return text if own >= level else f"({text})"

    def _call(self, function: str, arguments: Sequence[Expression]) -> str:
        # Fortran's functions take no whole numbers, or only among themselves
        texts = [_with_point(a.value) if isinstance(a, Number) else self._text(a)[0] for a in arguments]
        x = texts[0]
        if function == "TANH":  # NM-TRAN has no hyperbolic functions
            return f"(1 - 2/(EXP(2*({x})) + 1))"
        if function in ("SINH", "COSH"):
            return f"((EXP({x}) {'-' if function == 'SINH' else '+'} EXP(-({x})))/2)"
        return f"{function}({', '.join(texts)})"

    def _condition(self, node: Expression) -> str:
        match node:
            case Compare(operator, left, right):
                return f"{self._text(left)[0]}{_COMPARE[operator]}{self._text(right)[0]}"
            case Logical(operator, left, right):
                parts = []
                for side in (left, right):
                    text = self._condition(side)
                    mixed = isinstance(side, Logical) and side.operator != operator
                    parts.append(f"({text})" if mixed or isinstance(side, Not) else text)
                return _LOGICAL[operator].join(parts)
            case Not(Compare(operator, left, right)):
                return self._condition(Compare(_OPPOSITE[operator], left, right))
            case Not(Not(operand)):
                return self._condition(operand)
            case Not(Logical(operator, left, right)):
                return self._condition(Logical("or" if operator == "and" else "and", Not(left), Not(right)))
        return f"{self._text(node)[0]}.NE.0"


def _raw(target: str, value: Expression) -> Assign:
    """An assignment whose target is already a name of the stream."""
    return Assign(f"={target}", value)


def _with_point(value: float) -> str:
    text = number_text(value)
    text = f"{text}.0" if text.lstrip("-").isdigit() else text
    return f"({text})" if value < 0.0 else text


def wrapped(line: str) -> list[str]:
    """The line, continued with & where it is long."""
    indent = len(line) - len(line.lstrip()) + 2
    lines: list[str] = []
    while len(line) > LINE:
        cut = _break(line)
        if cut is None:
            break
        lines.append(f"{line[:cut].rstrip()} &")
        line = " " * indent + line[cut:].lstrip()
    return [*lines, line]


def _break(line: str) -> int | None:
    """Where to break: before the last sum or product that fits, else the first."""
    indent = len(line) - len(line.lstrip()) + 4
    places = [k for k in range(indent, len(line) - 1) if _breakable(line, k)]
    return max((k for k in places if k <= LINE - 2), default=min(places, default=None))


def _breakable(line: str, k: int) -> bool:
    if line[k] in "+-" and line[k - 1] == " " and line[k + 1] == " ":
        return True
    if line[k] in "*/" and line[k - 1] not in "*/" and line[k + 1] != "*":
        return True
    return line.startswith((".AND.", ".OR."), k)
