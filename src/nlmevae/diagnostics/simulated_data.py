"""Simulated data sets of a design: values, predictions and individual parameters, replicate by replicate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nlmevae.diagnostics.parameter_draws import ParameterDraws
from nlmevae.diagnostics.replicates import Steps, replicates
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem
from nlmevae.ir import Transform
from nlmevae.results.simulated_data import SimulatedData


def simulated_data(
    problem: Problem,
    population: Population,
    n: int,
    *,
    seed: int = 1,
    random_effects: bool = True,
    residual_error: bool = True,
    uncertainty: ParameterDraws | None = None,
    threads: int = 1,
    steps: Steps | None = None,
) -> Iterator[SimulatedData]:
    """`n` data sets. Replicate k has the same random numbers whatever else is asked for.

    Args:
        random_effects: False: every subject is typical.
        residual_error: False: dv is ipred.
        uncertainty: each replicate has parameters of its own, drawn from it instead of `population`.
        threads: see `replicates`. steps: told about every data set.
    """
    options = {"seed": seed, "random_effects": random_effects, "residual_error": residual_error}
    table = problem.table
    transforms = [latent.transform for latent in problem.form.latents]
    if uncertainty is None:
        joint = problem.joint(population)
        pred = joint.predict(joint.mean)
        source = ((replicate, pred) for replicate in replicates(joint, n, threads=threads, **options))
    else:
        source = _uncertain(problem, n, uncertainty, options)
    for replicate, pred in source:
        yield SimulatedData(
            number=replicate.number + 1,
            dv=table.natural(replicate.y),
            ipred=table.natural(replicate.prediction),
            pred=table.natural(pred),
            psi=natural(transforms, replicate.z),
        )
        if steps is not None:
            steps("simulating", replicate.number + 1, n)


def _uncertain(problem: Problem, n: int, draws: ParameterDraws, options: dict) -> Iterator:
    for k in range(n):
        joint = problem.joint(draws.draw(k, seed=options["seed"]))
        yield next(replicates(joint, 1, first=k, **options)), joint.predict(joint.mean)


def natural(transforms: Sequence[Transform], z: np.ndarray) -> np.ndarray:
    """psi (N, d) of z (N, d)."""
    psi = z.copy()
    with np.errstate(over="ignore"):
        for k, transform in enumerate(transforms):
            if transform.kind == "log":
                psi[:, k] = transform.lower + np.exp(z[:, k])
            elif transform.kind == "logit":
                psi[:, k] = transform.lower + (transform.upper - transform.lower) / (1.0 + np.exp(-z[:, k]))
    return psi
