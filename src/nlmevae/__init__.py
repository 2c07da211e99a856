"""nlmevae: nonlinear mixed-effects estimation with a variational autoencoder, for NONMEM control streams.

    import nlmevae

    result = nlmevae.fit("run1.ctl")            # a FitResult; writes nothing
    result = nlmevae.fit("run1.ctl", out="run1")   # also run1/run1.ext, .phi, .results.json
    new = nlmevae.predict("run1.ctl", fit=result, data="new.csv")   # a PredictionResult
    value = nlmevae.likelihoods("run1.ctl", params="run1.ext")   # -2LL at given parameters; fits nothing
    found = nlmevae.select("run1.ctl", covariates=["WT", "SEX"])   # a SelectionResult
    nlmevae.report("run1.ctl", fit=result)      # writes run1.html
    nlmevae.simulate("run1.ctl", "sim.csv", fit="run1.results.json", n=100)   # also vpc, tables, diagnose
    many = nlmevae.bootstrap("run1.ctl", samples=200)   # also sse, multistart, fit_all

Names are loaded when they are first used, so ``import nlmevae`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlmevae import report
    from nlmevae.after_fit import diagnose, simulate, tables, vpc
    from nlmevae.at_parameters import likelihoods
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
    from nlmevae.forecasting import estimate_time
    from nlmevae.model_summary import ModelSummary
    from nlmevae.monolix_results import monolix_folder
    from nlmevae.pipeline import check, fit, predict, read_model, select
    from nlmevae.profiling import profile
    from nlmevae.reporting import write_report
    from nlmevae.results.fit_result import FitResult
    from nlmevae.results.likelihood_result import LikelihoodResult
    from nlmevae.results.prediction_result import PredictionResult
    from nlmevae.results.profile_result import ProfileResult
    from nlmevae.results.selection_result import SelectionResult
    from nlmevae.results.status import FitStatus
    from nlmevae.studies.batch import fit_all
    from nlmevae.studies.bootstrap import bootstrap
    from nlmevae.studies.multistart import multistart
    from nlmevae.studies.pool import Workers
    from nlmevae.studies.sse import sse
    from nlmevae.writers.results_json import read_results_json as read_results
    from nlmevae.writers.selection_json import read_selection_json as read_selection

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "FitResult",
    "FitSettings",
    "FitStatus",
    "LikelihoodResult",
    "MissingDependencyError",
    "ModelError",
    "ModelSummary",
    "ModelSyntaxError",
    "NlmevaeError",
    "OutputError",
    "PredictionResult",
    "ProfileResult",
    "SelectionResult",
    "SelectionSettings",
    "SemanticError",
    "SettingsError",
    "UnsupportedError",
    "Workers",
    "__version__",
    "bootstrap",
    "check",
    "diagnose",
    "estimate_time",
    "fit",
    "fit_all",
    "likelihoods",
    "monolix_folder",
    "multistart",
    "predict",
    "profile",
    "read_model",
    "read_results",
    "read_selection",
    "report",
    "select",
    "simulate",
    "sse",
    "tables",
    "vpc",
    "write_report",
]

#: Public name -> (module, name there; "": the module itself).
_HOME = {
    "diagnose": ("nlmevae.after_fit", "diagnose"),
    "simulate": ("nlmevae.after_fit", "simulate"),
    "tables": ("nlmevae.after_fit", "tables"),
    "vpc": ("nlmevae.after_fit", "vpc"),
    "FitResult": ("nlmevae.results.fit_result", "FitResult"),
    "FitSettings": ("nlmevae.estimation.settings", "FitSettings"),
    "FitStatus": ("nlmevae.results.status", "FitStatus"),
    "LikelihoodResult": ("nlmevae.results.likelihood_result", "LikelihoodResult"),
    "ModelSummary": ("nlmevae.model_summary", "ModelSummary"),
    "PredictionResult": ("nlmevae.results.prediction_result", "PredictionResult"),
    "ProfileResult": ("nlmevae.results.profile_result", "ProfileResult"),
    "SelectionResult": ("nlmevae.results.selection_result", "SelectionResult"),
    "SelectionSettings": ("nlmevae.estimation.settings", "SelectionSettings"),
    "Workers": ("nlmevae.studies.pool", "Workers"),
    "bootstrap": ("nlmevae.studies.bootstrap", "bootstrap"),
    "check": ("nlmevae.pipeline", "check"),
    "estimate_time": ("nlmevae.forecasting", "estimate_time"),
    "fit": ("nlmevae.pipeline", "fit"),
    "fit_all": ("nlmevae.studies.batch", "fit_all"),
    "likelihoods": ("nlmevae.at_parameters", "likelihoods"),
    "monolix_folder": ("nlmevae.monolix_results", "monolix_folder"),
    "multistart": ("nlmevae.studies.multistart", "multistart"),
    "predict": ("nlmevae.pipeline", "predict"),
    "profile": ("nlmevae.profiling", "profile"),
    "read_model": ("nlmevae.pipeline", "read_model"),
    "read_results": ("nlmevae.writers.results_json", "read_results_json"),
    "read_selection": ("nlmevae.writers.selection_json", "read_selection_json"),
    "report": ("nlmevae.report", ""),
    "select": ("nlmevae.pipeline", "select"),
    "sse": ("nlmevae.studies.sse", "sse"),
    "write_report": ("nlmevae.reporting", "write_report"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nlmevae' has no attribute {name!r}")
    module, attribute = _HOME.get(name, ("nlmevae.errors", name))
    home = importlib.import_module(module)
    value = getattr(home, attribute) if attribute else home
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
