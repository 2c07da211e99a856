"""Quasi-random draws from mixtures of multivariate t, compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

# Wichura, algorithm AS 241 (Appl. Statist. 37, 1988): normal quantiles to about 1e-16, relative
_CENTRE = 0.180625
_A = np.array([
    3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
])  # fmt: skip
_B = np.array([
    1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
    2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
])  # fmt: skip
_C = np.array([
    1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
    1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
])  # fmt: skip
_D = np.array([
    1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
    1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
])  # fmt: skip
_E = np.array([
    6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
    2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
])  # fmt: skip
_F = np.array([
    1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
    7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
])  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def _ratio(upper, lower, x):
    top, bottom = upper[7], lower[7]
    for j in range(6, -1, -1):
        top = top * x + upper[j]
        bottom = bottom * x + lower[j]
    return top / bottom


@njit(nogil=True, cache=True, error_model="numpy")
def normal_quantile(p):
    """Of p in (0, 1)."""
    q = p - 0.5
    if abs(q) <= 0.425:
        return q * _ratio(_A, _B, _CENTRE - q * q)
    r = math.sqrt(-math.log(p if q < 0.0 else 1.0 - p))
    value = _ratio(_C, _D, r - 1.6) if r <= 5.0 else _ratio(_E, _F, r - 5.0)
    return -value if q < 0.0 else value


@njit(nogil=True, cache=True, error_model="numpy")
def student_draws(points, shift, radius, first, step, ends, loc, chol, out):
    """out (K, N, d): loc + radius(v) chol n with n and v normal from points (K, d + 1) shifted by shift (N, d + 1).

    `radius` is tabulated at first, first + step, ...; loc (C, N, d), chol (C, N, d, d); the draws of component c end
    before ends[c].
    """
    n_draws, n_subjects, d = out.shape
    normal = np.empty(d + 1)
    c = 0
    for k in range(n_draws):
        while k >= ends[c]:
            c += 1
        for i in range(n_subjects):
            for r in range(d + 1):
                u = points[k, r] + shift[i, r]
                u = u - 1.0 if u >= 1.0 else u
                normal[r] = normal_quantile(min(max(u, 1e-15), 1.0 - 1e-15))
            place = (normal[d] - first) / step
            below = min(int(place), len(radius) - 2)
            length = radius[below] + (place - below) * (radius[below + 1] - radius[below])
            for r in range(d):
                total = 0.0
                for s in range(r + 1):
                    total += chol[c, i, r, s] * normal[s]
                out[k, i, r] = loc[c, i, r] + length * total
