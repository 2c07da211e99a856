"""Other initial values in <PARAMETER> of the user's own Monolix project: the numbers change and nothing else."""

from __future__ import annotations

import math
import re

from nlmevae.errors import ModelError, UnsupportedError
from nlmevae.frontends.monolix.lower import model_of_project
from nlmevae.frontends.monolix.project import Project
from nlmevae.frontends.monolix.read import project_of
from nlmevae.frontends.monolix.text.split import is_colon_project
from nlmevae.frontends.nonmem.records import source_text
from nlmevae.ir import Model
from nlmevae.writers.project_edit import ProjectEdit

_ELEMENT = re.compile(r"OMEGA\((\d+),(\d+)\)")
#: Relative difference from six digits, twice where a standard deviation is squared.
_ROUNDING = 2e-5


def project_at(text: str, path: str, target: Model) -> str:
    """The project with the values of `target`, a model that differs from the text's in its numbers only.

    Raises:
        UnsupportedError: a project of Monolix 4, or the text does not read back with these numbers and everything else
            as it was.
    """
    source = source_text(text, path)
    if is_colon_project(text):
        raise UnsupportedError(
            "final estimates cannot be written into a project of Monolix 4", hint="save it with a newer Monolix"
        )
    project = project_of(source)
    edit = ProjectEdit(source)
    edit.set_values(_values(target, project))
    written = edit.text()
    reason = _difference(text, written, path, target)
    if reason:
        raise UnsupportedError(
            f"final estimates cannot be written into <PARAMETER>: {reason}",
            hint="write them by hand: the result files have them",
        )
    return written


def _values(target: Model, project: Project) -> dict[str, float]:
    """Name in <PARAMETER> -> value, of what is estimated."""
    estimated = {p.name for p in project.parameters if p.method != "fixed"}
    shown = {} if target.project is None else target.project.shown
    values = {t.label: t.init for t in target.thetas}
    matrix = _whole(target)
    for element, name in shown.items():
        found = _ELEMENT.fullmatch(element)
        if found:
            i, j = int(found[1]) - 1, int(found[2]) - 1
            sd = math.sqrt(matrix[i, i]), math.sqrt(matrix[j, j])
            values[name] = sd[0] if i == j else matrix[i, j] / (sd[0] * sd[1])
    return {name: value for name, value in values.items() if name in estimated}


def _whole(target: Model) -> dict[tuple[int, int], float]:
    found, start = {}, 0
    for block in target.omega:
        for i, row in enumerate(block.matrix):
            found |= {(start + i, start + j): float(value) for j, value in enumerate(row)}
        start += len(block.names)
    return found


def _difference(text: str, written: str, path: str, target: Model) -> str:
    before = model_of_project(project_of(source_text(text, path)))
    try:
        after = model_of_project(project_of(source_text(written, path)))
    except ModelError as error:
        return error.message
    if after.fingerprint != before.fingerprint:
        return "the model is then read differently"
    pairs = [(t.label, t.init, n.init, abs(t.init)) for t, n in zip(target.thetas, after.thetas, strict=True)]
    wanted, found = _whole(target), _whole(after)
    for (i, j), value in wanted.items():
        size = math.sqrt(abs(wanted[i, i] * wanted[j, j]))
        pairs.append((f"OMEGA({i + 1},{j + 1})", value, found[i, j], size))
    for name, old, new, size in pairs:
        if abs(old - new) > _ROUNDING * size:
            return f"{name} should be {old:.6g} and then reads as {new:.6g}"
    return ""
