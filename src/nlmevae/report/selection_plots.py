"""All plots of a covariate selection, as PNG files in memory."""

from __future__ import annotations

from nlmevae.results.selection_result import SelectionResult


def draw_selection(result: SelectionResult) -> dict[str, bytes]:
    """Plot name -> PNG: ``trace`` (iterations), ``support`` (parameters by covariates), ``path`` (other penalties).

    A plot without anything to show (a run that was interrupted at once) is left out.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    from nlmevae.report.selection_path import path_figure
    from nlmevae.report.selection_trace import trace_figure
    from nlmevae.report.style import house_style, png
    from nlmevae.report.support_matrix import support_figure

    drawings = {
        "trace": (trace_figure, len(result.trace.phase) > 1),
        "support": (support_figure, bool(result.effects)),
        "path": (path_figure, any(step.support for step in result.path)),
    }
    with house_style():
        return {name: png(figure(result)) for name, (figure, worth_it) in drawings.items() if worth_it}
