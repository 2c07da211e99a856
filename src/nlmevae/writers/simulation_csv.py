"""Simulated data sets as one CSV file, written while they are simulated: memory does not grow with their number.

    ID,TIME,AMT,DV,WT,REP,IPRED,PRED,CL,V
    1,0,100,.,70,1,.,.,2.31,20.4
    1,1,.,3.61,70,1,3.4,3.9,2.31,20.4

The columns of $INPUT in their order (dropped ones hold "."), DV replaced on observation records, then the replicate
from 1, individual and population prediction (on observation records) and individual parameters.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import numpy as np

from nlmevae.errors import OutputError
from nlmevae.results.run_folder import check_replaceable, make_folder
from nlmevae.results.simulated_data import DesignText, SimulatedData

#: The header of a file of ours.
_OWN = re.compile(r",REP_*,IPRED_*,PRED_*(,|$)")
_DIGITS = 9


def check_simulation_file(
    path: Path, *, overwrite: bool = False, inputs: Iterable[str | os.PathLike[str]] = ()
) -> None:
    """Make the folder, and make sure the file may be written.

    Raises:
        OutputError: it is an input, a folder, or another program's.
    """
    make_folder(path.parent)
    check_replaceable([path], overwrite=overwrite, inputs=inputs, own=_is_own)


def _is_own(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return _OWN.search(stream.readline().rstrip("\n")) is not None
    except OSError:
        return False


def write_simulation(path: Path, design: DesignText, data: Iterable[SimulatedData]) -> int:
    """Write every data set; the number written. The file appears when all are done.

    Ctrl-C leaves a file with the complete ones and goes on to the caller.

    Raises:
        OutputError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as stream:
            count = _write_all(stream, design, data, temporary, path)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}", hint="free some space or choose another file with --out"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _write_all(stream: TextIO, design: DesignText, data: Iterable[SimulatedData], temporary: Path, path: Path) -> int:
    stream.write(design.header)
    count, complete = 0, 0
    try:
        for one in data:
            stream.write(_text(design, one))
            count, complete = count + 1, stream.tell()
    except KeyboardInterrupt:
        if count:
            stream.truncate(complete)
            stream.flush()
            os.replace(temporary, path)
        raise
    return count


def _text(design: DesignText, one: SimulatedData) -> str:
    """All rows of one data set."""
    observation = np.full(len(design.cells), -1)
    observation[design.observations] = np.arange(len(design.observations))
    parameters = ["".join(f",{_number(v)}" for v in row) for row in one.psi]
    dv, ipred, pred = ([_number(v) for v in values] for values in (one.dv, one.ipred, one.pred))
    lines = []
    for cells, k, subject in zip(design.cells, observation, design.subject, strict=True):
        if k < 0:
            line, predictions = ",".join(cells), ".,."
        else:
            line = ",".join((*cells[: design.dv], dv[k], *cells[design.dv + 1 :]))
            predictions = f"{ipred[k]},{pred[k]}"
        lines.append(f"{line},{one.number},{predictions}{parameters[subject]}\n")
    return "".join(lines)


def _number(value: float) -> str:
    return f"{value:.{_DIGITS}g}" if np.isfinite(value) else "."
