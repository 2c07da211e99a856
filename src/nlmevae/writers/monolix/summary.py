"""`summary.txt`: the run as people read it, in the layout of Monolix, and what made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from nlmevae.results.fit_result import FitResult
from nlmevae.results.monolix_content import IndividualValues, MonolixContent
from nlmevae.results.natural_parameter import NaturalParameter, standard_errors
from nlmevae.results.uncertainty_result import UncertaintyResult
from nlmevae.writers.monolix.cells import number
from nlmevae.writers.monolix.fisher_information import correlation_matrix, estimated
from nlmevae.writers.monolix.population_parameters import SUFFIX, relative_error

WIDTH = 80

#: What a reader must know before using a number as Monolix's.
NOTES = (
    "nlmevae estimated this model. Monolix was not run.",
    "Files have the layout of Monolix 2023R1. What differs in meaning:",
    "* _SAEM columns repeat _mean: both estimate the conditional mean.",
    "* se_sa: inverse of the {covariance} of the exact likelihood, by Monte Carlo.",
    "* shrinkage is 1 - var/omega^2, in percent.",
    "* the convergence indicator is -2 ELBO in phase 1, -2 log-likelihood in phase 2.",
)
COVARIANCES = {
    "observed": "observed information",
    "cross-product": "cross-product of the scores",
    "sandwich": "information, with the scores between (sandwich),",
}


def summary_text(fit: FitResult, content: MonolixContent, *, date: str, likelihood: str = "is") -> str:
    """`date` as it is to be printed; `likelihood`: the method of the -2LL in it."""
    lines = [
        *_box(fit, date),
        "",
        *_notes(fit),
        "",
        *_population(fit, content.parameters),
        *_individuals(content.individuals),
        *_information(content.parameters, fit.uncertainty),
        *_likelihood(fit, likelihood),
        *_data(fit, content),
    ]
    return "\n".join(lines) + "\n"


def _box(fit: FitResult, date: str) -> Iterator[str]:
    yield "*" * WIDTH
    title = Path(fit.source_path or fit.name).name
    yield f"*{title[: WIDTH - 4].center(WIDTH - 2)}*"
    version = fit.versions.get("nlmevae", "")
    for line in (date, f"nlmevae version : {version}"):
        yield f"*{' ' * 21}{line}".ljust(WIDTH - 1) + "*"
    yield "*" * WIDTH


def _notes(fit: FitResult) -> Iterator[str]:
    known = fit.uncertainty
    method = "" if known is None else COVARIANCES.get(known.method, "")
    for note in NOTES:
        if "{covariance}" not in note or method:
            yield note.format(covariance=method)
    yield f"* {fit.status.sentence}"


def _title(text: str) -> str:
    return f"{text} ".ljust(WIDTH, "_")


def _population(fit: FitResult, parameters: Sequence[NaturalParameter]) -> Iterator[str]:
    yield _title("ESTIMATION OF THE POPULATION PARAMETERS")
    errors = standard_errors(parameters, fit.uncertainty)
    has_errors = fit.uncertainty is not None and fit.uncertainty.method != "none"
    width = max((len(p.name) for p in parameters), default=0)
    groups = (
        ("Fixed Effects", ("fixed effect",)),
        ("Standard Deviation of the Random Effects", ("omega",)),
        ("Correlations", ("correlation",)),
        ("Error Model Parameters", ("error",)),
    )
    for k, (title, kinds) in enumerate(groups):
        rows = [(p, float(e)) for p, e in zip(parameters, errors, strict=True) if p.kind in kinds]
        if not rows:
            continue
        yield ""
        yield f"{title} ".ljust(42, "-") + (f"{'se_' + SUFFIX:>10}    rse(%)" if has_errors and not k else "")
        for p, error in rows:
            more = f"{_three(error)}{_three(relative_error(p.value, error))}" if has_errors and not p.fixed else ""
            value = f"{p.value:.3g}".rjust(max(10, 41 - width - 3))
            yield f"{p.name.ljust(width)} : {value}{more or ('  (fixed)' if p.fixed else '')}"
    yield ""
    for name, seconds in fit.seconds.items():
        if name == "total":
            yield f"Elapsed time (seconds): {seconds:8.2g}"
    for phase, label in (("1", "Exploratory"), ("2", "Smoothing")):
        count = sum((row.phase == "polish") == (phase == "2") for row in fit.trace)
        yield f"{label} phase iterations: {count:8d}"
    yield ""


def _three(value: float) -> str:
    return number(value, 3).rjust(10)


def _individuals(values: IndividualValues) -> Iterator[str]:
    yield _title("ESTIMATION OF THE INDIVIDUAL PARAMETERS")
    width = max((len(n) for n in values.names), default=0)
    for name, block in (("Distribution", values.mean), ("Mode", values.mode)):
        yield ""
        yield f"Estimation of the individual parameters by Conditional {name} ".ljust(WIDTH, "-")
        yield " " * (width + 2) + "".join(t.rjust(10) for t in ("min", "Q1", "median", "Q3", "max"))
        for k, parameter in enumerate(values.names):
            five = np.quantile(block[:, k], [0.0, 0.25, 0.5, 0.75, 1.0], method="hazen")
            yield f"{parameter.ljust(width)} :" + "".join(_three(v) for v in five)
    yield ""


def _information(parameters: Sequence[NaturalParameter], known: UncertaintyResult | None) -> Iterator[str]:
    if known is None or known.method == "none":
        return
    yield _title("ESTIMATION OF THE FISHER INFORMATION MATRIX")
    yield ""
    yield "Correlation Matrix :"
    shown, matrix = estimated(parameters), correlation_matrix(parameters, known)
    width = max((len(p.name) for p in shown), default=0)
    for k, p in enumerate(shown):
        yield p.name.rjust(width) + "".join(f" {number(v, 5):>11}" for v in matrix[k, : k + 1])
    usable = np.isfinite(matrix).all(axis=1)
    values = np.linalg.eigvalsh(matrix[np.ix_(usable, usable)]) if usable.any() else np.zeros(0)
    if len(values):
        yield ""
        yield " " * 31 + "".join(t.rjust(10) for t in ("min", "max", "max/min"))
        shown_values = (values[0], values[-1], values[-1] / values[0])
        yield "Eigen values           :" + " " * 7 + "".join(f"{v:10.2g}" for v in shown_values)
    yield ""


def _likelihood(fit: FitResult, method: str) -> Iterator[str]:
    value = fit.likelihood(method)
    if value is None:
        return
    yield _title("ESTIMATION OF THE LOG-LIKELIHOOD")
    yield ""
    yield f"({method})".rjust(64)
    rows = (
        ("-2 x log-likelihood", "OFV", value.minus_two_ll),
        ("Akaike Information Criteria", "AIC", value.aic),
        ("Corrected Bayesian Information Criteria", "BICc", value.bicc),
        ("Bayesian Information Criteria", "BIC", value.bic),
    )
    for text, short, v in rows:
        yield f"{text.ljust(40)}{f'({short})'.rjust(7)} : {v:14.2f}"
    if method == "is":
        yield ""
        yield f"[Importance Sampling] Standard error        : {value.mc_se:.3f}"
    yield ""


def _data(fit: FitResult, content: MonolixContent) -> Iterator[str]:
    yield "DATASET INFORMATION"
    yield f"Number of individuals: {fit.n_subjects}"
    for endpoint in content.endpoints:
        yield f"Number of observations ({endpoint.name}): {len(endpoint.observed)}"
    yield f"Number of doses: {content.n_doses}"
