"""One fit of a study of many, as far as its tables need it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from nlmevae.results.fit_result import Estimate, FitResult
from nlmevae.results.status import FitStatus
from nlmevae.results.uncertainty_result import UncertaintyResult

#: Status of a fit that was refused (its message says why), and of one that met a defect of ours.
REFUSED, DEFECT = "REFUSED", "DEFECT"
#: Status of a fit whose data say nothing about some parameter that the model estimates.
UNINFORMED = "UNINFORMED"

_COMPLETED = {status.name for status in FitStatus if status.completed}
_USABLE = {FitStatus.CONVERGED.name, FitStatus.MONTE_CARLO_LIMITED.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRecord:
    """Fit `number` of model `model` (0: the one that is studied) of a study.

    Attributes:
        name: what was fitted, for the user.
        status: name of a `FitStatus`, or one of this module's.
        message: a sentence about how it ended.
        minus_two_ll, mc_se: by importance sampling, with the constant, and its Monte-Carlo error.
        n_subjects, n_known: of its data: subjects and observations with a known value.
        values: (P,) final estimates, in the order of the study's parameters; empty if there are none.
        standard_errors: (P,) NaN where unknown; empty if none were asked for.
        at_bound: names of the parameters at a bound.
        chosen: names of the covariate effects in the model, where they are searched.
        labels: (P,) of the parameters, where every fit is of another model.
        inputs: digest of what was fitted, where it can change between runs of a study.
        seconds: that it took.
    """

    number: int
    model: int = 0
    name: str = ""
    status: str
    message: str = ""
    minus_two_ll: float = math.nan
    mc_se: float = math.nan
    n_subjects: int = 0
    n_known: int = 0
    values: tuple[float, ...] = ()
    standard_errors: tuple[float, ...] = ()
    at_bound: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    inputs: str = ""
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """Its estimates are the maximum of the likelihood, as far as random draws can tell."""
        return self.status in _USABLE and bool(self.values) and all(map(math.isfinite, self.values))

    @property
    def completed(self) -> bool:
        """It ended as it was to end: estimates may be used as final, or nothing was to be estimated."""
        return self.status in _COMPLETED

    @property
    def ofv(self) -> float:
        """-2LL on the scale of NONMEM's OBJ."""
        return self.minus_two_ll - self.n_known * math.log(2.0 * math.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyParameter:
    """A parameter of the tables of a study: `name` as THETA(1); `label` what the user calls it; `value` in the model
    the study starts from; `estimated`: not fixed. `scale`: a variance or covariance is shown as it is (""), as a
    standard deviation or as a correlation, and so are its values and standard errors everywhere."""

    name: str
    label: str
    value: float
    estimated: bool
    standard_error: float = math.nan
    scale: Literal["", "sd", "correlation"] = ""


def study_parameters(
    estimates: tuple[Estimate, ...], known: UncertaintyResult | None = None, *, monolix: bool = False
) -> tuple[StudyParameter, ...]:
    """All parameters but the zeros between blocks; labels that two of them have are replaced by their names.

    Args:
        known: standard errors.
        monolix: of a Monolix project its own parameters: standard deviations and correlations by their names, no SIGMA.
    """
    shown = [e for e in estimates if not (e.fixed and e.row != e.column and e.kind != "theta" and e.value == 0.0)]
    if monolix:
        shown = [e for e in shown if e.kind == "theta" or (e.kind == "omega" and e.label)]
    labels = [e.label or e.name for e in shown]
    parameters = tuple(
        StudyParameter(
            name=e.name,
            label=label if labels.count(label) == 1 else e.name,
            value=e.value,
            estimated=not e.fixed,
            scale="" if not monolix or e.kind == "theta" else "sd" if e.row == e.column else "correlation",
        )
        for e, label in zip(shown, labels, strict=True)
    )
    values, errors = values_of(parameters, estimates), errors_of(parameters, known) or (math.nan,) * len(parameters)
    return tuple(
        replace(p, value=value, standard_error=error)
        for p, value, error in zip(parameters, values, errors, strict=True)
    )


def values_of(parameters: tuple[StudyParameter, ...], estimates: tuple[Estimate, ...]) -> tuple[float, ...]:
    """The estimates in the order and on the scales of the parameters."""
    known = {e.name: e.value for e in estimates}
    return tuple(_on_scale(p, known) for p in parameters)


def _on_scale(parameter: StudyParameter, known: dict[str, float]) -> float:
    value = known[parameter.name]
    if parameter.scale == "sd":
        return math.sqrt(max(value, 0.0))
    if parameter.scale == "correlation":
        row, column = parameter.name[len("OMEGA(") : -1].split(",")
        size = known[f"OMEGA({row},{row})"] * known[f"OMEGA({column},{column})"]
        return value / math.sqrt(size) if size > 0.0 else math.nan
    return value


def errors_of(parameters: tuple[StudyParameter, ...], known: UncertaintyResult | None) -> tuple[float, ...]:
    """Standard errors in the order and on the scales of the parameters, NaN where there is none; empty without any."""
    if known is None or known.method == "none":
        return ()
    plain = dict(zip(known.names, known.standard_errors.tolist(), strict=True))
    scaled = dict(zip(known.names, known.sd_standard_errors.tolist(), strict=True))
    errors = [(scaled if p.scale else plain)[p.name] for p in parameters]
    return tuple(error if error > 0.0 else math.nan for error in errors)


def record_of_result(
    number: int, result: FitResult, parameters: tuple[StudyParameter, ...], *, model: int = 0, name: str = ""
) -> FitRecord:
    """Of a whole fit."""
    value = result.likelihood("is")
    return FitRecord(
        number=number,
        model=model,
        name=name or result.name,
        status=result.status.name,
        message=result.message,
        minus_two_ll=result.minus_two_ll,
        mc_se=math.nan if value is None else value.mc_se,
        n_subjects=result.n_subjects,
        n_known=result.n_known,
        values=values_of(parameters, result.estimates),
        standard_errors=errors_of(parameters, result.uncertainty),
        at_bound=tuple(e.name for e in result.estimates if e.at_bound),
        seconds=sum(result.seconds.values()),
    )


def parameters_of_result(result: FitResult) -> tuple[StudyParameter, ...]:
    """With standard errors, as the user of the model's language knows them."""
    return study_parameters(result.estimates, result.uncertainty, monolix=result.source_format == "monolix")
