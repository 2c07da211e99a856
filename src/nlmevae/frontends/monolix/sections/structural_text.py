"""[LONGITUDINAL] of a model file, or of the project where the model stands there -> `StructuralText`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nlmevae.errors import Location, ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.project import Macro, ObservationDefinition, StructuralText
from nlmevae.frontends.monolix.sections.observations import read_observations
from nlmevae.frontends.monolix.text.entries import Entries, assignments_of, key_of, names_of, unknown_key, word_of
from nlmevae.frontends.monolix.text.expression import statements_of, value_of
from nlmevae.frontends.monolix.text.functions import REFUSED
from nlmevae.frontends.monolix.text.nodes import Assignment, CallNode, Conditional, ListNode, Node, Pair, Word
from nlmevae.frontends.monolix.text.split import Block
from nlmevae.frontends.monolix.text.syntax import parse_block
from nlmevae.ir import Diagnostic, Expression, Statement, Symbol

MACROS = (
    "pkmodel", "compartment", "peripheral", "elimination", "absorption", "oral", "iv", "depot", "effect", "transfer",
    "empty", "reset",
)  # fmt: skip
SOLVER_KEYS = ("odeType",)


@dataclass(slots=True)
class LongitudinalText:
    """What the blocks of [LONGITUDINAL] state, in order. `head` are its statements before the first label that are
    neither `input` nor a regressor (`file`)."""

    inputs: list[str] = field(default_factory=list)
    regressors: list[str] = field(default_factory=list)
    macros: list[Macro] = field(default_factory=list)
    equations: list[Statement] = field(default_factory=list)
    stiff: bool | None = None
    outputs: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    observations: list[ObservationDefinition] = field(default_factory=list)
    head: list[Assignment] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    description: str = ""
    at: Location | None = None

    @property
    def states_a_model(self) -> bool:
        return bool(self.macros or self.equations or self.outputs)

    def as_structural(self, path: str, text: str) -> StructuralText:
        return StructuralText(
            path=path,
            text=text,
            inputs=tuple(self.inputs),
            regressors=tuple(self.regressors),
            macros=tuple(self.macros),
            equations=tuple(self.equations),
            stiff=self.stiff,
            outputs=tuple(self.outputs),
            tables=tuple(self.tables),
            description=self.description,
            at=self.at,
        )


def read_longitudinal(blocks: Sequence[Block]) -> LongitudinalText:
    """The blocks of one [LONGITUDINAL] section.

    Raises:
        ModelError: see the functions below; a block that the section does not have.
    """
    found = LongitudinalText()
    for block in blocks:
        if block.section in ("", "LONGITUDINAL") and found.at is None:
            found.at = block.at
        if block.label == "DESCRIPTION" or block.section == "COMMENTS":
            found.description = found.description or (block.text.strip() if block.label else "")
            continue
        if block.label == "":
            _read_head(block, found)
        elif block.label in ("PK", "EQUATION"):
            _read_equations(block, found)
        elif block.label in ("DEFINITION", "OBSERVATION"):
            found.observations += read_observations(block)
        elif block.label == "OUTPUT":
            _read_output(block, found)
        elif block.label == "INPUT":
            _read_old_input(block, found)
        else:
            raise UnsupportedError(
                f"{block.label}: is not a block of [LONGITUDINAL]",
                hint="its blocks are PK, EQUATION, DEFINITION and OUTPUT",
                location=block.at,
            )
    return found


def _read_head(block: Block, found: LongitudinalText) -> None:
    for node in assignments_of(parse_block(block), "[LONGITUDINAL]"):
        key = key_of(node, "[LONGITUDINAL]")
        if key == "input":
            names = names_of(node.value, "an input")
            twice = next((n for i, n in enumerate(names) if n in (*found.inputs, *names[:i])), None)
            if twice is not None:
                raise SemanticError(f"{twice} stands twice in input", hint="keep one of them", location=node.value.at)
            found.inputs += names
        elif isinstance(node.value, ListNode) and key != "file":
            _read_declaration(key, node, found)
        else:
            found.head.append(node)


def _read_old_input(block: Block, found: LongitudinalText) -> None:
    """INPUT: of model files before 2016: `parameter = {...}`, `regressor = {...}`."""
    for node in assignments_of(parse_block(block), "INPUT:"):
        key = key_of(node, "INPUT:")
        if key not in ("parameter", "regressor"):
            raise unknown_key(node, "INPUT:", ("parameter", "regressor"))
        names = names_of(node.value, "an input")
        found.inputs += names
        if key == "regressor":
            found.regressors += names


def _read_declaration(key: str, node: Assignment, found: LongitudinalText) -> None:
    """`R = {use=regressor}`: the only declaration of an input."""
    entries = Entries(node.value, of=f"the input {key}", known=("use", "type"))
    if "use" not in entries and "type" in entries:
        word_of(entries.values["type"], "type of input", ("regressor",))
    else:
        word_of(entries.need("use"), "use of an input", ("regressor",))
    if key in found.regressors:
        raise SemanticError(f"{key} is declared twice", hint="keep one of them", location=node.target.at)
    if key not in found.inputs:
        raise SemanticError(
            f"the regressor {key} is not in input", hint=f"write input = {{..., {key}}}", location=node.target.at
        )
    found.regressors.append(key)


def _read_equations(block: Block, found: LongitudinalText) -> None:
    """PK: and EQUATION: hold macros and equations; macros may not depend on conditions."""
    for node in parse_block(block):
        call = node.value if isinstance(node, Assignment) else node
        if isinstance(call, CallNode) and call.name.text in MACROS:
            found.macros.append(macro(call, node))
        elif isinstance(node, Assignment) and isinstance(node.target, Word) and node.target.text in SOLVER_KEYS:
            found.stiff = word_of(node.value, "odeType", ("stiff", "nonstiff")) == "stiff"
        elif isinstance(node, CallNode) and node.name.text not in REFUSED:
            raise UnsupportedError(
                f"{node.name.text} is not a known macro",
                hint="the macros are " + ", ".join(MACROS),
                location=node.name.at,
            )
        else:
            _check_bodies(node)
            found.equations += statements_of((node,))


def _check_bodies(node: Node) -> None:
    """No macro, no initial value and no derivative inside if: they hold for the whole model."""
    if not isinstance(node, Conditional):
        return
    for inner in (i for body in (*(b for _, b in node.arms), node.orelse) for i in body):
        _check_bodies(inner)
        call = inner.value if isinstance(inner, Assignment) else inner
        if isinstance(call, CallNode) and call.name.text in MACROS:
            raise UnsupportedError(
                f"{call.name.text} inside if is not supported",
                hint="compute its arguments inside if and call it once, outside",
                location=call.name.at,
            )
        if isinstance(inner, Assignment) and isinstance(inner.target, Word) and inner.target.text.startswith("ddt_"):
            raise UnsupportedError(
                f"{inner.target.text} inside if is not legal",
                hint="compute the right-hand side inside if and assign the derivative once, outside",
                location=inner.target.at,
            )


def macro(node: CallNode, statement: Node) -> Macro:
    """`Cc = pkmodel(V, Cl=Cl_i)`, `{Cc, Ce} = pkmodel(...)`, `iv(adm=1)`."""
    arguments: dict[str, Expression] = {}
    for argument in node.arguments:
        if isinstance(argument, Word):
            name, value = argument.text, Symbol(argument.text, at=argument.at)
        elif isinstance(argument, Pair) and isinstance(argument.key, Word) and not isinstance(argument.value, Pair):
            name, value = argument.key.text, value_of(argument.value)
        else:
            raise ModelSyntaxError(
                f"{argument.written} is not an argument of {node.name.text}",
                hint="write a name, or name=expression",
                location=argument.at,
            )
        if name.lower() in arguments:
            raise SemanticError(
                f"{name} is given twice to {node.name.text}", hint="keep one of them", location=argument.at
            )
        arguments[name.lower()] = value
    results: tuple[str, ...] = ()
    if isinstance(statement, Assignment):
        results = names_of(statement.target, "a result of a macro")
    return Macro(name=node.name.text, arguments=arguments, results=results, at=node.name.at)


def _read_output(block: Block, found: LongitudinalText) -> None:
    for node in assignments_of(parse_block(block), "OUTPUT:"):
        key = key_of(node, "OUTPUT:")
        if key == "output":
            found.outputs += names_of(node.value, "an output")
        elif key == "table":
            found.tables += names_of(node.value, "a column of table")
        else:
            raise unknown_key(node, "OUTPUT:", ("output", "table"))
