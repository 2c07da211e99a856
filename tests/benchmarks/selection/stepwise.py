"""Step-wise covariate search on the same engine, for comparison: forward at p < 0.05, backward at p < 0.01.

Every step fits each model that differs from the current one by one effect (`nlmevae.fit`, started at the current
estimates, no VAE to speak of), as PsN's scm does with its default p-values; p-values from the likelihood ratio. A power
effect and an exponential one of the same covariate exclude each other. Works on the factorial's control stream.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.stats import chi2

from tests.benchmarks.selection.board import Record
from tests.benchmarks.selection.factorial_data import CATEGORICAL, CONTINUOUS, PARAMETERS

FORWARD_P, BACKWARD_P = 0.05, 0.01

#: The start is the parent's optimum: one Adam step, no scattered starts, fewer draws (standard error of -2LL 0.1 with
#: N = 80; all fits of a search share their seed).
WARM = {
    "burn_in_iterations": 0, "training_iterations": 1, "steps": 1, "its_iterations": 2, "n_alternatives": 0,
    "n_starts": 0, "n_draws": 64, "pool": 1, "gain_tolerance": 0.1, "final_draws": 512,
}  # fmt: skip


@dataclass(frozen=True)
class Effect:
    """`name` as `nlmevae.select` spells it; `terms`: code on the log scale of the parameter, "{}" for a THETA."""

    name: str
    parameter: str
    covariate: str
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """A fitted model: its effects, -2LL, and estimates to start from (theta, omega, sigma, coefficients by effect)."""

    effects: tuple[Effect, ...]
    minus_two_ll: float
    thetas: np.ndarray
    omega: np.ndarray
    sigma: np.ndarray


@dataclass
class Search:
    """Base control stream and its folder; `fits` counts."""

    base: str
    folder: Path
    seed: int = 1
    fits: int = 0
    log: list[str] = field(default_factory=list)

    def fit(self, effects: Sequence[Effect], start: Point | None) -> Point:
        import nlmevae

        self.fits += 1
        stream = self.folder / "step.ctl"
        stream.write_text(with_effects(self.base, effects, start), encoding="ascii")
        result = nlmevae.fit(stream, seed=self.seed, **(WARM if start is not None else {}))
        return Point(tuple(effects), result.minus_two_ll, result.thetas, result.omega, result.sigma)


def candidates(data: Path, shapes: int) -> list[Effect]:
    rows = [line.split(",") for line in data.read_text(encoding="ascii").splitlines()]
    first = {r[0]: r for r in reversed(rows[1:])}
    column = {name: np.array([float(r[j]) for r in first.values()]) for j, name in enumerate(rows[0]) if j > 3}
    found = []
    for parameter in PARAMETERS:
        for c in CONTINUOUS:
            centre = f"{column[c].mean():.6g}"
            found.append(Effect(f"{parameter}~{c}:power", parameter, c, (f"{{}}*LOG({c}/{centre})",)))
            if shapes == 2:
                found.append(Effect(f"{parameter}~{c}:exponential", parameter, c, (f"{{}}*({c}-{centre})",)))
        for c in CATEGORICAL:
            levels, counts = np.unique(column[c], return_counts=True)
            others = [level for level in levels if level != levels[counts.argmax()]]
            terms = tuple(f"{{}}*IND_{c}_{level:g}" for level in others)
            found.append(Effect(f"{parameter}~{c}", parameter, c, terms))
    return found


def with_effects(base: str, effects: Sequence[Effect], start: Point | None) -> str:
    """The control stream with the effects written into $PK, started at `start` where it has the parameter."""
    n_base = 5
    thetas = list(start.thetas) if start is not None else []
    coefficients = dict(zip(_terms(start.effects), thetas[n_base:], strict=True)) if start else {}
    code: dict[str, list[str]] = {p: [] for p in PARAMETERS}
    indicators, added = {}, []
    for parameter, term in _terms(effects):
        number = n_base + len(added) + 1
        added.append(coefficients.get((parameter, term), 0.01 if "(" not in term or "LOG" in term else 1e-4))
        code[parameter].append(term.format(f"THETA({number})"))
        for c, level in re.findall(r"IND_(\w+)_(\d+)", term):
            indicators[f"IND_{c}_{level}"] = f"  IND_{c}_{level} = 0\n  IF ({c}.EQ.{level}) IND_{c}_{level} = 1"
    text = base
    for parameter, terms in code.items():
        if terms:
            text = re.sub(
                rf"(  {parameter} = THETA\(\d\))(\*EXP)", lambda m, t=terms: f"{m[1]}*EXP({' + '.join(t)}){m[2]}", text
            )
    text = text.replace("$PK\n", "$PK\n" + "".join(line + "\n" for line in indicators.values()))
    if start is not None:
        text = _started(text, start, n_base)
    return text.replace("$OMEGA", "".join(f"  {v:.8g}\n" for v in added) + "$OMEGA", 1)


def _terms(effects: Sequence[Effect]) -> list[tuple[str, str]]:
    return [(e.parameter, t) for e in effects for t in e.terms]


def _started(text: str, start: Point, n_base: int) -> str:
    """Starting values of $THETA (but the fixed KA), $OMEGA BLOCK(2) or diagonal, $SIGMA."""
    values = iter(start.thetas[: n_base - 1])
    text = re.sub(r"\(0, [\d.]+\)", lambda _: f"(0, {next(values):.8g})", text)
    o = start.omega
    if "BLOCK" in text:
        text = re.sub(r"(BLOCK\(2\)\n).*\n.*", rf"\g<1>  {o[0, 0]:.8g}\n  {o[1, 0]:.8g} {o[1, 1]:.8g}", text)
    else:
        text = re.sub(r"(\$OMEGA\n).*\n.*", rf"\g<1>  {o[0, 0]:.8g}\n  {o[1, 1]:.8g}", text)
    return re.sub(r"(\$SIGMA\n).*", rf"\g<1>  {start.sigma[0, 0]:.8g}", text)


def search(run: Search, pool: Sequence[Effect]) -> Point:
    current = run.fit((), None)
    while True:
        taken = {(e.parameter, e.covariate) for e in current.effects}
        tried = [run.fit((*current.effects, e), current) for e in pool if (e.parameter, e.covariate) not in taken]
        scored = [(_p(current.minus_two_ll - m.minus_two_ll, m.effects[-1]), m) for m in tried]
        scored = [s for s in scored if s[0] < FORWARD_P]
        if not scored:
            break
        p, current = min(scored, key=lambda s: (s[0], s[1].minus_two_ll))
        run.log.append(f"+{current.effects[-1].name} p={p:.2g}")
    while current.effects:
        tried = [(e, run.fit([o for o in current.effects if o != e], current)) for e in current.effects]
        p, effect, smaller = max(
            ((_p(m.minus_two_ll - current.minus_two_ll, e), e, m) for e, m in tried), key=lambda t: t[0]
        )
        if p < BACKWARD_P:
            break
        run.log.append(f"-{effect.name} p={p:.2g}")
        current = smaller
    return current


def _p(drop: float, effect: Effect) -> float:
    return float(chi2.sf(max(drop, 0.0), len(effect.terms)))


def stepwise_record(stream: Path, *, shapes: int, seed: int = 1) -> Record:
    began = time.perf_counter()
    run = Search(stream.read_text(encoding="ascii"), stream.parent, seed)
    found = search(run, candidates(stream.with_suffix(".csv"), shapes))
    return {
        "supports": {"stepwise": [e.name for e in found.effects]},
        "seconds": round(time.perf_counter() - began, 2),
        "status": "CONVERGED",
        "minus_two_ll": round(found.minus_two_ll, 3),
        "fits": run.fits,
        "log": run.log,
    }
