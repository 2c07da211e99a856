"""The structural model: compartments, how doses enter them, what is observed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nlmevae.errors import Location

ClosedForm = Literal["one", "one_absorption", "two", "two_absorption", "three", "three_absorption", "linear"]


def status_name(number: int) -> str:
    """Name programs read the status of a compartment under: 1 while it is on, 0 while it is off."""
    return f"ON({number})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compartment:
    """One compartment. `scale`, `bioavailability`, `lag`, `duration`, `rate` and `initial` name the
    program variable ($PK) that holds S_n, F_n, ALAG_n, D_n, R_n, A_0(n); None where the user set none
    (scale 1, bioavailability 1, no lag, initial amount 0).

    `initially_off`, `switchable`, `dosable`: off until a record turns it on or doses it; records may turn it on and
    off; it may receive doses."""

    name: str
    number: int
    initially_off: bool = False
    switchable: bool = True
    dosable: bool = True
    scale: str | None = None
    bioavailability: str | None = None
    lag: str | None = None
    duration: str | None = None
    rate: str | None = None
    initial: str | None = None

    @property
    def output_type(self) -> bool:
        """NONMEM help, $MODEL: one that an observation record may turn off, as the output compartment."""
        return self.initially_off and not self.dosable


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseInput:
    """A way by which doses enter a compartment: input `number` of the dose records (CMT). `bioavailability`, `lag`,
    `duration` and `rate` name program variables as in `Compartment`."""

    number: int
    compartment: int
    bioavailability: str | None = None
    lag: str | None = None
    duration: str | None = None
    rate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuralModel:
    """Compartments and solution method; no compartments = prediction by formula.

    Attributes:
        compartments: in order of their numbers; empty for $PRED.
        inputs: further inputs of doses, numbered on from the number of compartments; input n of the first so many is
            compartment n itself, see `dose_inputs`.
        closed_form: the linear model's name when it has one; its rate constants are then the program
            variables in `rate_constants`: one (K), one_absorption (KA, K), two (K, K12, K21),
            two_absorption (KA, K, K23, K32), three (K, K12, K21, K13, K31), three_absorption (KA, K, K23, K32, K24,
            K42), linear (any), all assigned by the end of `Program.pk`.
        flows: of each rate constant, the compartments it leads from and to; 0 is out of the system.
        default_dose, default_observation: compartment numbers.
        output: NONMEM's output compartment, numbered after the others, which gets the share `bioavailability` of what
            leaves the system while it is on; None where there is none. No equation is stated for it.
        stiff: the user asked for a stiff solver (ADVAN8, 13, 14, 15).
        rtol: relative tolerance 10**-TOL, None for the default.
        at: where the text chooses it ($SUBROUTINES, $PRED, the model's section).
    """

    compartments: tuple[Compartment, ...] = ()
    inputs: tuple[DoseInput, ...] = field(default=(), repr=False)  # not in the fingerprint of a model without any
    closed_form: ClosedForm | None = None
    rate_constants: tuple[str, ...] = ()
    flows: tuple[tuple[int, int], ...] = ()
    default_dose: int = 1
    default_observation: int = 1
    stiff: bool = False
    rtol: float | None = None
    solver_name: str = ""
    output: Compartment | None = None
    at: Location | None = field(default=None, compare=False, repr=False)

    @property
    def output_names(self) -> frozenset[str]:
        """Program variables that are read where the data observe the output compartment."""
        output = self.output
        return frozenset() if output is None else frozenset(n for n in (output.scale, output.bioavailability) if n)

    @property
    def dose_inputs(self) -> tuple[DoseInput, ...]:
        """All inputs in order of their numbers: the compartments', then `inputs`."""
        own = (
            DoseInput(
                number=c.number,
                compartment=c.number,
                bioavailability=c.bioavailability,
                lag=c.lag,
                duration=c.duration,
                rate=c.rate,
            )
            for c in self.compartments
        )
        return (*own, *self.inputs)

    @property
    def program_names(self) -> frozenset[str]:
        """Program variables the structure itself reads: scales, lags, initial amounts, rate constants and so on."""
        fields = [name for c in self.compartments for name in (c.scale, c.initial)]
        fields += [name for i in self.dose_inputs for name in (i.bioavailability, i.lag, i.duration, i.rate)]
        return frozenset((*(name for name in fields if name), *self.rate_constants))
