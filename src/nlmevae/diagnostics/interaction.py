"""The variance that residual errors add to an observation where their size depends on random effects.

With y = f(eta) + sum_k h_k(eta) eps_k and both f and h linear around eta*, h_k ~ h0_k + h'_k eta,

    Var[y_j] = J Omega J' + sum_kl Sigma_kl (h0_k h0_l + h'_k Omega h'_l')    h0_k = h_k(eta*) - h'_k eta*

eta* = 0 gives NONMEM's WRESI, which its WRES is after a step with INTERACTION; the conditional mode gives CWRESI. (Its
CWRES after such a step is without h': `weighted_residuals`.)
"""

from __future__ import annotations

import numpy as np

from nlmevae.diagnostics.record_program import RecordProgram
from nlmevae.estimation.at_estimates import AtEstimates

#: Of central differences in an ETA: error of the order of its square, rounding of the order of 1e-12 over it.
ETA_STEP = 1e-4


def interaction_variance(program: RecordProgram, at: AtEstimates, etas: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(M,) the sum over k and l above, at `etas` (N, all ETAs) and records `rows` (M,).

    Raises:
        UnsupportedError: the code cannot be run at every record.
    """
    subject = np.repeat(np.arange(program.dataset.n_subjects), np.diff(program.dataset.subject_ptr))[rows]
    size, slopes = program.weights(etas)[rows], []
    for k in at.problem.latent_index:
        step = np.zeros_like(etas)
        step[:, k] = ETA_STEP
        slope = (program.weights(etas + step)[rows] - program.weights(etas - step)[rows]) / (2.0 * ETA_STEP)
        size = size - slope * etas[subject, k][:, None]
        slopes.append(slope)
    sigma, omega = at.population.sigma, at.joint.omega
    varying = np.array(slopes).reshape(-1, *size.shape)
    from_effects = np.einsum("amk,ab,bml,kl->m", varying, omega, varying, sigma, optimize=True)
    return np.einsum("mk,kl,ml->m", size, sigma, size) + from_effects
