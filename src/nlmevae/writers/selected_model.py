"""The selected model as text, in the language of the model it comes from. What writes projects is imported where there
is one: it takes a tenth of a second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from nlmevae.errors import NlmevaeError
from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.ir import Candidate, Model
from nlmevae.results.fit_result import FitResult
from nlmevae.results.model_at import model_at
from nlmevae.results.parameter_values import ParameterValues
from nlmevae.writers import selected_control_stream
from nlmevae.writers.selected_control_stream import SelectedEffect, SelectedText
from nlmevae.writers.stream_estimates import stream_at

__all__ = ["SelectedEffect", "check_can_be_written", "read_selected", "selected_text", "text_at_fit"]


def selected_text(model: Model, effects: Sequence[SelectedEffect], *, path: Path) -> SelectedText:
    """The text of the file `path`.

    Raises:
        SemanticError, UnsupportedError: an effect cannot be written.
    """
    if model.source.format == "monolix":
        from nlmevae.writers.selected_project import selected_project

        return selected_project(model, effects, folder=path.parent, name=path.name)
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
        from nlmevae.writers.selected_project import check_project_can_be_written

        check_project_can_be_written(model, candidates)
    else:
        selected_control_stream.check_can_be_written(model, candidates)


def text_at_fit(text: str, model: Model, fit: FitResult) -> tuple[str, FitResult]:
    """The text of a selected model with all estimates as initial values. Where they cannot be written it stays, and a
    warning says why: hours of fitting are not lost over it."""
    try:
        values = ParameterValues.of(((e.name, e.value) for e in fit.estimates), source="the fit")
        target = model_at(model, values)
        if model.source.format == "monolix":
            from nlmevae.writers.project_estimates import project_at

            text, notes = project_at(text, model.source.path, target), ()
        else:
            text, notes = stream_at(text, model.source.path, target)
    except NlmevaeError as error:
        notes = (f"the selected model starts at its old initial values: {error.message}",)
    return text, replace(fit, warnings=(*fit.warnings, *notes))
