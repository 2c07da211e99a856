"""The text `nlmevae estimate-time` prints."""

from __future__ import annotations

from nlmevae.cli.text_table import duration, text_table
from nlmevae.results.time_forecast import TimeForecast

NOTABLE = 1.0  # seconds of compiling that are worth a line


def time_text(found: TimeForecast, *, verb: str) -> str:
    """A table of the parts, and what it rests on."""
    rows = [[name, duration(seconds)] for name, seconds in found.parts.items()]
    lines = text_table(["Part", "Time"], rows)
    lines += [
        "",
        f"nlmevae {verb} will take about {duration(found.seconds)} on this machine "
        f"({duration(found.low)} to {duration(found.high)}, by how many iterations it needs).",
        f"Tried on {found.n_tried} of {found.n_subjects} subjects; {found.n_observations} observations in all.",
    ]
    if found.first_use > NOTABLE:
        lines.append(
            f"The model was compiled now, {duration(found.first_use)}; that is kept, and the run will not do it again."
        )
    return "\n".join(lines)
