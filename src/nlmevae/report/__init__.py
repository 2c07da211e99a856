"""Pictures of results and the report. Needs matplotlib and jinja2 (``pip install 'nlmevae[report]'``), loaded when the
first figure is drawn.

    nlmevae.report("run1.ctl")                           # writes run1.html (`nlmevae.reporting.write_report`)
    nlmevae.report.convergence_figure(result)            # one plot, a matplotlib Figure
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

#: Figure -> module of this package that draws it.
_FIGURES = {
    "objective_figure": "plots.convergence",
    "convergence_figure": "plots.convergence",
    "parameter_correlation_figure": "plots.parameter_correlation",
    "predictions_figure": "plots.goodness_of_fit",
    "residuals_figure": "plots.goodness_of_fit",
    "individual_fits_figure": "plots.individual_fits",
    "chosen_subjects": "plots.individual_fits",
    "vpc_figure": "plots.predictive_check",
    "censored_share_figure": "plots.predictive_check",
    "npde_figure": "plots.prediction_errors",
    "npde_tests": "plots.prediction_errors",
    "eta_distribution_figure": "plots.random_effects",
    "eta_pairs_figure": "plots.random_effects",
    "eta_precision_figure": "plots.random_effects",
    "eta_covariates_figure": "plots.eta_covariates",
    "forest_figure": "plots.forest",
    "support_figure": "support_matrix",
    "margins_figure": "margins",
    "path_figure": "selection_path",
    "trace_figure": "selection_trace",
    "COLOUR": "style",
    "GREY": "style",
}


class _Report(ModuleType):
    """The package itself writes the report when it is called: ``nlmevae.report("run1.ctl")``."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from nlmevae import write_report

        return write_report(*arguments, **options)


sys.modules[__name__].__class__ = _Report


def __getattr__(name: str) -> Any:
    if name not in _FIGURES:
        raise AttributeError(f"module 'nlmevae.report' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nlmevae.report.{_FIGURES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_FIGURES})
