"""How large one unit of a random effect is that makes no parameter random.

A mean of 0 says nothing about the size of a latent, so it is read off the predictions: one unit is what changes
them by about their own size. Limits on one iteration and the starts of searches are in these units.
"""

from __future__ import annotations

import numpy as np

from nlmevae.codegen.latent_form import Latent
from nlmevae.likelihood.joint import JointDensity

RANGE = (0.1, 100.0)  # in standard deviations of the initial estimate


def effect_units(joint: JointDensity, latents: tuple[Latent, ...]) -> np.ndarray:
    """(d,) sqrt(sum f^2 / sum (df/dz)^2) over the observations that a latent moves, between 0.1 and 100 of its standard
    deviations; 1, as on a log scale, for one that moves no prediction (a random effect on the residual error).

    NaN for latents with a mean, whose size is known.
    """
    units = np.full(len(latents), np.nan)
    own = [k for k, latent in enumerate(latents) if latent.name == latent.eta]
    if not own:
        return units
    solution = joint.decoder.linearise(joint.inputs(joint.mean))
    for k in own:
        slope = solution.jacobian[:, k]
        moved = np.isfinite(solution.prediction) & np.isfinite(slope) & (slope != 0.0)
        size = np.sqrt((solution.prediction[moved] ** 2).sum() / (slope[moved] ** 2).sum()) if moved.any() else 1.0
        sd = np.sqrt(joint.omega[k, k])
        units[k] = np.clip(size, RANGE[0] * sd, RANGE[1] * sd)
    return units
