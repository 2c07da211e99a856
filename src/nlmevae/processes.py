"""One fit by several processes, on one machine or many: what they tell each other.

Every process runs the same program on the same model and data. Work on parts of the subjects is shared: each part is
done by one process, and what the others need of it, sums over draws and numbers per subject, is gathered from all in
the order of the parts. Whatever is decided afterwards is decided by every process alike, from the same bytes. The parts
are the same however many processes there are, so their number changes no digit.

Numbers travel by torch.distributed (gloo, TCP), which finds the processes by the variables that torchrun sets.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np

from nlmevae import threads
from nlmevae.errors import ProcessError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: What torchrun, or whoever starts the processes, tells each of them.
VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
#: Longest wait for another process: one that ends is noticed at once, one whose machine is lost is not.
LONGEST_WAIT = timedelta(hours=2)

_group: Group | None = None


class Group:
    """This process among those that share a fit: number `rank` of `size`, number 0 the first."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self.at_work = False  # on parts that others do not see: nothing can be gathered
        self.alone = False  # on what only this process does, while the others wait
        self._interrupted = False
        self._calls = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    @property
    def threads(self) -> int:
        """Cores for this process: those of the machine, shared with the others on it."""
        here = os.environ.get("LOCAL_WORLD_SIZE", "")
        return max(1, threads.usable_cores() // (int(here) if here.isdigit() and int(here) else 1))

    def gather(self, own: np.ndarray, what: str) -> list[np.ndarray]:
        """`own` (n, ...) of every process, in their order; n may differ."""
        own = np.ascontiguousarray(own)
        found = self._exchange(own.reshape(-1).view(np.uint8), what)
        return [data.view(own.dtype).reshape(-1, *own.shape[1:]) for data in found]

    def values(self, own: Any, what: str) -> list[Any]:
        """Any value of every process."""
        data = np.frombuffer(pickle.dumps(own, protocol=5), dtype=np.uint8)
        return [pickle.loads(found.tobytes()) for found in self._exchange(data, what)]

    def of_first(self, make: Callable[[], Result], what: str) -> Result:
        """What process 0 makes, while the others wait."""
        made = None
        if self.first:
            self.alone = True
            try:
                made = make()
            except KeyboardInterrupt:
                self._interrupted = True  # of all, in the exchange
            finally:
                self.alone = False
        return self.values(made, what)[0]

    def interrupt(self) -> None:
        """At a signal. Work that is shared is interrupted in all processes at the same place, the next exchange."""
        if self.alone:
            raise KeyboardInterrupt
        self._interrupted = True

    def _exchange(self, own: np.ndarray, what: str) -> list[np.ndarray]:
        """Bytes of all. `what` they are must agree: processes that do different things stop."""
        self._calls += 1
        header = [int(self._interrupted), len(own), self._calls, zlib.crc32(what.encode())]
        known = np.stack(self._all(np.array(header, dtype=np.int64), 4))
        if (known[:, 2:] != header[2:]).any():
            other = int(np.argmax((known[:, 2:] != header[2:]).any(axis=1)))
            raise ProcessError(
                f"process {self.rank} of the fit shares {what}, process {other} something else",
                hint="fit with one process, which says what went wrong",
            )
        if known[:, 0].any():
            self._interrupted = False
            raise KeyboardInterrupt
        found = self._all(own, int(known[:, 1].max()))
        return [data[:n] for data, n in zip(found, known[:, 1], strict=True)]

    def _all(self, own: np.ndarray, length: int) -> list[np.ndarray]:
        """`own` of all processes, each filled up to `length`."""
        import torch
        from torch import distributed

        mine = torch.zeros(length, dtype=torch.from_numpy(own[:0].copy()).dtype)
        mine[: len(own)] = torch.from_numpy(np.array(own))
        found = [torch.empty_like(mine) for _ in range(self.size)]
        try:
            distributed.all_gather(found, mine)
        except RuntimeError as error:
            reason = str(error).splitlines()[0][:200]
            raise ProcessError(
                f"process {self.rank} waits for others of the fit in vain: one has ended ({reason})",
                hint="its own messages say why; start the fit again, with --resume where it wrote a checkpoint",
            ) from None
        return [data.numpy() for data in found]


def group() -> Group | None:
    """Those this process shares its fit with; None while it works alone."""
    return _group


def are_several() -> bool:
    """Whether this process was started as one of several, by --processes, torchrun or a scheduler."""
    return all(os.environ.get(name) for name in VARIABLES) and os.environ["WORLD_SIZE"].strip() not in ("", "0", "1")


@contextlib.contextmanager
def joined() -> Iterator[Group | None]:
    """Together with the other processes, as `VARIABLES` say; None where there are none.

    Raises:
        ProcessError: they do not find each other.
    """
    global _group
    if not are_several():
        yield None
        return
    from torch import distributed

    try:
        distributed.init_process_group("gloo", timeout=LONGEST_WAIT)
    except (RuntimeError, ValueError) as error:
        raise ProcessError(
            f"the processes of the fit do not find each other: {str(error).splitlines()[0]}",
            hint=f"start them with --processes or torchrun, which set {', '.join(VARIABLES)}",
        ) from None
    _group = Group(distributed.get_rank(), distributed.get_world_size())
    try:
        yield _group
    finally:
        _group = None
        with contextlib.suppress(RuntimeError):
            distributed.destroy_process_group()


@contextlib.contextmanager
def interrupts_shared(of: Group) -> Iterator[None]:
    """Ctrl-C, or a cluster's SIGTERM, ends the shared work in all processes at the same place; a second one changes
    nothing."""
    seen = False

    def interrupt(signum: int, frame: object) -> None:
        nonlocal seen
        if not seen:
            seen = True
            of.interrupt()

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def each(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    what: str,
    sent: Callable[[Result], Any] = lambda result: result,
) -> list[Any]:
    """`work` of every item, in order: by the threads of every process, the items dealt out among the processes. Of
    another process's results this one gets what `sent` makes of them."""
    items = list(items)
    here = _group
    if here is None or here.at_work or threads.inside():
        return threads.each(work, items)
    own = range(here.rank, len(items), here.size)

    def unless_interrupted(k: int) -> Result | None:
        return None if here._interrupted else work(items[k])

    here.at_work = True
    try:
        found = threads.each(unless_interrupted, own)
    finally:
        here.at_work = False
    told = here.values([None if result is None else sent(result) for result in found], what)
    return [
        found[k // here.size] if k % here.size == here.rank else told[k % here.size][k // here.size]
        for k in range(len(items))
    ]


def combined(values: np.ndarray, known: np.ndarray, what: str) -> np.ndarray:
    """(N, ...) values of which this process knows those of the subjects `known` (N,) bool, others the rest."""
    if _group is None or _group.at_work:
        return values
    rows = _group.gather(np.flatnonzero(known), f"subjects of {what}")
    out = np.array(values)
    for where, own in zip(rows, _group.gather(values[known], what), strict=True):
        out[where] = own
    return out
