"""`predictions.txt`: one row per observation of an endpoint."""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.results.monolix_content import EndpointPredictions
from nlmevae.writers.monolix.cells import columns_text, numbers


def predictions_name(endpoints: Sequence[EndpointPredictions], endpoint: EndpointPredictions) -> str:
    """``predictions.txt`` of the only endpoint, else ``predictions_<name>.txt``."""
    return "predictions.txt" if len(endpoints) == 1 else f"predictions_{endpoint.name}.txt"


def predictions_text(labels: Sequence[str], endpoint: EndpointPredictions) -> str:
    """The _SAEM columns repeat those of the mean (individual_parameters.py says why)."""
    e = endpoint
    columns = {
        "id": [labels[i] for i in e.subject],
        "time": numbers(e.time, 15),
        e.name: numbers(e.observed, 15),
        "popPred_medianCOV": numbers(e.typical_median),
        "popPred": numbers(e.typical),
        "indivPred_SAEM": numbers(e.mean),
        "indivPred_mean": numbers(e.mean),
        "indivPred_mode": numbers(e.mode),
        "indWRes_SAEM": numbers(e.residual_mean),
        "indWRes_mean": numbers(e.residual_mean),
        "indWRes_mode": numbers(e.residual_mode),
    }
    return columns_text(columns.items())
