"""Two models are one: the same predictions and densities at the same random effects.

Both texts are read back, both data sets prepared; then predictions are computed for draws of the random effects, and
with them the log densities of values and random effects. The engine is the same for both, so nothing but the texts can
make a difference.

Densities of the values are those of both residual models at the same predictions. Each at its own would measure how
rounding grows: with a proportional error the density of a value 5 at a prediction 1e-30 has 60 digits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from nlmevae.errors import NlmevaeError
from nlmevae.ir import Model
from nlmevae.prepared_run import PreparedRun
from nlmevae_translators.report import Proof

#: Integrators are asked for so many digits: steps depend on how equations are written.
RTOL = 1e-12
DRAWS = 3
#: Relative: lines of a new occasion may be later by so much (`occasion_lines`).
_SAME_TIME = 1e-8
#: Predictions below this share of the largest of their outcome count as this large.
_SMALL = 1e-3


@dataclass(frozen=True, slots=True)
class _Side:
    """One model at its initial estimates."""

    run: PreparedRun
    labels: tuple[str, ...]
    order: np.ndarray
    joint: object
    etas: tuple[str, ...]
    times: np.ndarray


def compare(
    one: PreparedRun,
    two: PreparedRun,
    effects: Mapping[str, str],
    *,
    unused: Collection[str] = (),
    seed: int = 1,
    draws: int = DRAWS,
    times: np.ndarray | None = None,
) -> Proof:
    """Args:
    effects: ETA of the first model -> the same random effect in the second.
    unused: ETAs of the first model that nothing in the data depends on, and that the second does not have.
    times: of the first model's observations, where the second has them at other times.
    """
    sides: list[_Side] = []
    try:
        for run, at, what in ((one, times, "the model that is converted"), (two, None, "what is written")):
            try:
                sides.append(_side(run, at))
            except NlmevaeError as error:
                return Proof(largest=np.inf, compared=1, sentence=f"{what} is not executed: {error.message}")
        return _compare(*sides, effects, frozenset(unused), seed, draws)
    finally:
        for side in sides:
            side.joint.decoder.close()


def effects_by_label(model: Model, labels: Mapping[str, str]) -> dict[str, str]:
    """ETA of another model -> ETA of `model`, where `labels` has the label of its variance; effects of one variance
    are in the same order in both."""
    own: dict[str, list[str]] = {}
    for block in model.omega:
        for name, label in zip(block.names, block.labels or block.names, strict=True):
            own.setdefault(label, []).append(name)
    return {eta: own[label].pop(0) for eta, label in labels.items() if own.get(label)}


def _side(run: PreparedRun, times: np.ndarray | None = None) -> _Side:
    from nlmevae.codegen.latent_form import latent_form
    from nlmevae.decoder.make import make_decoder
    from nlmevae.estimation.problem import make_problem

    form = latent_form(run.model, run.table)
    decoder = make_decoder(form, run.table, rtol=RTOL)
    problem = make_problem(run.model, form, run.table, decoder)
    etas = tuple(latent.eta for latent in form.latents)
    times = run.table.ob_time if times is None else times
    order = np.lexsort((_values(run), _moments(run, times)))
    return _Side(run, run.table.subject_labels, order, problem.joint(problem.initial), etas, times)


def _moments(run: PreparedRun, times: np.ndarray) -> np.ndarray:
    """(n_obs,) rank of subject and time; times that count as one have one."""
    subjects = run.table.ob_subject
    order = np.lexsort((times, subjects))
    subject, time = subjects[order], times[order]
    later = (np.diff(subject) != 0) | (np.diff(time) > _SAME_TIME * np.abs(time[1:]))
    found = np.empty(len(order), dtype=int)
    found[order] = np.cumsum(np.append(True, later))[: len(order)]
    return found


def _values(run: PreparedRun) -> np.ndarray:
    """What is known of each observation: the value, or where it is censored a limit."""
    table = run.table
    if table.ob_limits is None:
        return table.ob_value
    limit = np.where(np.isfinite(table.ob_limits[:, 1]), table.ob_limits[:, 1], table.ob_limits[:, 0])
    return np.where(table.censored, limit, table.ob_value)


def _compare(
    one: _Side, two: _Side, effects: Mapping[str, str], unused: frozenset[str], seed: int, draws: int
) -> Proof:
    reason = _unlike(one, two, effects, unused)
    if reason:
        return Proof(largest=np.inf, compared=max(1, len(one.order)), points=0, sentence=reason)
    rng = np.random.default_rng(seed)
    both = _shared_subjects(one, two)
    sd = np.sqrt(np.diag(one.joint.omega))
    # correlations are stated with 15 digits, of which an almost singular matrix keeps fewer in its density
    rounding = max(1.0, 1e-8 * float(np.linalg.cond(one.joint.omega / np.outer(sd, sd))))
    worst, density = 0.0, 0.0
    for _ in range(draws):
        eta = rng.standard_normal((len(one.labels), len(one.etas))) * np.minimum(sd, 0.5)
        columns = [one.etas.index(next(e for e, other in effects.items() if other == name)) for name in two.etas]
        z, w = one.joint.mean + eta, two.joint.mean + eta[np.ix_(both, columns)]
        f = one.joint.predict(z)[one.order]
        worst = max(worst, _difference(f, two.joint.predict(w)[two.order], _floor(one, f)))
        for at in (f, np.where(_values(one.run) != 0.0, _values(one.run), np.nan)[one.order]):
            p, q = _terms(one, z, at), _terms(two, w, at)
            apart = (at == 0.0) & (np.isfinite(p) != np.isfinite(q))
            reason = _where_zero(one, apart) if apart.any() else reason
            density = max(density, _difference(p[~apart], q[~apart], 1.0))
        density = max(density, _difference(_priors(one, z, unused)[both], _priors(two, w), 1.0) / rounding)
    made = Proof(largest=worst, density=density, compared=len(one.order) * draws, points=draws, sentence="computed")
    return replace(made, density=np.inf, sentence=reason) if reason and made.holds else made


def _floor(side: _Side, prediction: np.ndarray) -> np.ndarray:
    """(M,) what predictions in `side.order` count as at least: a share of the largest of their outcome."""
    outcome = side.joint.observed.endpoint[side.order]
    largest = np.zeros(int(outcome.max(initial=0)) + 1)
    np.fmax.at(largest, outcome, np.where(np.isfinite(prediction), np.abs(prediction), 0.0))
    return _SMALL * largest[outcome]


def _terms(side: _Side, z: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """(M,) log densities of the values at predictions, both in `side.order`."""
    joint = side.joint
    own = np.empty_like(prediction)
    own[side.order] = prediction
    multiplier = joint.multiplier(z) if joint.residual.has_effects else None
    return joint.residual.log_density(own, joint.observed, joint.coefficients, multiplier)[side.order]


def _where_zero(side: _Side, apart: np.ndarray) -> str:
    """What to do about values that have a density in one language alone, because their prediction is 0."""
    line = side.run.dataset.lines[side.run.table.ob_row[side.order[np.argmax(apart)]]]
    return (
        f"0 is predicted on line {line}, where the code has a number for the standard deviation and the other language "
        "has none. Leave out such records (MDV=1 before the first dose), or give the error an additive part"
    )


def _priors(side: _Side, z: np.ndarray, without: Collection[str] = ()) -> np.ndarray:
    """(N,) log densities of the random effects but for some, with what a transformation of the values adds."""
    kept = [k for k, name in enumerate(side.etas) if name not in without]
    omega, x = np.asarray(side.joint.omega)[np.ix_(kept, kept)], (z - side.joint.mean)[:, kept]
    _, logdet = np.linalg.slogdet(2.0 * np.pi * omega)
    values = -0.5 * (logdet + np.sum(x * np.linalg.solve(omega, x.T).T, axis=1))
    return values + (0.0 if side.joint.constant is None else side.joint.constant)


def _shared_subjects(one: _Side, two: _Side) -> list[int]:
    """Subjects of the first model that the second has: all, or those with observations."""
    counts = np.diff(one.run.table.ob_ptr)
    return [k for k in range(len(one.labels)) if counts[k] > 0 or len(two.labels) == len(one.labels)]


def _unlike(one: _Side, two: _Side, effects: Mapping[str, str], unused: frozenset[str]) -> str:
    """Why the two cannot be compared number by number; "": they can."""
    n = [int(np.count_nonzero(np.diff(s.run.table.ob_ptr))) for s in (one, two)]
    if n[0] != n[1] or len(two.labels) not in (n[1], len(one.labels)):
        return f"{n[0]} subjects with observations became {n[1]}"
    if len(one.order) != len(two.order):
        return f"{len(one.order)} observations became {len(two.order)}"
    if set(effects) != set(one.etas) - unused or set(effects.values()) != set(two.etas):
        return f"random effects {', '.join(one.etas)} became {', '.join(two.etas)}"
    times = [s.times[s.order] for s in (one, two)]
    values = [_values(s.run)[s.order] for s in (one, two)]
    # the running time behind a reset is measured from the reset, and doses of a steady state may come before it
    reset = any(np.isin(s.run.dataset.evid, (3, 4)).any() for s in (one, two))
    if not reset and not np.allclose(*times, rtol=_SAME_TIME, atol=1e-12):
        return "times of observations differ"
    if not np.allclose(*values, rtol=1e-12, atol=0.0):
        return "values of observations differ"
    return ""


def _difference(a: np.ndarray, b: np.ndarray, floor: np.ndarray | float) -> float:
    """Largest difference relative to the larger of |a| and `floor`; what is not finite must be so in both."""
    bad = ~np.isfinite(a)
    if np.any(bad != ~np.isfinite(b)):
        return np.inf
    size = np.maximum(np.maximum(np.abs(a), floor), 1e-300)[~bad]
    return float(np.max(np.abs(a[~bad] - b[~bad]) / size, initial=0.0))
