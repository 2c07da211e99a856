"""-2LL by importance sampling, per subject and draw, beside torchode's predictions of the same draws, and by adaptive
quadrature of scipy for one subject of a model with one random effect."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nlmevae.likelihood.importance import importance_likelihood
from tests.benchmarks.measurement import Figure, beside, cpu_seconds, median_seconds
from tests.benchmarks.parts import Parts, laplace, parts_of
from tests.benchmarks.populations import FIXTURES, Design, made_up

#: Name -> control stream and back end.
MODELS = {
    "theophylline": ("theophylline/run_wt.ctl", "closed_form"),
    "theophylline, integrated": ("theophylline/run_wt.ctl", "compiled"),
    "neonates, $DES": ("neonates/run_base.ctl", "compiled"),
}
AT_ONCE = 64  # draws of all subjects at a time by torchode


def measure(scale: str) -> Iterator[Figure]:
    draws = 64 if scale == "tiny" else 1024
    for name in list(MODELS)[: {"tiny": 1, "quick": 2, "full": 3}[scale]]:
        stream, backend = MODELS[name]
        with parts_of(FIXTURES / stream, backend=backend) as parts:
            own, theirs = _per_draw(parts, draws)
            at = {"model": name, "N": parts.table.n_subjects}
        yield Figure(
            name="likelihood, per subject and draw", seconds=own, at=at, reference="torchode's prediction alone",
            reference_seconds=theirs,
        )  # fmt: skip
    yield one_effect(2 if scale == "tiny" else 20, draws)


def _likelihood(parts: Parts, draws: int):
    joint = parts.problem.joint(parts.problem.initial)
    mode, chol = laplace(joint)
    return joint, lambda: importance_likelihood(joint, mode, chol, n_draws=draws, rng=np.random.default_rng(1))


def _per_draw(parts: Parts, draws: int) -> tuple[float, float]:
    _, work = _likelihood(parts, draws)
    own, theirs = beside(work, parts.torchode_predictions(draws=AT_ONCE), rounds=(2, 9))
    return own / int(work().n_draws.sum()), theirs / (AT_ONCE * parts.table.n_subjects)


def one_effect(n_subjects: int, draws: int) -> Figure:
    """One random effect: the integral of each subject by scipy's quad."""
    from scipy.integrate import quad

    with (
        tempfile.TemporaryDirectory() as folder,
        parts_of(made_up(Design(n_subjects=n_subjects, n_random=1), Path(folder))) as parts,
    ):
        joint, work = _likelihood(parts, draws)
        sd = float(np.sqrt(joint.omega[0, 0]))

        def by_quad() -> float:
            def density(eta: float, i: int) -> float:
                z = joint.mean + eta
                return float(np.exp(joint.log_joint(z, joint.predict(z))[i] - best[i]))

            best = joint.log_joint(joint.mean, joint.predict(joint.mean))
            return sum(quad(density, -6 * sd, 6 * sd, args=(i,), limit=200)[0] for i in range(1))

        seconds = median_seconds(work, rounds=(1, 9))
        theirs = n_subjects * cpu_seconds(by_quad)
    return Figure(
        name="likelihood, one random effect", seconds=seconds, at={"model": "three compartments", "N": n_subjects},
        reference="scipy's quad, subject by subject", reference_seconds=theirs,
    )  # fmt: skip
