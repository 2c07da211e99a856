"""Residual errors as errorModel lines."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from nlmevae.errors import Location
from nlmevae.ir import ErrorCoefficient, ErrorPower, Model, ObservationModel, PopulationParameter
from nlmevae_translators.report import Entry
from nlmevae_translators.to_monolix.groups import OutcomeGroup
from nlmevae_translators.to_monolix.names import Names, is_plain
from nlmevae_translators.to_monolix.places import outcome_at
from nlmevae_translators.to_monolix.population import PopulationValue, bounds_of, rounded
from nlmevae_translators.to_monolix.refusal import RefusedError

NO_EFFECT_ON_ERROR = (
    "a random effect on the residual error has no counterpart in Monolix. Take it out of W, or add it to the prediction"
)
#: Coefficients of the residual error beyond it, or below its reciprocal, have no squares.
_LARGEST = 1e100
_KINDS = {"additive": "constant", "proportional": "proportional", "combined1": "combined1", "combined2": "combined2"}


@dataclass(slots=True)
class OutcomeSection:
    """`lines` of [LONGITUDINAL] DEFINITION:, `parameters` of <PARAMETER>, by their source."""

    model: Model
    names: Names
    lines: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    parameters: dict[tuple[str, float, str], PopulationValue] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    def add(self, group: OutcomeGroup, prediction: str, *, alone: bool) -> None:
        """One outcome.

        Raises:
            RefusedError: Monolix has no such error model.
        """
        error, place = group.observation.error, self._place()
        suffix = "" if alone else str(group.number)
        self._check(group.observation)
        before = len(self.parameters)
        letters = {"additive": "a", "proportional": "b", "combined1": "ab", "combined2": "ab"}[error.kind]
        found = [self._coefficient(c, letter + suffix) for letter in letters for c in [getattr(error, letter)] if c]
        kind = _KINDS[error.kind]
        if error.power is not None:
            found.append(self._power(error.power, "c" + suffix))
            kind += "c"
        name = f"y{suffix}"
        self.outcomes.append(name)
        arguments = ", ".join(p.name for p in found)
        self.lines.append(f"{name} = {{distribution=normal, prediction={prediction}, errorModel={kind}({arguments})}}")
        shared = len(self.parameters) - before < len(found)
        self._note(group.observation, name, f"{kind}({arguments})", place, shared=shared)

    def note_left_out(self) -> None:
        """Variances of residual errors of outcomes that the data do not have."""
        written = {name for name, _, _ in self.parameters}
        for block in self.model.sigma:
            left = [name for name in block.names if name not in written]
            if left and not block.fixed and not block.idle:
                reason = f"left out: no observation in the data has {' or '.join(left)}"
                self.entries.append(Entry(construct=", ".join(left), kind="lossy", reason=reason, source=block.at))

    def _place(self) -> Location | None:
        return outcome_at(self.model)

    def _check(self, observation: ObservationModel) -> None:
        error, at = observation.error, self._place()
        if error.effect is not None:
            raise RefusedError(error.effect.eta, NO_EFFECT_ON_ERROR, at)
        if error.correlation is not None:
            names = " and ".join(error.correlation.names)
            raise RefusedError(
                f"correlation of {names}",
                "residual errors of one record are independent in Monolix. Write $SIGMA without the covariance",
                at,
            )
        if observation.floor is not None or any(c.floor is not None for c in observation.censoring):
            raise RefusedError(
                "Y",
                "a likelihood conditional on values above a limit has no counterpart in Monolix. Leave out YLO, or the "
                "PHI that divides",
                at,
            )
        if observation.scale == "logit":
            raise RefusedError(
                "Y",
                "an outcome on the logit scale is not converted. Transform the data and the prediction, and add EPS",
                at,
            )

    def _coefficient(self, c: ErrorCoefficient, wanted: str) -> PopulationValue:
        key = c.parameter, abs(c.scale), "sd"
        if key not in self.parameters:
            made = self._new(c.parameter, abs(c.scale), c.fixed, wanted, kind=c.kind)
            if made.value and not 1.0 / _LARGEST < made.value < _LARGEST:
                reason = (
                    f"its coefficient in the standard deviation would be {made.value:g}, whose square is no number to "
                    "compute with. Correct the factors in Y"
                )
                raise RefusedError(c.parameter, reason, self._place())
            self.parameters[key] = made
        return self.parameters[key]

    def _power(self, p: ErrorPower, wanted: str) -> PopulationValue:
        key = p.parameter or "", p.scale, "power"
        if key not in self.parameters:
            if p.parameter is None:
                self.parameters[key] = PopulationValue(self.names.fresh(wanted), p.scale, True)
            else:
                self.parameters[key] = self._new(p.parameter, p.scale, p.fixed, wanted, kind="theta")
        return self.parameters[key]

    def _new(self, parameter: str, scale: float, fixed: bool, wanted: str, *, kind: str) -> PopulationValue:
        if any(name == parameter for name, _, _ in self.parameters):
            raise RefusedError(
                parameter, "it is used by two residual errors with different factors. Give each a THETA", self._place()
            )
        if kind == "sigma":
            for block in self.model.sigma:
                if parameter in block.names:
                    k = block.names.index(parameter)
                    return PopulationValue(
                        self.names.fresh(wanted), rounded(scale * math.sqrt(block.matrix[k][k])), fixed
                    )
        theta = next(t for t in self.model.thetas if t.name == parameter)
        if theta.init == 0.0:
            reason = "this part of the error starts at 0, which Monolix cannot. Start it above, or leave it out of W"
            raise RefusedError(theta.label, reason, theta.at)
        own = self.names.fresh(theta.label if is_plain(theta.label) and scale == 1.0 else wanted)
        self._note_bounds(theta, own)
        return PopulationValue(own, scale * abs(theta.init), fixed)

    def _note_bounds(self, theta: PopulationParameter, own: str) -> None:
        """a and b of Monolix are positive; a power that is bounded from 0 is not told from one that is free."""
        lower, upper = bounds_of(theta)
        if theta.fixed or (math.isinf(upper) and lower <= 0.0):
            return
        reason = f"the bounds ({theta.lower:g}, {theta.upper:g}) of {own} are not stated: Monolix has none for it"
        self.entries.append(Entry(construct=theta.name, kind="lossy", reason=reason, source=theta.at))

    def _note(
        self, observation: ObservationModel, name: str, text: str, place: Location | None, *, shared: bool
    ) -> None:
        error, kind = observation.error, "rule"
        reason = f"{text}; standard deviations instead of variances"
        if observation.scale == "log":
            reason += "; the logarithm of the prediction is the prediction, the data stay logarithms"
        if error.written_as == "exponential":
            reason += "; EXP(EPS) is linear in EPS under FO and FOCE, which is the proportional error"
        if error.power is not None and any(
            t.name == error.power.parameter and t.lower == 0.0 for t in self.model.thetas
        ):
            reason += "; the lower bound 0 of the power is not stated"
        if shared:
            kind = "lossy"
            reason += "; it shares a parameter with another outcome, and it is not certain that Monolix allows that"
        if error.at_zero is not None:
            kind = "lossy"
            reason += f"; at a prediction of 0 the code has {error.at_zero:g} for W, Monolix has its own rule"
        self.entries.append(Entry(construct="residual error", kind=kind, reason=reason, source=place, target=name))
