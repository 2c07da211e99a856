"""All options of a fit, each with the source of its default."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from nlmevae.data.events import EventTable
from nlmevae.decoder.device import CPU, device_name, require_device
from nlmevae.errors import SettingsError
from nlmevae.results.likelihood_names import METHODS, LikelihoodMethod
from nlmevae.threads import usable_cores

Method = Literal["vae", "vae+polish"]
Solver = Literal["auto", "native", "highs", "scip", "gurobi"]
Audit = Literal["", "auto", "highs", "scip", "gurobi"]
DEFAULT_CRITERION: dict[str, str] = {"vae": "bicc", "vae+polish": "mbic"}
Covariance = Literal["auto", "none", "observed", "cross-product", "sandwich"]
#: From here on threads are worth their cost.
MANY_OBSERVATIONS = 5000
Backend = Literal["auto", "formula", "closed_form", "compiled", "torchode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """None means: by the method's schedule (`schedule.py`: published for "vae", short for "vae+polish").

    Attributes:
        method: "vae" is the published algorithm (Rohleff et al. 2025, section 2.2), whose objective is the
            ELBO; "vae+polish" uses a short VAE as the global starter and ends at the maximum of the exact
            likelihood (Monte-Carlo EM on importance-sampling draws).
        seed: same seed, same numbers, on the same machine.
        backend: decoder; "auto" takes an exact one where the model has one.
        device: where torchode integrates: "cpu", "cuda", "cuda:1". With a GPU "auto" is torchode (decision 0024).
        threads: that share the subjects; None: all cores that may be used where there are many observations, else
            one. Their number changes no digit.
        rtol: relative tolerance of ODE solutions; None: the decoder's default, or the model's if tighter, and 1e-6 for
            importance draws.

        hidden: size of the LSTM's hidden state.
        sd0: initial standard deviation of the encoder's posterior, on the scale of z.
        burn_in_iterations, training_iterations: iterations of `steps` Adam steps and one M step.
        steps: Adam steps per iteration (authors' code: 5).
        burn_in_lr, training_lr: Adam learning rates.
        kl_ramp: training iterations over which the weight of the KL term grows to 1 (KL annealing,
            section 2.2.4).
        smoothing: last iterations whose statistics are averaged with weights 1/k, as in SAEM.

        n_draws: importance-sampling draws per subject and polish iteration. Measured: the loss in -2LL
            against many more draws is at most .04 at 256, .17 at 64 on sparse data.
        pool: batches of draws used together near the optimum, fewer if they are large (measured: lowers the
            Monte-Carlo floor of the gain below `gain_tolerance` on every case tried).
        gain_tolerance: when -2LL improves by less than this, test convergence; the fit has converged when a
            Newton step on a larger batch of fresh draws promises less than this, or no more than its noise.
        max_outer: most polish iterations (measured: 3 to 20 are used).
        its_iterations: guarded Laplace-EM iterations before the polish (measured).
        n_alternatives: scattered typical values that get a few iterations of their own, against second optima
            such as exchanged absorption and elimination (measured: two find the theophylline optimum from
            a control stream that has them exchanged).
        n_starts: prior draws per subject that start the search for conditional modes (measured: without
            them subjects with two modes stop the search far from the optimum).
        final_draws: draws per subject for the reported likelihood (Monte-Carlo error of -2LL about .04
            to .45 on the reference cases). None: 4096, fewer for more than 244 subjects (1e6 in all, 1024 at least).
        likelihoods: methods of -2LL besides importance sampling (is), linearisation (lin) and focei: some of
            gauss-hermite, laplace, foce, fo. Text may separate them by commas.
        samples: draws of each subject's posterior to report, resampled from the final draws.
        save_encoder: train the encoder at the final population, for new subjects (10 to 15 s for small data).
        covariance: of the estimates: inverse observed information, inverse cross-product of the scores, their
            sandwich, or none; "auto": what $COVARIANCE asks for (the sandwich where it has no MATRIX), else observed
            (decision 0016).
    """

    method: Method = "vae+polish"
    seed: int = 1
    backend: Backend = "auto"
    device: str = CPU
    threads: int | None = None
    rtol: float | None = None

    hidden: int | None = None
    sd0: float | None = None
    burn_in_iterations: int | None = None
    training_iterations: int | None = None
    steps: int = 5
    burn_in_lr: float | None = None
    training_lr: float | None = None
    kl_ramp: int | None = None
    smoothing: int | None = None

    n_draws: int = 256
    pool: int = 8
    gain_tolerance: float = 0.05
    max_outer: int = 40
    its_iterations: int = 6
    n_alternatives: int = 2
    n_starts: int = 32
    final_draws: int | None = None
    likelihoods: tuple[str, ...] = ()
    samples: int = 0
    save_encoder: bool = False
    covariance: Covariance = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "likelihoods", method_names(self.likelihoods))
        _require_choice("method", self.method, get_args(Method))
        _require_choice("backend", self.backend, get_args(Backend))
        object.__setattr__(self, "device", device_name(self.device, self.backend))
        require_device(self.device)
        _require_choice("covariance", self.covariance, get_args(Covariance))
        for name in ("hidden", "training_iterations", "steps", "threads"):
            _require_at_least(name, getattr(self, name), 1)
        for name in ("n_draws", "pool", "max_outer", "final_draws"):
            _require_at_least(name, getattr(self, name), 1)
        for name in (
            "seed",
            "burn_in_iterations",
            "kl_ramp",
            "smoothing",
            "its_iterations",
            "n_alternatives",
            "n_starts",
            "samples",
        ):
            _require_at_least(name, getattr(self, name), 0)
        for name in ("sd0", "burn_in_lr", "training_lr", "rtol", "gain_tolerance"):
            _require_positive(name, getattr(self, name))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for result files."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def one_of_several(self) -> FitSettings:
        """Of fits that run beside each other, which share the cores already: one thread, unless more are asked for."""
        return self if self.threads is not None else replace(self, threads=1)

    def on(self, table: EventTable) -> FitSettings:
        """With the number of threads for these data: as asked; by default one where sharing would gain little."""
        if self.threads is not None:
            return self
        return replace(self, threads=usable_cores() if table.n_obs_total >= MANY_OBSERVATIONS else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionSettings:
    """How a covariate search decides.

    Attributes:
        criterion: what an effect must be worth: bicc (the paper's), bic, aic, lrt:p, ebic or mbic; None: bicc for
            method "vae", else mbic (measured: docs/decisions/0012).
        penalties: effect name -> penalty on the scale of -2LL, instead of the criterion's.
        solver: of the integer programs; "auto" is the built-in exact one.
        audit: solver that solves the last program again ("auto": the best one installed), "" for none.
        resamples: of subjects, for the frequency with which each effect is chosen (0: not computed).
    """

    criterion: str | None = None
    penalties: tuple[tuple[str, float], ...] = ()
    solver: Solver = "auto"
    audit: Audit = ""
    resamples: int = 100

    def __post_init__(self) -> None:
        from nlmevae.selection.criterion import parse_criterion

        if self.criterion is not None:
            parse_criterion(self.criterion)
        _require_choice("solver", self.solver, get_args(Solver))
        _require_choice("audit", self.audit, get_args(Audit))
        _require_at_least("resamples", self.resamples, 0)
        for name, value in self.penalties:
            _require_positive(f"penalty of {name}", value)

    def criterion_for(self, method: Method) -> str:
        """The criterion, or the method's default."""
        return self.criterion or DEFAULT_CRITERION[method]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for result files."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"penalties": dict(self.penalties)}


def method_names(methods: str | Iterable[str]) -> tuple[LikelihoodMethod, ...]:
    """Methods of -2LL in the order of `METHODS`, from names in a list or in a text with commas; "all" is all.

    Raises:
        SettingsError: there is no such method.
    """
    names = methods.split(",") if isinstance(methods, str) else methods
    wanted = {str(name).strip().lower() for name in names} - {""}
    for name in sorted(wanted - {"all"}):
        _require_choice("a likelihood method", name, METHODS)
    return tuple(m for m in METHODS if m in wanted or "all" in wanted)


def _require_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}", hint=f"use one of {', '.join(allowed)}")


def _require_at_least(name: str, value: object, smallest: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
        raise SettingsError(f"{name} is {value!r}", hint=f"give a whole number, {smallest} or more")


def _require_positive(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise SettingsError(f"{name} is {value!r}", hint="give a number greater than 0")
