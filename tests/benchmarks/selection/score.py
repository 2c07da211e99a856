"""Selected effects against true ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def relations(support: Iterable[str]) -> set[str]:
    """Covariate-parameter pairs of effect names: ``CL~WT:exponential`` and ``CL~RACE=2`` count as their pairs."""
    return {name.split(":")[0].split("=")[0] for name in support}


def score(support: Iterable[str], truth: Iterable[str]) -> dict[str, float]:
    """exact, n_true, n_false, n_missed over pairs; f1 and fdr (an empty model of an empty truth: f1 1, fdr 0)."""
    found, true = relations(support), relations(truth)
    n_true, n_false, n_missed = len(found & true), len(found - true), len(true - found)
    return {
        "exact": float(found == true),
        "n_true": n_true,
        "n_false": n_false,
        "n_missed": n_missed,
        "f1": 2 * n_true / (2 * n_true + n_false + n_missed) if found or true else 1.0,
        "fdr": n_false / len(found) if found else 0.0,
    }


def pooled(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means of exact, f1, fdr and their pooled versions from the summed counts, over data sets."""
    true, false, missed = (float(sum(s[k] for s in scores)) for k in ("n_true", "n_false", "n_missed"))
    return {
        "sets": len(scores),
        "exact": float(np.mean([s["exact"] for s in scores])),
        "f1": float(np.mean([s["f1"] for s in scores])),
        "fdr": float(np.mean([s["fdr"] for s in scores])),
        "false": false / len(scores),
        "missed": missed / len(scores),
        "pooled_f1": 2 * true / (2 * true + false + missed) if true + false + missed else 1.0,
        "pooled_fdr": false / (true + false) if true + false else 0.0,
    }
