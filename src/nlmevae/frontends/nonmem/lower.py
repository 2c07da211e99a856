"""Syntax trees -> ir statements: names resolved, indices checked, every node with its place."""

from __future__ import annotations

import contextlib
import re
from difflib import get_close_matches

from lark import Token, Tree

from nlmevae.errors import Location, ModelError, ModelSyntaxError, NlmevaeError, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.element_lists import by_values, lists_in
from nlmevae.frontends.nonmem.exits import EXIT_FLAGS
from nlmevae.frontends.nonmem.initial_conditions import INITIAL_FLAG
from nlmevae.frontends.nonmem.known_values import (
    BEFORE,
    SIMULATING,
    WHILE_ESTIMATING,
    WITH_DECLARATIONS,
    decided,
    forget,
    known_value,
    possible,
)
from nlmevae.frontends.nonmem.model_times import NUMBERED, check_time_element, check_time_name
from nlmevae.frontends.nonmem.protected_functions import PROTECTED
from nlmevae.frontends.nonmem.reserved import (
    FUNCTION_NAMES,
    INTERNAL_NAMES,
    PROTECTED_FUNCTIONS,
    UNSUPPORTED_ELEMENTS,
    UNSUPPORTED_NAMES,
)
from nlmevae.frontends.nonmem.vocabulary import Skipped, Vocabulary
from nlmevae.ir import (
    FUNCTIONS,
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
)

_COMPARE = {
    "EQ": "==", "EQN": "==", "==": "==", "NE": "!=", "NEN": "!=", "/=": "!=",
    "GT": ">", ">": ">", "GE": ">=", ">=": ">=", "LT": "<", "<": "<", "LE": "<=", "<=": "<=",
}  # fmt: skip
_REFUSED = {
    "CALL": "subroutine calls cannot be run; write the formula instead",
    "EXIT": "write EXIT n k in $PK, $ERROR or $PRED; bounds on THETA keep the estimates legal",
    "DO": "write the loop as DO WHILE (I.LE.n)",
    "INCLUDE": "write the name of the file alone behind it: INCLUDE file.txt",
}
#: Limits of what a loop may become.
MOST_ROUNDS, MOST_STATEMENTS = 1000, 20000
#: Statements that only write files.
_OUTPUT = re.compile(r"(WRITE|OPEN|CLOSE)[ \t]*\(|PRINT\b", re.IGNORECASE)
_EXIT = re.compile(r"EXIT([ \t]+\d+){0,2}[ \t]*\Z", re.IGNORECASE)
_ELEMENTS = ("THETA", "ETA", "EPS", "ERR", "A", "DADT", "A_0", "A_INITIAL", "OMEGA", "SIGMA", "MTIME", "MPAST")
_ELEMENT = re.compile(r"([A-Z_][A-Z0-9_]*)\((\w+(?:,\w+)*)\)\Z")


def lower_expression(tree: Tree, vocabulary: Vocabulary) -> Expression:
    """A parsed expression that must have a number as its value; errors as for `lower_code`."""
    return _Lowering(vocabulary).value(tree)


def lower_code(tree: Tree, vocabulary: Vocabulary) -> tuple[Statement, ...]:
    """Statements of a parsed code record.

    Raises:
        UnsupportedError: a statement, name or function that cannot be executed.
        SemanticError: an index out of range, a condition used as a value or the reverse, an unknown function.
    """
    return lower_with_remarks(tree, vocabulary)[0]


def lower_with_remarks(tree: Tree, vocabulary: Vocabulary) -> tuple[tuple[Statement, ...], tuple[Skipped, ...]]:
    """`lower_code`, and what was left out because estimation never runs it."""
    lowering = _Lowering(vocabulary)
    return lowering.body(tree), tuple(lowering.skipped)


def is_condition(expression: Expression) -> bool:
    return isinstance(expression, (Compare, Logical, Not))


