"""The selected model as text, in the language of the model it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.ir import Candidate, Model
from nlmevae.writers import selected_control_stream, selected_project
from nlmevae.writers.project_estimates import project_at
from nlmevae.writers.selected_control_stream import SelectedEffect, SelectedText
from nlmevae.writers.stream_estimates import stream_at

__all__ = ["SelectedEffect", "check_can_be_written", "read_selected", "selected_text", "text_at"]


def selected_text(model: Model, effects: Sequence[SelectedEffect], *, path: Path) -> SelectedText:
    """The text of the file `path`.

    Raises:
        SemanticError, UnsupportedError: an effect cannot be written.
    """
    if model.source.format == "monolix":
        return selected_project.selected_project(model, effects, folder=path.parent, name=path.name)
    return selected_control_stream.selected_control_stream(model, effects, folder=path.parent)


def read_selected(model: Model, written: SelectedText, path: Path) -> Model:
    """The written text as the file `path` will be read."""
    return written.model if model.source.format == "monolix" else parse_control_stream(written.text, str(path))


def check_can_be_written(model: Model, candidates: Iterable[Candidate]) -> None:
    """That each candidate alone can be written: a search should not end in an effect that cannot.

    Raises:
        SemanticError, UnsupportedError: for the first that cannot.
    """
    if model.source.format == "monolix":
        selected_project.check_project_can_be_written(model, candidates)
    else:
        selected_control_stream.check_can_be_written(model, candidates)


def text_at(text: str, path: Path, target: Model) -> tuple[str, tuple[str, ...]]:
    """The text of the file `path` with the values of `target`, the same model at other numbers, as initial ones; and
    what the user should know about them.

    Raises:
        UnsupportedError: they cannot be written.
    """
    if target.source.format == "monolix":
        return project_at(text, str(path), target), ()
    return stream_at(text, str(path), target)
