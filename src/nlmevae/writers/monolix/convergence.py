"""`ChartsData/Saem/CvParam.txt`: the population parameters at every iteration.

Phase 1 is the search (the VAE and what looks for the neighbourhood of the optimum), 2 the polish. The indicator is the
objective of the iteration: -2 ELBO in the VAE, then -2LL; in Monolix it is the complete log-likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlmevae.results.fit_result import FitResult, TraceRow
from nlmevae.results.natural_parameter import NaturalParameter
from nlmevae.writers.monolix.cells import number, table_text


def convergence_text(fit: FitResult, parameters: Sequence[NaturalParameter]) -> str:
    """The parameters that are one number of the iteration (all but correlations and what is fixed), by name."""
    names = _names(fit)
    shown = sorted((p for p in parameters if len(p.gradient) == 1 and not p.fixed), key=lambda p: p.name)
    rows = [
        [
            str(row.iteration + 1),
            number(row.objective),
            "2" if row.phase == "polish" else "1",
            *(number(_value(p, row, names, fit)) for p in shown),
        ]
        for row in fit.trace
    ]
    return table_text(["iteration", "convergenceIndicator", "phase", *(p.name for p in shown)], rows)


def _names(fit: FitResult) -> list[str]:
    """In the order of `TraceRow.parameters`: THETA, then the lower triangles of SIGMA and OMEGA."""
    thetas = [f"THETA({k + 1})" for k in range(len(fit.thetas))]
    for word, matrix in (("SIGMA", fit.sigma), ("OMEGA", fit.omega)):
        thetas += [f"{word}({i + 1},{j + 1})" for i in range(len(matrix)) for j in range(i + 1)]
    return thetas


def _value(parameter: NaturalParameter, row: TraceRow, names: list[str], fit: FitResult) -> float:
    """Standard deviations are roots of variances, typical values multiples of THETA or of its exponential."""
    (name, derivative) = next(iter(parameter.gradient.items()))
    own = float(row.parameters[names.index(name)])
    if not name.startswith("THETA"):
        final = parameter.value / derivative * 0.5  # of the variance: value = s sqrt(v), derivative = s / (2 sqrt(v))
        return parameter.value * float(np.sqrt(max(own, 0.0) / final)) if final > 0.0 else float("nan")
    theta = float(fit.thetas[names.index(name)])
    size = 1e-9 * max(1.0, abs(parameter.value))
    if abs(parameter.value - derivative * theta) <= size:
        return derivative * own
    if abs(parameter.value - derivative) <= size:  # exp(THETA), or a multiple of it
        return parameter.value * float(np.exp(own - theta))
    return float("nan")
