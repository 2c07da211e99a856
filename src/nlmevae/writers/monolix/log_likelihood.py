"""`LogLikelihood/logLikelihood.txt` and `individualLL.txt`: -2LL with the constant n log(2 pi), and criteria."""

from __future__ import annotations

import math

from nlmevae.results.fit_result import FitResult, LikelihoodValue
from nlmevae.writers.monolix.cells import table_text

#: Our method -> Monolix's name of it.
METHODS = {"is": "importanceSampling", "lin": "linearization"}


def log_likelihood_text(value: LikelihoodValue) -> str:
    """One method. The standard error is that of Monte Carlo; a deterministic method has none."""
    rows = [("OFV", value.minus_two_ll), ("AIC", value.aic), ("BIC", value.bic), ("BICc", value.bicc)]
    rows += [("standardError", value.mc_se if value.method == "is" else math.nan)]
    cells = [[name, "" if math.isnan(v) else f"{v:.6f}"] for name, v in rows]
    return table_text(["criteria", METHODS[value.method]], cells)


def individual_ll_text(fit: FitResult) -> str:
    """-2LL of every subject by importance sampling; they sum to OFV."""
    people = fit.individuals
    rows = [[label, f"{v:.6f}"] for label, v in zip(people.labels, people.minus_two_ll, strict=True)]
    return table_text(["id", METHODS["is"]], rows)
