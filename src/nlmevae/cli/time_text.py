"""The text `nlmevae estimate-time` prints."""

from __future__ import annotations

from nlmevae.cli.text_table import duration, text_table
from nlmevae.results.time_forecast import TimeForecast

BUSY = 1.5  # seconds of the clock per second of the processor, from which on a sentence says so


def time_text(found: TimeForecast, *, verb: str) -> str:
    """A table of the parts, and what it rests on."""
    parts = [(part.name, part.usual, part.low, part.high) for part in found.parts]
    rows = [[name, *map(duration, seconds)] for name, *seconds in [*parts, ("all", *_total(found))]]
    lines = text_table(["Part", "Time", "At least", "At most"], rows)
    lines += [
        "",
        f"nlmevae {verb} will take about {duration(found.seconds)} on this machine "
        f"({duration(found.low)} to {duration(found.high)}, by how many iterations and draws it needs), from its start "
        "to its last file.",
        f"Tried on {found.n_tried} of {found.n_subjects} subjects; {found.n_observations} observations in all"
        f"{_shared(found)}.",
    ]
    if found.first_use:
        lines.append(
            f"The model was compiled now, {duration(found.first_use)}; that is kept, and the run will not do it again."
        )
    if found.busy > BUSY:
        lines.append(
            f"The machine is busy: what takes a second of the processor takes {found.busy:.1f} s of the clock now. The "
            "times above are those of a machine that has nothing else to do."
        )
    return "\n".join(lines)


def _total(found: TimeForecast) -> tuple[float, float, float]:
    return found.seconds, found.low, found.high


def _shared(found: TimeForecast) -> str:
    """By whom the work is shared, if it is."""
    threads = f"; {found.threads} threads" if found.threads > 1 else ""
    return threads + (f"; {found.workers} workers" if found.workers > 1 else "")
