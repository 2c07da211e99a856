"""How many parameters a model estimates, split as the information criteria need it."""

from __future__ import annotations

from nlmevae.ir import CovarianceBlock, Model, free_elements
from nlmevae.likelihood.criteria import ParameterCount


def count_parameters(model: Model) -> ParameterCount:
    """Free parameters: a block that repeats another one (SAME) and everything FIXED count nowhere."""
    free_blocks = [b for b in model.omega if not b.fixed and b.same_as is None]
    covariances = sum(_count_free(b) for b in free_blocks)
    with_random_effect = _thetas_with_random_effect(model)
    effects = [t.name for t in model.thetas if t.role == "covariate_effect" and not t.fixed]
    random_effects = sum(name in with_random_effect for name in effects)
    free_thetas = sum(not t.fixed for t in model.thetas)
    residual = sum(_count_free(b) for b in model.sigma if not b.fixed and b.same_as is None)
    return ParameterCount(
        random_part=covariances + random_effects,
        fixed_part=free_thetas - random_effects + residual,
    )


def _count_free(block: CovarianceBlock) -> int:
    """Estimated elements of the lower triangle."""
    return sum(row[j] for i, row in enumerate(free_elements(block)) for j in range(i + 1))


def _thetas_with_random_effect(model: Model) -> set[str]:
    """THETAs in the mean of a parameter whose ETA is not fixed at zero."""
    return {theta for p in model.individual_parameters if p.eta not in model.zero_etas for theta in p.thetas}
