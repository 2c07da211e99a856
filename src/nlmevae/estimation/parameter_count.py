"""How many parameters a model estimates, split as the information criteria need it."""

from __future__ import annotations

from nlmevae.ir import Model
from nlmevae.likelihood.criteria import ParameterCount


def count_parameters(model: Model) -> ParameterCount:
    """Free parameters: a block that repeats another one (SAME) and everything FIXED count nowhere."""
    free_blocks = [b for b in model.omega if not b.fixed and b.same_as is None]
    covariances = sum(_triangle(len(b.names)) for b in free_blocks)
    with_random_effect = _thetas_with_random_effect(model)
    effects = [t.name for t in model.thetas if t.role == "covariate_effect" and not t.fixed]
    random_effects = sum(name in with_random_effect for name in effects)
    free_thetas = sum(not t.fixed for t in model.thetas)
    residual = sum(_triangle(len(b.names)) for b in model.sigma if not b.fixed and b.same_as is None)
    return ParameterCount(
        random_part=covariances + random_effects,
        fixed_part=free_thetas - random_effects + residual,
    )


def _triangle(n: int) -> int:
    return n * (n + 1) // 2


def _thetas_with_random_effect(model: Model) -> set[str]:
    """THETAs in the mean of a parameter whose ETA is not fixed at zero."""
    variance = {
        name: 0.0 if block.fixed and block.matrix[j][j] == 0.0 else 1.0
        for block in model.omega
        for j, name in enumerate(block.names)
    }
    return {theta for p in model.individual_parameters if variance.get(p.eta, 0.0) > 0.0 for theta in p.thetas}
