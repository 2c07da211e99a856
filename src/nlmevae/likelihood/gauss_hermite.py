"""-2LL by adaptive Gauss-Hermite quadrature: deterministic, and as exact as is asked for with few random effects.

    p(y_i) = |L_i| sum_j w_j exp(|x_j|^2 / 2) p(y_i, m_i + L_i x_j)

m_i is the conditional mode, L_i L_i' the inverse of the exact second derivative there, (x_j, w_j) the product of
one-dimensional rules for the weight exp(-x^2/2) (Pinheiro and Bates, J. Comput. Graph. Stat. 4 (1995) 12-35, section
2.4). The order grows until the value of a subject no longer changes; order 1 would be Laplace's approximation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nlmevae.likelihood.expansion import expand, log_determinant
from nlmevae.likelihood.hessian import exact_hessian, posterior_axes
from nlmevae.likelihood.importance import restrict
from nlmevae.likelihood.joint import JointDensity
from nlmevae.likelihood.marginal import Marginal, of_subjects
from nlmevae.likelihood.proposal import safe_cholesky

MOST_LATENTS = 4
ORDERS = (3, 5, 7, 11, 15, 21, 29, 41, 57, 81)
MOST_NODES = 2**17  # per subject
TOLERANCE = 1e-5  # change of a subject's -2LL between two orders at which it is settled
_BATCH = 2_000_000  # predictions at once: 16 MB


def gauss_hermite(
    joint: JointDensity,
    mode: np.ndarray,
    *,
    tolerance: float = TOLERANCE,
    report: Callable[[float], None] | None = None,
) -> Marginal:
    """At conditional modes (N, d), d at most 4. The order grows until two changes in a row are at most `tolerance`
    (one small change may be chance: a tail far away is seen only by high orders); the error is the larger one. The
    remark counts the subjects that do not get there.

    `report` is told the share that is done of the points that may be needed.
    """
    axes = _axes(joint, mode)
    orders = [n for n in ORDERS if n**joint.n_latents <= MOST_NODES]
    value = np.full(joint.n_subjects, np.nan)
    last, before = np.full((2, joint.n_subjects), np.inf)  # the last changes of each subject's value
    open_ = np.flatnonzero(np.diff(joint.decoder.table.ob_ptr) > 0)
    points = np.cumsum([n**joint.n_latents for n in (0, *orders)])
    for order, done in zip(orders, points, strict=False):
        if report is not None:
            report(float(done / points[-1]))
        new = _quadrature(restrict(joint, open_), mode[open_], axes[open_], order)
        before[open_], last[open_] = last[open_], _change(value[open_], new)
        value[open_] = new
        open_ = open_[np.maximum(last, before)[open_] > tolerance]
        if not len(open_):
            break
    change = np.maximum(last, before)
    remark = ""
    if len(open_):
        remark = (
            f"Gauss-Hermite quadrature has not settled for {len(open_)} subjects: their values still change by up to "
            f"{change[open_].max():.2g} between the last orders."
        )
    return of_subjects(joint, value, change, remark=remark)


def _change(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """inf where one of them is not known."""
    return np.where(np.isfinite(new - old), np.abs(new - old), np.inf)


def _axes(joint: JointDensity, mode: np.ndarray) -> np.ndarray:
    """(N, d, d) L_i; from the expected information where the exact one is not positive definite."""
    here = expand(joint, mode)
    hessian = exact_hessian(joint, mode, here)[0]
    positive = log_determinant(hessian)[0]
    inverse = np.linalg.inv(np.where(positive[:, None, None], hessian, np.eye(joint.n_latents)))
    return np.where(positive[:, None, None], safe_cholesky(inverse)[0], posterior_axes(here))


def _quadrature(joint: JointDensity, mode: np.ndarray, axes: np.ndarray, order: int) -> np.ndarray:
    """(N,) -2LL by the product rule of this order."""
    x, log_weight = product_rule(order, joint.n_latents)
    size = max(1, _BATCH // max(len(joint.y), 1))
    log_sum = np.full(joint.n_subjects, -np.inf)
    for start in range(0, len(x), size):
        nodes = slice(start, start + size)
        z = mode + np.einsum("nij,kj->kni", axes, x[nodes])
        log_joint = joint.log_joint(z, joint.predict(z))
        terms = np.where(np.isfinite(log_joint), log_joint + log_weight[nodes, None], -np.inf)
        log_sum = np.logaddexp(log_sum, np.logaddexp.reduce(terms, axis=0))
    log_scale = np.log(np.diagonal(axes, axis1=-2, axis2=-1)).sum(axis=-1)
    value = -2.0 * (log_scale + log_sum)
    return np.where(np.isfinite(value), value, np.nan)


def product_rule(order: int, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes x (order^dimension, dimension) and log(w_j exp(|x_j|^2 / 2)) of the weight exp(-|x|^2 / 2)."""
    node, weight = np.polynomial.hermite_e.hermegauss(order)
    log_weight = np.log(weight) + 0.5 * node**2
    index = np.indices((order,) * dimension).reshape(dimension, order**dimension).T
    return node[index], log_weight[index].sum(axis=1)
