"""<MONOLIX>: the tasks of a project and its settings, kept as written. None of them changes the model."""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.errors import ModelSyntaxError, SemanticError, UnsupportedError
from nlmevae.frontends.monolix.project import Task
from nlmevae.frontends.monolix.sections.data_file import without_empty_values
from nlmevae.frontends.monolix.text.entries import assignments_of, key_of
from nlmevae.frontends.monolix.text.nodes import CallNode, Node, Pair, Quoted, Word
from nlmevae.frontends.monolix.text.split import Block
from nlmevae.frontends.monolix.text.syntax import parse_block


def read_tasks(blocks: Sequence[Block]) -> tuple[Task, ...]:
    """[TASKS] of <MONOLIX>."""
    tasks = []
    for block in blocks:
        if block.section != "TASKS":
            continue
        for node in parse_block(block):
            if not isinstance(node, CallNode):
                raise ModelSyntaxError(
                    f"{node.written} is not a task", hint="write task(), or task(run=false)", location=node.at
                )
            tasks.append(_task(node))
    return tuple(tasks)


def _task(node: CallNode) -> Task:
    arguments: dict[str, str] = {}
    for argument in node.arguments:
        if not (isinstance(argument, Pair) and isinstance(argument.key, Word)):
            raise ModelSyntaxError(
                f"{argument.written} is not an argument of a task", hint="write key=value", location=argument.at
            )
        key = argument.key.text.lower()
        if key in arguments:
            raise SemanticError(f"{argument.key.text} is given twice", hint="keep one", location=argument.at)
        arguments[key] = _text(argument.value)
    run = arguments.get("run", "true").lower()
    if run not in ("true", "false"):
        raise SemanticError(f"run={run} is neither true nor false", hint="write run=true", location=node.at)
    return Task(name=node.name.text, arguments=arguments, run=run == "true", at=node.name.at)


def _text(node: Node) -> str:
    return node.text if isinstance(node, Quoted) else " ".join(node.written.split())


def read_settings(blocks: Sequence[Block]) -> dict[str, str]:
    """[SETTINGS] and [PLOTS] of <MONOLIX> by lower-case key. Keys of plots have the prefix `plots.`, a key that stands
    under several labels has the label of its second place (`individual.miniterations`)."""
    settings: dict[str, str] = {}
    for block in blocks:
        if block.section not in ("SETTINGS", "PLOTS"):
            if block.section == "" and block.code.strip():
                raise UnsupportedError(
                    "text outside the sections of <MONOLIX>",
                    hint="its sections are [TASKS], [SETTINGS] and [PLOTS]",
                    location=block.location(block.start + len(block.code) - len(block.code.lstrip()), block.end),
                )
            continue
        for node in assignments_of(parse_block(block, code=without_empty_values(block.code)), f"[{block.section}]"):
            key = key_of(node, f"[{block.section}]").lower()
            prefix = "plots." if block.section == "PLOTS" else f"{block.label.lower()}." if block.label else ""
            settings[f"{prefix}{key}" if block.section == "PLOTS" or key in settings else key] = _text(node.value)
    return settings
