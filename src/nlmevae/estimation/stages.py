"""The parts of a run, and how it goes on where an earlier process was killed.

A run is a sequence of named stages. Each gives an outcome; while it works, it says at safe places where it stands.
From time to time all that is handed on to be kept (`Checkpoint`). A later process with the same checkpoint runs the
same code: finished stages return their kept outcome, the one under way starts from its kept state. Since a run
depends on nothing but its seed and its state, it ends with the same numbers, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pickle import PickleError
from typing import Any, TypeVar

from nlmevae.estimation.snapshot import Given, TooLarge, dump, load
from nlmevae.processes import group
from nlmevae.results.checkpoint import Checkpoint

T = TypeVar("T")

#: Of the time of a run that may be spent on keeping its state.
SHARE = 0.01


class Clock:
    """Seconds spent in each part, those of an earlier process included."""

    def __init__(self, spent: dict[str, float] | None = None) -> None:
        self.parts = {name: s for name, s in (spent or {}).items() if name != "total"}
        total = (spent or {}).get("total", 0.0)
        self.start = time.perf_counter() - total
        self.last = self.start + sum(self.parts.values())

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.parts[name] = self.parts.get(name, 0.0) + now - self.last
        self.last = now

    @property
    def seconds(self) -> dict[str, float]:
        return {**self.parts, "total": time.perf_counter() - self.start}


class Stages:
    """Without `keep` nothing is kept. `failure` says why, if a state could not be written as bytes; the run goes on.

    Args:
        keep: takes the checkpoint; it must not raise.
        every: seconds between two of them, more where one takes long.
        known: the checkpoint of an earlier process.
    """

    def __init__(
        self,
        keep: Callable[[Checkpoint], None] | None = None,
        *,
        every: float = 30.0,
        known: Checkpoint | None = None,
    ) -> None:
        known = known or Checkpoint()
        self.clock = Clock(known.seconds)
        self.given = Given()
        self._keep, self._every = keep, every
        self._outcomes = dict(known.outcomes)
        self._part, self._state = known.part, known.state
        self._next = time.perf_counter() + every
        self._memories: dict[str, tuple[object, str]] = {}
        self.failure = ""

    def remember(self, name: str, holder: object, attribute: str) -> None:
        """Keep this attribute with every outcome and state, and set it when one is read: what else changes while the
        run lasts, and numbers depend on."""
        self._memories[name] = holder, attribute

    def _dump(self, value: object) -> bytes:
        memories = {name: getattr(holder, attribute) for name, (holder, attribute) in self._memories.items()}
        return dump((value, memories), self.given)

    def _load(self, data: bytes) -> Any:
        value, memories = load(data, self.given)
        for name, memory in memories.items():
            if name in self._memories:
                holder, attribute = self._memories[name]
                setattr(holder, attribute, memory)
        return value

    def run(
        self,
        name: str,
        work: Callable[[Stage], T],
        *,
        finished: Callable[[T], bool] = lambda _: True,
        tell: Callable[[T], None] = lambda _: None,
        shared: bool = False,
    ) -> T:
        """The outcome of a stage: kept from an earlier process, or of `work`.

        Args:
            finished: whether an outcome is one, not what an interruption left. A stage that has no outcome yet goes
                on from its last state.
            tell: called with a kept outcome.
            shared: where a fit has several processes, all of them work; else the first does, for all.
        """
        here = group()
        if here is None:
            return self._outcome(name, work, finished, tell)
        if here.of_first(lambda: shared and name not in self._outcomes, f"whether {name} is shared"):
            return self._shared_outcome(name, work, finished)
        known = here.of_first(lambda: self._dump(self._outcome(name, work, finished, tell)), name)
        return self._load(known)

    def _shared_outcome(self, name: str, work: Callable[[Stage], T], finished: Callable[[T], bool]) -> T:
        """No process knows the state of the others: such a stage is kept when it has ended."""
        outcome = work(Stage(stages=Stages(), name=name, state=None))
        self._keep_outcome(name, outcome, finished)
        return outcome

    def _outcome(
        self, name: str, work: Callable[[Stage], T], finished: Callable[[T], bool], tell: Callable[[T], None]
    ) -> T:
        if name in self._outcomes:
            outcome = self._load(self._outcomes[name])
            tell(outcome)
            return outcome
        state = self._load(self._state) if self._part == name and self._state else None
        outcome = work(Stage(stages=self, name=name, state=state))
        self._keep_outcome(name, outcome, finished)
        return outcome

    def _keep_outcome(self, name: str, outcome: T, finished: Callable[[T], bool]) -> None:
        if self._keep is not None and finished(outcome):
            began = time.perf_counter()
            if self._written(outcome, lambda data: self._ended(name, data)) and self._is_due():
                self._keep_now(began)

    def reached(self, name: str, make_state: Callable[[], Any]) -> None:
        if self._is_due():
            began = time.perf_counter()
            if self._written(make_state(), lambda data: self._stands(name, data)):
                self._keep_now(began)

    def _written(self, value: Any, take: Callable[[bytes], None]) -> bool:
        try:
            take(self._dump(value))
        except TooLarge:  # a later run begins this stage anew, and ends with the same numbers
            return False
        except (PickleError, TypeError, AttributeError, RecursionError) as error:  # a defect, but no reason to end
            self.failure, self._keep = f"{type(error).__name__}: {error}", None
        return self._keep is not None

    def _ended(self, name: str, data: bytes) -> None:
        self._outcomes[name] = data
        self._part, self._state = "", b""

    def _stands(self, name: str, data: bytes) -> None:
        self._part, self._state = name, data

    def _is_due(self) -> bool:
        return self._keep is not None and time.perf_counter() >= self._next

    def _keep_now(self, began: float) -> None:
        self._keep(
            Checkpoint(outcomes=dict(self._outcomes), part=self._part, state=self._state, seconds=self.clock.seconds)
        )
        now = time.perf_counter()
        self._next = now + max(self._every, (now - began) / SHARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage at work. `state`: what it kept in an earlier process, None to begin."""

    stages: Stages
    name: str
    state: Any

    def reached(self, make_state: Callable[[], Any]) -> None:
        """A safe place. `make_state` is called if the state is kept now; it may hand out the live objects."""
        self.stages.reached(self.name, make_state)
