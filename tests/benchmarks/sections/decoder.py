"""A gradient step's predictions with all derivatives, by model and back end, beside torchode and scipy.

All subjects of the fixture once. torchode: forward and backward through its steps, as the
published algorithm has it. scipy: solve_ivp (LSODA)
from event to event for one prediction per subject, times one and the number of parameters, as differences need. All
integrators at a tolerance of 1e-6, the published algorithm's.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.benchmarks.measurement import Figure, beside, cpu_seconds
from tests.benchmarks.parts import RTOL, Parts, parts_of
from tests.benchmarks.populations import FIXTURES
from tests.benchmarks.scipy_predictions import ScipyPredictions

MODELS = {
    "theophylline": ("theophylline/run_wt.ctl", "closed_form"),
    "theophylline, integrated": ("theophylline/run_wt.ctl", "compiled"),
    "neonates, $DES": ("neonates/run_base.ctl", "compiled"),
    "two compartments, 12 doses": ("two_compartment_oral/run1.ctl", "closed_form"),
    "two compartments, 12 doses, integrated": ("two_compartment_oral/run1.ctl", "compiled"),
    "indirect response, $DES": ("indirect_response/run1.ctl", "compiled"),
    "target-mediated disposition, $DES": ("tmdd/run1.ctl", "compiled"),
}
QUICK = 4  # of them


def measure(scale: str) -> Iterator[Figure]:
    for name in list(MODELS)[: {"tiny": 1, "quick": QUICK, "full": len(MODELS)}[scale]]:
        stream, backend = MODELS[name]
        with parts_of(FIXTURES / stream, backend=backend, rtol=None if backend == "closed_form" else RTOL) as parts:
            x, fast = parts.inputs(), parts.problem.decoder
            own, theirs = beside(
                lambda fast=fast, x=x: fast.linearise(x), parts.torchode_step(),
                budget={"tiny": 0.1, "quick": 1.5, "full": 3.0}[scale], rounds=(1 if scale == "tiny" else 3, 15),
            )  # fmt: skip
            at = {"model": name, "back end": backend, "N": parts.table.n_subjects, **_size(parts)}
            yield Figure(
                name="gradient step",
                seconds=own,
                at=at,
                reference="torchode, forward and backward",
                reference_seconds=theirs,
            )
            yield Figure(
                name="gradient step", seconds=own, at=at, reference="scipy's solve_ivp and differences",
                reference_seconds=by_scipy(parts, x, 1 if scale == "tiny" else 4),
            )  # fmt: skip


def _size(parts: Parts) -> dict[str, float]:
    return {"observations": parts.table.n_obs_total, "parameters": len(parts.form.latents)}


def by_scipy(parts: Parts, x: np.ndarray, n_subjects: int) -> float:
    """Seconds for all subjects, from `n_subjects` of them, whose predictions are ours."""
    slow, table = ScipyPredictions(parts.form, parts.table, rtol=RTOL), parts.table
    n = min(n_subjects, table.n_subjects)
    ours = parts.problem.decoder.predict(x)
    scale = np.abs(ours.prediction).max()
    for i in range(n):
        own = ours.prediction[table.ob_ptr[i] : table.ob_ptr[i + 1]]
        # both have a tolerance of 1e-6 on amounts, whose errors add up over doses
        np.testing.assert_allclose(slow.subject(x[i], i), own, rtol=1e-3, atol=1e-4 * scale)
    one = cpu_seconds(lambda: [slow.subject(x[i], i) for i in range(n)]) / n
    return one * table.n_subjects * (1 + x.shape[1])
