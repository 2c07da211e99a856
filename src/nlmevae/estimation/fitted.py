"""A model at the estimates of a fit that may have been made elsewhere, checked against each other."""

from __future__ import annotations

from nlmevae.errors import DataError
from nlmevae.ir import Model
from nlmevae.results.fit_result import FitResult
from nlmevae.results.model_at import model_at
from nlmevae.results.parameter_values import ParameterValues


def fitted_model(result: FitResult, model: Model) -> Model:
    """`model` with the final estimates of `result` as its initial estimates.

    Raises:
        DataError: the fit is of another model, or ended without usable numbers.
    """
    source = f"the fit of {result.source_path or result.name}"
    if result.fingerprint != model.fingerprint:
        raise DataError(
            f"{model.source.path} has other equations than the model of {source}",
            hint="give the model file that was fitted, or fit this one; comments, initial estimates and records "
            "that do not change predictions may differ",
        )
    return model_at(model, ParameterValues.of(((e.name, e.value) for e in result.estimates), source=source))
