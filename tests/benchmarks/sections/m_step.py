"""The M step by the number of candidate covariates n_c, beside enumeration and general solvers.

Five parameters, so 5 n_c candidate effects. Enumeration looks at all 2^n_c supports of every parameter; HiGHS (outer
approximation) and SCIP (a quadratic integer program) get the same program through Pyomo from scratch.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nlmevae.estimation.m_step import update_mean_and_omega
from nlmevae.selection.solve import solve
from tests.benchmarks.measurement import Figure, cpu_seconds, median_seconds
from tests.benchmarks.parts import parts_of
from tests.benchmarks.populations import Design, made_up
from tests.benchmarks.test_selection_speed import PARAMETERS, Case, chain, one_program
from tests.helpers.enumeration import enumerate_supports

MOST_ENUMERATED = 10  # candidates of a parameter
N_SUBJECTS = 189
SOLVERS = {"highs": "HiGHS through Pyomo", "scip": "SCIP through Pyomo"}
#: Candidates of a parameter that each may take: HiGHS takes minutes for 50.
MOST_SOLVED = {"tiny": {"highs": 0, "scip": 0}, "quick": {"highs": 20, "scip": 10}, "full": {"highs": 20, "scip": 50}}
PACKAGES = {"highs": "highspy", "scip": "pyscipopt"}


def measure(scale: str) -> Iterator[Figure]:
    sizes = {"tiny": (2,), "quick": (2, 5, 10, 20, 50), "full": (2, 5, 10, 20, 50, 100)}[scale]
    yield without_candidates(10 if scale == "tiny" else N_SUBJECTS)
    for n in sizes:
        case = Case(n_subjects=N_SUBJECTS, n_covariates=n, correlation=0.5, target=None, steps=10 if n < 3 else 40)
        run = chain(case)
        seconds = 1e-3 * float(np.median(run.milliseconds[1:]))
        program = one_program(*run.last, 0)
        at = {"n_c": n, "N": N_SUBJECTS}
        if n <= MOST_ENUMERATED:
            brute = PARAMETERS * cpu_seconds(lambda program=program: enumerate_supports(program))
            yield Figure(name="M step", seconds=seconds, at=at, reference="enumeration", reference_seconds=brute)
        for solver, title in SOLVERS.items():
            if not find_spec(PACKAGES[solver]) or n > MOST_SOLVED[scale][solver]:
                continue
            if n == sizes[0]:
                solve(program, solver=solver)  # imports
            again = PARAMETERS * cpu_seconds(lambda program=program, solver=solver: solve(program, solver=solver))
            yield Figure(name="M step", seconds=seconds, at=at, reference=title, reference_seconds=again)


def without_candidates(n_subjects: int) -> Figure:
    """The closed form of equation 10: means and Omega, beside a general optimiser of the same function."""
    from scipy.optimize import minimize

    with TemporaryDirectory() as folder:
        path = made_up(Design(n_subjects=n_subjects, n_random=5, n_covariates=2), Path(folder))
        with parts_of(path) as parts:
            problem = parts.problem
            joint = problem.joint(problem.initial)
            rng = np.random.default_rng(1)
            mean = joint.mean + 0.3 * rng.standard_normal(joint.mean.shape)
            cov = np.broadcast_to(0.02 * np.eye(joint.n_latents), (n_subjects, *joint.omega.shape))
            seconds = median_seconds(lambda: update_mean_and_omega(mean, cov, problem.initial, problem))
            start = problem.initial.thetas[problem.mean.indices]

            def cost(values: np.ndarray) -> float:
                """-2 log-likelihood of the complete data at these THETAs, Omega profiled out."""
                thetas = problem.initial.thetas.copy()
                thetas[problem.mean.indices] = values
                away = mean - problem.mean.mean(thetas)
                return float(n_subjects * np.log(0.02 + (away**2).mean(axis=0)).sum())

            theirs = cpu_seconds(lambda: minimize(cost, start, method="L-BFGS-B", bounds=[(1e-3, None)] * len(start)))
    return Figure(
        name="M step", seconds=seconds, at={"n_c": 0, "N": n_subjects}, reference="scipy's L-BFGS-B",
        reference_seconds=theirs,
    )  # fmt: skip
