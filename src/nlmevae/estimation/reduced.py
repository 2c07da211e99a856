"""A problem without the random effects whose variances are at 0.

With OMEGA near 0 a typical value has, beside known individual parameters, an information that grows without limit, of
which the data hold a vanishing share: sampled differences of the two are noise. Without the random effect the typical
value is a THETA the prediction reads, and its information is an ordinary number.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlmevae.codegen.latent_form import latent_form
from nlmevae.estimation.population import Population
from nlmevae.estimation.problem import Problem, make_problem
from nlmevae.estimation.subset import decoder_of
from nlmevae.ir import CovarianceBlock


def without_variances(
    problem: Problem, population: Population, latents: np.ndarray
) -> tuple[Problem, Population] | None:
    """The problem and the population with the variances of some latents (d,) bool fixed at 0; the caller closes the
    new decoder. None where a block has other effects as well: half a block cannot be fixed."""
    gone = {problem.model.etas[i] for i in problem.latent_index[latents]}
    blocks = problem.model.omega
    groups = {i if b.same_as is None else b.same_as for i, b in enumerate(blocks) if gone & set(b.names)}
    dropped = [i for i, b in enumerate(blocks) if (i if b.same_as is None else b.same_as) in groups]
    latent_etas = {problem.model.etas[i] for i in problem.latent_index}
    if any((set(blocks[i].names) & latent_etas) - gone for i in dropped):
        return None
    model = replace(problem.model, omega=tuple(_fixed_at_zero(b) if i in dropped else b for i, b in enumerate(blocks)))
    form = latent_form(model, problem.table)
    decoder = decoder_of(problem.decoder, problem.table, form)
    index = problem.latent_index[latents]
    omega = population.omega.copy()
    omega[index, :] = omega[:, index] = 0.0
    return make_problem(model, form, problem.table, decoder), replace(population, omega=omega)


def _fixed_at_zero(block: CovarianceBlock) -> CovarianceBlock:
    zeros = tuple(tuple(0.0 for _ in row) for row in block.matrix)
    return replace(block, matrix=zeros, fixed=True, same_as=None)
