"""Is the rewritten text the same model? The front end reads both; labels aside, all it finds must be equal."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from nlmevae.ir import CovarianceBlock, Model
from nlmevae.writers.selected_model_check import difference


def model_difference(
    old: Model, new: Model, *, bounded: Collection[str] = (), items: Mapping[str, np.ndarray] | None = None
) -> str:
    """What makes `new` another model than `old`; "" if nothing does.

    Args:
        bounded: THETAs that had no bounds and now are positive.
        items: of `difference`.
    """
    if len(old.thetas) != len(new.thetas):
        return f"it has {len(new.thetas)} THETAs, not {len(old.thetas)}"
    return difference(_plain(old, bounded), _plain(new, ()), (), items=items)


def _plain(model: Model, bounded: Collection[str]) -> Model:
    """Without labels, and with the bounds that were added."""
    thetas = tuple(
        replace(t, label=t.name, lower=0.0 if t.name in bounded and math.isinf(t.lower) else t.lower)
        for t in model.thetas
    )
    return replace(model, thetas=thetas, omega=_unlabelled(model.omega), sigma=_unlabelled(model.sigma))


def _unlabelled(blocks: tuple[CovarianceBlock, ...]) -> tuple[CovarianceBlock, ...]:
    return tuple(replace(block, labels=()) for block in blocks)
