"""Files that a project names: paths of any system, projects that were moved, models of the library."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath

from nlmevae.errors import Location, ModelError, UnsupportedError
from nlmevae.frontends.monolix.structural.library import model_text, model_warning
from nlmevae.frontends.monolix.text.split import read_text
from nlmevae.frontends.nonmem.records import SourceText, source_text
from nlmevae.ir import Diagnostic

LIBRARY = "lib:"


def resolved_path(written: str, project: Path, at: Location | None) -> tuple[Path | None, Diagnostic | None]:
    """The file a project means, and a note where it is not at the place that is written: then a file of its name beside
    the project, or below it, is taken. None where there is none."""
    relative = Path(written.strip().replace("\\", "/"))
    folder = project.parent
    direct = folder / relative
    if os.path.isfile(direct):  # False, too, for names no file can have
        return direct, None
    name = PureWindowsPath(written.strip()).name
    beside = folder / name
    if name and os.path.isfile(beside):
        found = [beside]
    else:
        found = sorted(f for f in folder.glob(f"*/{name}") if os.path.isfile(f)) if _is_plain(name) else []
    if len(found) != 1:  # none, or no telling which
        return None, None
    note = Diagnostic(
        code="moved-file",
        severity="note",
        message=f"{written} is not there; {found[0]} is read instead",
        hint="correct the path in the project if this is another file",
        location=at,
    )
    return found[0], note


def _is_plain(name: str) -> bool:
    """Without signs that mean something in a pattern of file names."""
    return bool(name) and not set(name) & set("*?[]\0")


def model_source(written: str, project: Path, at: Location | None) -> tuple[SourceText, Diagnostic | None]:
    """The text of the structural model `file = '...'` names.

    Raises:
        UnsupportedError: a library model that cannot be generated.
        ModelError: no such file.
    """
    if written.startswith(LIBRARY):
        return _library_source(written, at)
    path, note = resolved_path(written, project, at)
    if path is None:
        name = PureWindowsPath(written.strip()).name
        raise ModelError(
            f"the model file {written} does not exist",
            hint=f"put {name} next to the project",
            location=at,
        )
    try:
        return read_text(path), note
    except OSError as error:
        raise ModelError(
            f"the model file {path} cannot be read: {error.strerror}", hint="check its permissions", location=at
        ) from None


def _library_source(written: str, at: Location | None) -> tuple[SourceText, Diagnostic | None]:
    name = written.removeprefix(LIBRARY)
    text = model_text(name)
    if text is None:
        raise UnsupportedError(
            f"the library model {name} cannot be generated from its name",
            hint="open it in the Monolix editor, save it next to the project and name that file: "
            f"file = '{PureWindowsPath(name).name}'",
            location=at,
        )
    warning = model_warning(name)
    if warning is None:
        return source_text(text, written), None
    note = Diagnostic(
        code="library-model", severity="warning", message=warning,
        hint="save the text of the model next to the project and name that file to be certain", location=at,
    )  # fmt: skip
    return source_text(text, written), note
