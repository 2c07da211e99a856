"""How large one unit of a random effect is that makes no parameter random.

A mean of 0 says nothing about the size of a latent, so it is read off the predictions: one unit is what changes
those that depend on it most by about their own size. Limits on one iteration and the starts of searches are in these
units.
"""

from __future__ import annotations

import numpy as np

from nlmevae.codegen.latent_form import Latent
from nlmevae.likelihood.joint import JointDensity

MOST_SENSITIVE = 90.0  # percentile of |d log f / dz|: the mean would call an effect on absorption huge
RANGE = (1.0, 30.0)  # in standard deviations of the initial estimate


def effect_units(joint: JointDensity, latents: tuple[Latent, ...]) -> np.ndarray:
    """(d,) the inverse of a high percentile of |df/dz| / |f| over the observations that a latent moves, between 1 and
    30 of its standard deviations; 1, as on a log scale, for one that moves no prediction (a random effect on the
    residual error).

    NaN for latents with a mean, whose size is known.
    """
    units = np.full(len(latents), np.nan)
    own = [k for k, latent in enumerate(latents) if latent.name == latent.eta]
    if not own:
        return units
    solution = joint.decoder.linearise(joint.inputs(joint.mean))
    size = np.abs(solution.prediction)
    for k in own:
        slope = np.abs(solution.jacobian[:, k])
        moved = np.isfinite(size) & np.isfinite(slope) & (slope > 0.0) & (size > 0.0)
        unit = 1.0 / np.percentile(slope[moved] / size[moved], MOST_SENSITIVE) if moved.any() else 1.0
        sd = np.sqrt(joint.omega[k, k])
        units[k] = np.clip(unit, RANGE[0] * sd, RANGE[1] * sd)
    return units
