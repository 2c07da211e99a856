"""`populationParameters.txt`: value, CV of log-normal standard deviations, standard error, relative one in percent.

The se of a fixed parameter is an empty cell, that of an estimated one without a number `nan`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nlmevae.results.natural_parameter import NaturalParameter, standard_errors
from nlmevae.results.uncertainty_result import UncertaintyResult
from nlmevae.writers.monolix.cells import number, table_text

#: What names our standard errors: Monolix has stochastic approximation and linearisation. Ours come from the exact
#: likelihood by Monte Carlo, as the former do.
SUFFIX = "sa"
#: Of these files, as Monolix writes them.
DIGITS = 15


def population_parameters_text(parameters: Sequence[NaturalParameter], known: UncertaintyResult | None) -> str:
    """Without a covariance of the estimates there are two columns only, as in Monolix."""
    if known is None or known.method == "none":
        return table_text(["parameter", "value"], ([p.name, number(p.value, DIGITS)] for p in parameters))
    errors = standard_errors(parameters, known)
    rows = [
        [
            p.name,
            number(p.value, DIGITS),
            "" if math.isnan(p.cv) else number(p.cv, DIGITS),
            *error_cells(p, float(error)),
        ]
        for p, error in zip(parameters, errors, strict=True)
    ]
    return table_text(["parameter", "value", "CV", f"se_{SUFFIX}", f"rse_{SUFFIX}"], rows)


def error_cells(parameter: NaturalParameter, error: float) -> list[str]:
    """Standard error and relative standard error."""
    if parameter.fixed:
        return ["", ""]
    return [number(error, DIGITS), number(relative_error(parameter.value, error), DIGITS)]


def relative_error(value: float, error: float) -> float:
    """Percent."""
    return 100.0 * error / abs(value) if value else float(np.nan)
