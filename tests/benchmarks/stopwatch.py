"""Processor time of named parts of a running fit, each without the parts it calls."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: part -> where its functions are looked up: (module, class or "", function)
PLACES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "decoder": tuple(
        (f"nlmevae.decoder.{module}", name, function)
        for module, name in (
            ("closed_form", "ClosedFormDecoder"),
            ("compiled", "CompiledDecoder"),
            ("formula", "FormulaDecoder"),
        )
        for function in ("predict", "linearise")
    ),
    "encoder": (
        ("nlmevae.estimation.encoder", "Encoder", "posterior"),
        ("nlmevae.estimation.encoder", "Encoder", "gradient"),
        ("nlmevae.estimation.adam", "Adam", "step"),
    ),
    "densities": (
        ("nlmevae.likelihood.joint", "JointDensity", "log_joint"),
        ("nlmevae.likelihood.joint", "JointDensity", "slopes"),
    ),
    "modes": (("nlmevae.estimation.refine", "", "descend"),),
    "draws": (
        ("nlmevae.likelihood.proposal", "Mixture", "draw"),
        ("nlmevae.likelihood.importance", "", "draw"),
        ("nlmevae.likelihood.importance", "", "weights_of"),
        ("nlmevae.likelihood.importance", "", "pareto_khat"),
        ("nlmevae.estimation.sample", "", "weights_of"),
        ("nlmevae.estimation.polish", "", "weighted_moments"),
        ("nlmevae.likelihood.proposal", "Mixture", "log_density"),
    ),
    "scores": (("nlmevae.estimation.newton", "", "_score_moments"),),
    "M step and Newton steps": (
        ("nlmevae.estimation.vae", "", "m_step"),
        ("nlmevae.estimation.polish", "", "improve"),
        ("nlmevae.estimation.polish", "", "curvature"),
    ),
    "standard errors": (("nlmevae.estimation.fit", "", "run_covariance_step"),),
}


class Stopwatch:
    """`seconds` of each part; what is in none is not here."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(PLACES, 0.0)
        self._inside: list[float] = []

    @contextmanager
    def watching(self) -> Iterator[Stopwatch]:
        """While it lasts calls of the parts are timed. A place that is not there is passed over: parts move."""
        replaced: list[tuple[object, str, Any]] = []
        for part, places in PLACES.items():
            for module, owner, name in places:
                holder = _holder(module, owner)
                original = None if holder is None else getattr(holder, name, None)
                if original is not None:
                    replaced.append((holder, name, original))
                    setattr(holder, name, self._timed(part, original))
        try:
            yield self
        finally:
            for holder, name, original in reversed(replaced):
                setattr(holder, name, original)

    def _timed(self, part: str, original: Callable) -> Callable:
        @functools.wraps(original)
        def call(*args: Any, **options: Any) -> Any:
            self._inside.append(0.0)
            began = time.process_time()
            try:
                return original(*args, **options)
            finally:
                spent = time.process_time() - began
                self.seconds[part] += spent - self._inside.pop()
                if self._inside:
                    self._inside[-1] += spent

        return call


def _holder(module: str, owner: str) -> object | None:
    import importlib

    found = importlib.import_module(module)
    return getattr(found, owner, None) if owner else found
