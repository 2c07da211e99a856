"""Files that a project names: paths of any system, projects that were moved, models of the library."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from nlmevae.errors import Location, ModelError, UnsupportedError
from nlmevae.frontends.monolix.library import model_text, model_warning
from nlmevae.frontends.monolix.split import read_text
from nlmevae.frontends.nonmem.records import SourceText, source_text
from nlmevae.ir import Diagnostic

LIBRARY = "lib:"


def resolved_path(written: str, project: Path, at: Location | None) -> tuple[Path | None, Diagnostic | None]:
    """The file a project means, and a note where it is not at the place that is written: then a file of its name beside
    the project, or below it, is taken. None where there is none."""
    relative = Path(written.strip().replace("\\", "/"))
    folder = project.parent
    direct = folder / relative
    if direct.is_file():
        return direct, None
    name = PureWindowsPath(written.strip()).name
    for candidate in (folder / name, *sorted(folder.glob(f"*/{name}" if _is_plain(name) else "\0"))):
        if candidate.is_file():
            note = Diagnostic(
                code="moved-file",
                severity="note",
                message=f"{written} is not there; {candidate} is read instead",
                hint="correct the path in the project if this is another file",
                location=at,
            )
            return candidate, note
    return None, None


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
