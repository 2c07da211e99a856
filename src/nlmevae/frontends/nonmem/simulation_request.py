"""$SIMULATION: seed, number of subproblems, whether nothing but simulation is asked for (NONMEM help, $SIMULATION)."""

from __future__ import annotations

import re

from nlmevae.frontends.nonmem.options import abbreviates, read_options
from nlmevae.frontends.nonmem.records import Record
from nlmevae.ir import SimulationRequest


def read_simulation(records: tuple[Record, ...]) -> SimulationRequest | None:
    """What the first record asks for; None without one."""
    if not records:
        return None
    seed, n, only, unread = None, 1, False, []
    for option in read_options(records[0]):
        if option.token.kind == "(":
            found = re.match(r"\(\s*(\d+)", option.value or "")
            seed = int(found[1]) if found and seed is None else seed
        elif option.assigned and (option.key == "NSUB" or abbreviates(option.key, "SUBPROBLEMS", "NSUBPROBLEMS")):
            n = int(option.value) if (option.value or "").isdigit() else n
        elif abbreviates(option.key, "ONLYSIMULATION"):
            only = True
        else:
            unread.append(option.token.text + (f"={option.value}" if option.assigned else ""))
    return SimulationRequest(seed=seed, n=n, only=only, unread=tuple(unread), at=records[0].head)