class _Lowering:
    """One method per kind of syntax node; `known` are the values known at the place that is read."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.states = WHILE_ESTIMATING | (WITH_DECLARATIONS if vocabulary.internal else {})
        self.known: dict[str, float] = dict(self.states)
        self.skipped: list[Skipped] = []
        self.deciding = 0

    # statements -----------------------------------------------------------------------------------

    def body(self, tree: Tree) -> tuple[Statement, ...]:
        return tuple(statement for child in tree.children for statement in self.statements(child))

    def statements(self, tree: Tree) -> tuple[Statement, ...]:
        """What one statement of the text becomes: loops are written out, what estimation never runs is left out."""
        match tree.data:
            case "assign":
                return (self.assignment(tree),)
            case "if_logical":
                head, condition, simple = tree.children
                return self.conditional([(condition, simple)], None, self.at(head))
            case "if_block":
                head, condition, body, *rest = tree.children
                arms = [(condition, body)] + [tuple(part.children) for part in rest if part.data == "elseif"]
                orelse = next((part.children[0] for part in rest if part.data == "else_arm"), None)
                return self.conditional(arms, orelse, self.at(head))
            case "do_while":
                return self.loop(tree)
            case _ if _OUTPUT.match(str(tree.children[0])):
                return ()
            case _ if _EXIT.match(str(tree.children[0])) and self.vocabulary.section in EXIT_FLAGS:
                return self.exit(tree.children[0])
            case _:
                raise self.refusal(tree.children[0])

    def exit(self, token: Token) -> tuple[Statement, ...]:
        """EXIT: NONMEM gives up the prediction; `with_exits` makes it not finite."""
        at = self.at(token)
        return (Assign(EXIT_FLAGS[self.vocabulary.section], Number(1.0, at=at), at=at),)

    def assignment(self, tree: Tree) -> Statement:
        target, value = tree.children
        name, at = self.target(target)
        statement = Assign(name, self.value(value), at=at)
        number = known_value(statement.value, self.known)
        if number is None:
            self.known.pop(name, None)
        else:
            self.known[name] = number
        return by_values(statement, self.vocabulary.lists)

    def conditional(self, arms: list[tuple[Tree, Tree]], orelse: Tree | None, at: Location) -> tuple[Statement, ...]:
        """An IF without the arms that no estimation runs; nothing, or an arm alone, where that is decided."""
        before = dict(self.known)
        kept: list[tuple[Expression, tuple[Statement, ...]]] = []
        final: tuple[Statement, ...] = ()
        settled: Expression | None = None
        for written, body in arms:
            condition = self.condition(written)
            if settled is not None:
                self.skip(Not(settled), body, before, at)
                continue
            self.refuse_list(condition)
            holds = decided(condition, before)
            if holds is False:
                self.skip(condition, body, before, at)
            elif holds is True:
                settled, final = condition, self.arm(body, before)
            else:
                kept.append((holds, self.arm(body, before)))
        if orelse is not None and settled is not None:
            self.skip(Not(settled), orelse, before, at)
        elif orelse is not None:
            final = self.arm(orelse, before)
        self.known = before
        if not kept:
            if final:
                self.known = self.after
            return final
        if not final and not any(body for _, body in kept):
            return ()
        statement = If(tuple(kept), final, at=at)
        forget(self.known, (statement,))
        return (statement,)

    def arm(self, body: Tree, before: dict[str, float]) -> tuple[Statement, ...]:
        self.known = dict(before)
        found = self.body(body) if body.data in ("body", "program") else self.statements(body)
        self.after = self.known
        return found

    def skip(self, condition: Expression, body: Tree, known: dict[str, float], at: Location) -> None:
        """Remember what an arm would assign at other values of ICALL; what it sets of NONMEM's own may act."""
        names = set()
        before = possible(condition, known, BEFORE)
        for assign in body.iter_subtrees_topdown():
            if assign.data == "assign":
                if before and str(assign.children[0].children[0]).upper() in UNSUPPORTED_NAMES:
                    self.target(assign.children[0])
                with contextlib.suppress(ModelError):  # what is not run need not be legal here
                    names.add(self.target(assign.children[0])[0])
        self.skipped.append(
            Skipped(
                names=frozenset(names),
                before=before,
                simulating=possible(condition, known, SIMULATING),
                at=at,
            )
        )

    def loop(self, tree: Tree) -> tuple[Statement, ...]:
        """DO WHILE written out."""
        head, written, body = tree.children
        found: list[Statement] = []
        for _ in range(MOST_ROUNDS):
            holds = decided(self.condition(written), self.known)
            if not isinstance(holds, bool):
                raise UnsupportedError(
                    "this DO WHILE runs for a number of rounds that depends on data or parameters",
                    hint="give its counter a number before it and compare it with a number: I=1, DO WHILE (I.LE.4)",
                    location=self.at(head),
                )
            if not holds:
                return tuple(found)
            found += self.body(body)
            if len(found) > MOST_STATEMENTS:
                break
        raise UnsupportedError(
            f"this DO WHILE runs for more than {MOST_ROUNDS} rounds or {MOST_STATEMENTS} statements",
            hint="count its variable up in the loop, or write the sum as a formula",
            location=self.at(head),
        )

    def refuse_list(self, condition: Expression) -> None:
        for names in lists_in(condition, self.vocabulary.lists).values():
            raise UnsupportedError(
                f"{names[0]} is chosen by a data item and stands in a condition",
                hint=f"assign it to a variable first: X={names[0]}, and compare X",
                location=condition.at,
            )

    def refusal(self, token: Token) -> UnsupportedError:
        words = str(token).split()
        first = re.match(r"[A-Za-z]+", words[0]).group().upper()
        name = {"GO": "GOTO"}.get(first, first)
        hint = _REFUSED.get(name, f"{name} cannot be run; remove the statement")
        location = self.vocabulary.source.location(token.start_pos, len(str(token).rstrip()))
        return UnsupportedError(f"{name} is not supported", hint=hint, location=location)

    def target(self, tree: Tree) -> tuple[str, Location]:
        token = tree.children[0]
        at = self.at(token)
        name = self.element_name(token, tree.children[1:]) if tree.data == "target_element" else token.upper()
        name = self.vocabulary.replacements.get(name, name)
        name = self.vocabulary.synonyms.get(name, name)
        match = _ELEMENT.match(name)
        if match and match.group(1) in self.vocabulary.arrays:
            return self.array_element(name, at), at
        if match:
            return self.target_element(name, at), at
        internal = self.vocabulary.internal and name in INTERNAL_NAMES
        if name in UNSUPPORTED_NAMES or name in self.states or internal:
            hint = UNSUPPORTED_NAMES.get(name, "it belongs to NONMEM; assign a variable with another name")
            raise UnsupportedError(f"{name} is not supported", hint=hint, location=at)
        check_time_name(name, at, assigned=True, section=self.vocabulary.section)
        if name == INITIAL_FLAG:
            raise SemanticError(f"{name} cannot be assigned", hint="only read it: IF (A_0FLG.EQ.1)", location=at)
        return name, at

    def array_element(self, name: str, at: Location) -> str:
        """An element of an array of $ABBREVIATED DECLARE, its index checked."""
        base, index = _ELEMENT.match(name).groups()
        sizes = self.vocabulary.arrays[base]
        numbers = index.split(",")
        inside = len(numbers) == len(sizes) and all(
            n.isdigit() and 1 <= int(n) <= size for n, size in zip(numbers, sizes, strict=True)
        )
        if not inside:
            raise SemanticError(
                f"{name} does not exist: $ABBREVIATED declares {base}({','.join(map(str, sizes))})",
                hint="use an index inside the declared size, or declare more",
                location=at,
            )
        return name

    def target_element(self, name: str, at: Location) -> str:
        base = name.partition("(")[0]
        wanted = {"A_0": "PK", "DADT": "DES", "MTIME": "PK"}
        if base in UNSUPPORTED_ELEMENTS:
            raise UnsupportedError(f"{base} is not supported", hint=UNSUPPORTED_ELEMENTS[base], location=at)
        if base not in wanted:
            raise SemanticError(
                f"{name} cannot be assigned", hint="assign a variable of your own and use it instead", location=at
            )
        if self.vocabulary.section != wanted[base]:
            raise SemanticError(
                f"{name} is assigned in ${self.vocabulary.section}",
                hint=f"assign {base}(n) in ${wanted[base]}",
                location=at,
            )
        return self.checked(name, at)

    # expressions ----------------------------------------------------------------------------------

    def value(self, node: Tree | Token) -> Expression:
        expression = self.expression(node)
        if is_condition(expression):
            raise SemanticError(
                "a condition stands where a number is needed",
                hint="use IF (...) THEN to turn the condition into a value",
                location=expression.at,
            )
        return expression

    def condition(self, node: Tree | Token) -> Expression:
        self.deciding += 1
        expression = self.expression(node)
        self.deciding -= 1
        if not is_condition(expression):
            raise SemanticError(
                "a number stands where a condition is needed",
                hint="compare it with something: (NAME.EQ.1)",
                location=expression.at,
            )
        return expression

    def expression(self, node: Tree) -> Expression:
        return getattr(self, f"_{node.data}")(*node.children)

    def _number(self, token: Token) -> Expression:
        return Number(float(token.upper().replace("D", "E")), at=self.at(token))

    def _name(self, token: Token) -> Expression:
        return self.symbol(token.upper(), self.at(token))

    def _binary(self, left: Tree, operator: Token, right: Tree) -> Expression:
        a, b = self.value(left), self.value(right)
        return Binary(str(operator), a, b, at=a.at)

    def _negate(self, sign: Token, operand: Tree) -> Expression:
        return Negate(self.value(operand), at=self.at(sign))

    def _plus(self, sign: Token, operand: Tree) -> Expression:
        return self.value(operand)

    def _compare(self, left: Tree, operator: Token, right: Tree) -> Expression:
        a, b = self.value(left), self.value(right)
        return Compare(_COMPARE[re.sub(r"[.\s]", "", operator.upper())], a, b, at=a.at)

    def _logical(self, left: Tree, operator: Token, right: Tree) -> Expression:
        a, b = self.condition(left), self.condition(right)
        return Logical("or" if operator.type == "OR" else "and", a, b, at=a.at)

    def _not_(self, operator: Token, operand: Tree) -> Expression:
        return Not(self.condition(operand), at=self.at(operator))

    def _call(self, token: Token, *arguments: Tree) -> Expression:
        name = token.upper()
        at = self.at(token)
        if name in FUNCTION_NAMES:
            return self.function(FUNCTION_NAMES[name], arguments, at)
        if self.vocabulary.parameters is not None:
            return self.parameter(self.element_name(token, arguments), at)
        if name in PROTECTED:
            return self.protected(name, arguments, at)
        if name in PROTECTED_FUNCTIONS:
            raise UnsupportedError(
                f"{name} is not supported", hint=f"write {PROTECTED_FUNCTIONS[name]} instead", location=at
            )
        if name in self.vocabulary.arrays:
            return Symbol(self.array_element(self.element_name(token, arguments), at), at=at)
        if name not in _ELEMENTS and name not in UNSUPPORTED_ELEMENTS:
            raise self.unknown_function(name, at)
        return self.symbol(self.element_name(token, arguments), at)

    def function(self, name: str, arguments: tuple[Tree, ...], at: Location) -> Expression:
        wanted = FUNCTIONS[name]
        if (wanted >= 0 and len(arguments) != wanted) or (wanted < 0 and len(arguments) < 2):
            count = "two or more arguments" if wanted < 0 else f"{wanted} argument{'s' if wanted > 1 else ''}"
            raise SemanticError(
                f"{name} takes {count}, not {len(arguments)}", hint="check the commas between them", location=at
            )
        return Call(name, tuple(self.value(a) for a in arguments), at=at)

    def protected(self, name: str, arguments: tuple[Tree, ...], at: Location) -> Expression:
        if len(arguments) != 1:
            raise SemanticError(
                f"{name} takes 1 argument, not {len(arguments)}", hint="check the commas between them", location=at
            )
        return PROTECTED[name](self.value(arguments[0]), at)

    def unknown_function(self, name: str, at: Location) -> NlmevaeError:
        close = get_close_matches(name, FUNCTION_NAMES, n=1)
        guess = f"did you mean {close[0]}? " if close else ""
        return SemanticError(
            f"{name} is not a known function",
            hint=f"{guess}known: {', '.join(sorted(FUNCTIONS))}; a product needs *",
            location=at,
        )

    # names ----------------------------------------------------------------------------------------

    def element_name(self, token: Token, arguments: tuple[Tree, ...] | list[Tree]) -> str:
        """``THETA(CL)``, ``ETA(2)``: the spelling, upper case."""
        texts = []
        for argument in arguments:
            leaf = argument.children[0] if isinstance(argument, Tree) and argument.data == "name" else None
            if leaf is not None and leaf.upper() not in self.known:
                texts.append(leaf.upper())
            else:
                texts.append(str(self.index(token, argument)))
        base = {"A_INITIAL": "A_0"}.get(token.upper(), token.upper())
        return f"{base}({','.join(texts)})"

    def index(self, token: Token, argument: Tree) -> int:
        """A whole number: written, or known here because a loop counts it."""
        number = known_value(self.value(argument), self.known)
        if number is None or number != int(number) or number < 0:
            raise SemanticError(
                f"the index of {token.upper()} is computed",
                hint=f"write a whole number: {token.upper()}(1)",
                location=self.at(token),
            )
        return int(number)

    def parameter(self, name: str, at: Location) -> Expression:
        """A population parameter by its name or label."""
        known = self.vocabulary.parameters
        if name not in known:
            close = get_close_matches(name, known, n=1)
            guess = f"did you mean {close[0]}? " if close else ""
            raise SemanticError(
                f"{name} is no population parameter of this model",
                hint=f"{guess}known: {', '.join(known)}; an individual parameter is written by the THETAs it has",
                location=at,
            )
        return Symbol(known[name], at=at)

    def symbol(self, name: str, at: Location) -> Expression:
        vocabulary = self.vocabulary
        if vocabulary.parameters is not None:
            return self.parameter(name, at)
        name = vocabulary.replacements.get(name, name)
        if re.fullmatch(r"[0-9.].*", name):
            return Number(float(name.replace("D", "E")), at=at)
        name = vocabulary.synonyms.get(name, name)
        if name in vocabulary.lists:
            return Symbol(name, at=at)
        if name in self.states:
            return Number(self.states[name], at=at) if self.deciding == 0 else Symbol(name, at=at)
        if _ELEMENT.match(name):
            name = self.checked(name, at)
            value = vocabulary.constants.get(name)
            return Symbol(name, at=at) if value is None else Number(value, at=at)
        if name in UNSUPPORTED_NAMES:
            raise UnsupportedError(f"{name} is not supported", hint=UNSUPPORTED_NAMES[name], location=at)
        check_time_name(name, at, assigned=False, section=vocabulary.section)
        if name == INITIAL_FLAG and vocabulary.section != "PK":
            hint = "IF (A_0FLG.EQ.1) with what sets A_0(n) belongs to $PK"
            raise SemanticError(f"{name} cannot be used in ${vocabulary.section}", hint=hint, location=at)
        return Symbol(name, at=at)

    def checked(self, name: str, at: Location) -> str:
        """`name` with EPS for ERR, after its index and its place in the model are checked."""
        base, index = _ELEMENT.match(name).groups()
        base = {"ERR": "EPS"}.get(base, base)
        if base in UNSUPPORTED_ELEMENTS:
            raise UnsupportedError(f"{base}({index}) is not supported", hint=UNSUPPORTED_ELEMENTS[base], location=at)
        if base in ("OMEGA", "SIGMA"):
            return self.variance_element(base, index, at)
        if base in NUMBERED:
            return check_time_element(base, index, self.vocabulary.section, at)
        self.check_section(base, f"{base}({index})", at)
        if not index.isdigit():
            raise SemanticError(
                f"{base}({index}): {index} is not the label of a {base}",
                hint=f"write its number, or add $ABBR REPLACE {base}({index})={base}(1)",
                location=at,
            )
        counted = {"DADT": "A", "A_0": "A"}.get(base, base)
        count = self.vocabulary.counts.get(counted, 0)
        if base == "A" and count and int(index) == count + 1:
            raise UnsupportedError(
                f"{base}({index}) is the output compartment, which is not supported",
                hint="add a compartment that collects what is eliminated, in $DES",
                location=at,
            )
        if not 1 <= int(index) <= count:
            where = {"THETA": "$THETA", "ETA": "$OMEGA", "EPS": "$SIGMA"}.get(counted, "the compartments")
            raise SemanticError(
                f"{base}({index}) does not exist: the last one of {where} is {count}",
                hint=f"use a number from 1 to {count}, or add to {where}",
                location=at,
            )
        return f"{base}({int(index)})"

    def variance_element(self, base: str, index: str, at: Location) -> str:
        """``SIGMA(2,1)``, the row not below the column."""
        count = self.vocabulary.counts.get({"OMEGA": "ETA", "SIGMA": "EPS"}[base], 0)
        numbers = [int(n) if n.isdigit() else 0 for n in index.split(",")]
        if len(numbers) == 1:  # SIGMA(1) is the variance of EPS(1)
            numbers *= 2
        if len(numbers) != 2 or not all(1 <= n <= count for n in numbers):
            raise SemanticError(
                f"{base}({index}) does not exist: ${base} has {count} rows",
                hint=f"write row and column: {base}(1,1) is the variance of the first effect",
                location=at,
            )
        return f"{base}({max(numbers)},{min(numbers)})"

    def check_section(self, base: str, name: str, at: Location) -> None:
        section = self.vocabulary.section
        places = {
            "THETA": ("PK", "DES", "ERROR", "PRED"),
            "ETA": ("PK", "DES", "ERROR", "PRED"),
            "EPS": ("ERROR", "PRED"),
            "A": ("DES", "ERROR"),
            "DADT": ("DES",),
            "A_0": ("PK",),
        }
        if base not in places:  # what REPLACE makes of a name
            raise SemanticError(
                f"{name} is no element of the model",
                hint="write THETA(n), ETA(n), EPS(n), A(n) or a variable; check $ABBREVIATED REPLACE",
                location=at,
            )
        allowed = places[base]
        if section in allowed:
            return
        if (base, section) == ("A", "PK"):
            raise UnsupportedError(
                f"{name} in $PK (the state at the previous event) is not supported",
                hint="compute what depends on the state in $DES or $ERROR",
                location=at,
            )
        hint = {
            "EPS": "residual error belongs to $ERROR",
        }.get(base, f"{base}(n) belongs to ${' or $'.join(allowed)}")
        raise SemanticError(f"{name} cannot be used in ${section}", hint=hint, location=at)

    def at(self, token: Token) -> Location:
        return self.vocabulary.source.location(token.start_pos, len(str(token)))


def check_no_statement(statements: tuple[Statement, ...], section: str, at: Location) -> None:
    """An empty code record is an error."""
    if not statements:
        raise ModelSyntaxError(f"${section} has no statement", hint="add its code", location=at)
