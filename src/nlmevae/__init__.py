"""nlmevae: nonlinear mixed-effects estimation with a variational autoencoder, for NONMEM control streams.

    import nlmevae

    result = nlmevae.fit("run1.ctl")            # a FitResult; writes nothing
    result = nlmevae.fit("run1.ctl", out="run1")   # also run1/run1.ext, .phi, .results.json
    found = nlmevae.select("run1.ctl", covariates=["WT", "SEX"])   # a SelectionResult

Names are loaded when they are first used, so ``import nlmevae`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlmevae.errors import (
        DataError,
        MissingDependencyError,
        ModelError,
        ModelSyntaxError,
        NlmevaeError,
        OutputError,
        SemanticError,
        SettingsError,
        UnsupportedError,
    )
    from nlmevae.estimation.settings import FitSettings, SelectionSettings
    from nlmevae.model_summary import ModelSummary
    from nlmevae.pipeline import check, fit, profile, read_model, select
    from nlmevae.results.fit_result import FitResult
    from nlmevae.results.profile_result import ProfileResult
    from nlmevae.results.selection_result import SelectionResult
    from nlmevae.results.status import FitStatus
    from nlmevae.writers.results_json import read_results_json as read_results
    from nlmevae.writers.selection_json import read_selection_json as read_selection

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "FitResult",
    "FitSettings",
    "FitStatus",
    "MissingDependencyError",
    "ModelError",
    "ModelSummary",
    "ModelSyntaxError",
    "NlmevaeError",
    "OutputError",
    "ProfileResult",
    "SelectionResult",
    "SelectionSettings",
    "SemanticError",
    "SettingsError",
    "UnsupportedError",
    "__version__",
    "check",
    "fit",
    "profile",
    "read_model",
    "read_results",
    "read_selection",
    "select",
]

#: Public name -> (module, name there).
_HOME = {
    "FitResult": ("nlmevae.results.fit_result", "FitResult"),
    "FitSettings": ("nlmevae.estimation.settings", "FitSettings"),
    "FitStatus": ("nlmevae.results.status", "FitStatus"),
    "ModelSummary": ("nlmevae.model_summary", "ModelSummary"),
    "ProfileResult": ("nlmevae.results.profile_result", "ProfileResult"),
    "SelectionResult": ("nlmevae.results.selection_result", "SelectionResult"),
    "SelectionSettings": ("nlmevae.estimation.settings", "SelectionSettings"),
    "check": ("nlmevae.pipeline", "check"),
    "fit": ("nlmevae.pipeline", "fit"),
    "profile": ("nlmevae.pipeline", "profile"),
    "read_model": ("nlmevae.pipeline", "read_model"),
    "read_results": ("nlmevae.writers.results_json", "read_results_json"),
    "read_selection": ("nlmevae.writers.selection_json", "read_selection_json"),
    "select": ("nlmevae.pipeline", "select"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nlmevae' has no attribute {name!r}")
    module, attribute = _HOME.get(name, ("nlmevae.errors", name))
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
