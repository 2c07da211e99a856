"""Model event times: times at which the code changes, known only at run time because parameters decide them.

``MTIME(i)`` is a variable of $PK, the time; ``MPAST(i)`` is read by code and is 0 up to that time and 1 after it
(NONMEM help, MTIME).
"""

from __future__ import annotations

import re

from nlmevae.ir.program import Program, names_assigned, names_read

_FLAG = re.compile(r"MPAST\((\d+)\)\Z")


def past_flags(program: Program) -> tuple[str, ...]:
    """The ``MPAST(i)`` that the code reads, in the order of i. One that $PK assigns is a variable."""
    read = names_read(program.pk) | names_read(program.des) | names_read(program.error)
    numbers = (int(match.group(1)) for name in read - names_assigned(program.pk) if (match := _FLAG.match(name)))
    return tuple(f"MPAST({number})" for number in sorted(numbers))


def model_times(program: Program) -> tuple[str, ...]:
    """The ``MTIME(i)`` that belong to `past_flags`."""
    return tuple(time_of(flag) for flag in past_flags(program))


def time_of(flag: str) -> str:
    """``MTIME(2)`` of ``MPAST(2)``."""
    return flag.replace("MPAST", "MTIME")
