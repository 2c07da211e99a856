"""`<run>.profile.csv`: every point of the profile likelihoods, one line each, ready to be plotted."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from nlmevae.results.profile_result import ProfileResult
from nlmevae.results.run_folder import PROFILE_COLUMNS
from nlmevae.writers.atomic import write_atomically


def write_profile_csv(path: Path, result: ProfileResult) -> None:
    """Write the file whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, profile_text(result))


def profile_text(result: ProfileResult) -> str:
    """Columns: the parameter, its value, the rise of -2LL there, the ends of its interval, then all parameters where
    the rise was found; numbers at full precision."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*PROFILE_COLUMNS, *result.names])
    for profile in result.profiles:
        for value, rise, parameters in zip(profile.value, profile.rise, profile.parameters, strict=True):
            numbers = (value, rise, profile.low, profile.high, *parameters)
            writer.writerow([profile.name, *(repr(float(number)) for number in numbers)])
    return stream.getvalue()
