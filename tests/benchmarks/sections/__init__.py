"""The sections of the benchmark suite: each a module with `measure(scale)` that yields figures as they are measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A module of this folder; `limit`: seconds it may take, by scale."""

    title: str
    limit: dict[str, float]


#: On a quiet machine no section comes near: what is stopped hangs.
LIMIT = {"tiny": 300.0, "quick": 600.0, "full": 1800.0, "large": 7200.0}

#: In the order they run: whole fits before what may be cut for time.
SECTIONS = {
    "startup": Section(title="Start", limit=LIMIT),
    "reading": Section(title="Reading models and data", limit=LIMIT),
    "compiling": Section(title="Compiling", limit=LIMIT),
    "decoder": Section(title="Decoder", limit=LIMIT),
    "encoder": Section(title="Encoder", limit=LIMIT),
    "m_step": Section(title="M step", limit=LIMIT),
    "polish": Section(title="Polish", limit=LIMIT),
    "likelihood": Section(title="Likelihood", limit=LIMIT),
    "shares": Section(title="Where the time goes", limit=LIMIT),
    "growth": Section(title="Growth", limit=LIMIT),
    "fits": Section(title="Whole fits", limit=LIMIT),
    "searches": Section(title="Whole searches", limit=LIMIT),
    "populations": Section(title="Large populations", limit=LIMIT),
    "forecast": Section(title="Forecasts", limit=LIMIT),
}
