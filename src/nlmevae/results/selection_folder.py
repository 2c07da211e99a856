"""Where the files of a covariate selection go, and which existing files it may replace.

The same policy as for a fit (`run_folder`), with one more kind of file: the selected control stream. One that
someone has changed since it was written is theirs, not ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nlmevae.errors import OutputError
from nlmevae.results.run_folder import RunFolder, check_replaceable, is_own_file, make_folder

#: Plot name -> what the file is called after ``<run>_selected.``.
PLOTS = ("trace", "support", "path")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionFolder:
    """The output files of one selection: those of a fit for ``<stem>_selected``, the control stream that was
    fitted, ``.selection.json`` and the plots.

    Attributes:
        run: files of the selected model's fit; its stem ends in ``_selected``.
        suffix: of the control stream, that of the input (``.ctl``, ``.mod``).
    """

    run: RunFolder
    suffix: str = ".ctl"

    @classmethod
    def beside(cls, source_path: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> SelectionFolder:
        """Beside the control stream, or in the folder `out`; named after the control stream."""
        source = Path(source_path)
        run = RunFolder(folder=source.parent if out is None else Path(out), stem=f"{source.stem}_selected")
        taken = {path.suffix for path in run.files}
        return cls(run=run, suffix=source.suffix if source.suffix and source.suffix not in taken else ".ctl")

    @property
    def folder(self) -> Path:
        return self.run.folder

    @property
    def control_stream(self) -> Path:
        return self.folder / f"{self.run.stem}{self.suffix}"

    @property
    def selection_json(self) -> Path:
        return self.folder / f"{self.run.stem}.selection.json"

    def plot(self, name: str) -> Path:
        """The picture called `name`, one of `PLOTS`."""
        return self.folder / f"{self.run.stem}.{name}.png"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file a selection may write, in the order in which they are listed to the user."""
        return (self.control_stream, *self.run.files, self.selection_json, *(self.plot(name) for name in PLOTS))

    def prepare(self, *, overwrite: bool = False, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Create the folder and make sure every file can be written, before hours are spent.

        Args:
            overwrite: also replace files that another program wrote, and a selected control stream that someone
                has changed.
            inputs: files of this run that must survive (control stream, data, settings).

        Raises:
            OutputError: the folder cannot be made or written to, or a file would be lost.
        """
        make_folder(self.folder)
        others = [path for path in (*self.files, self.run.checkpoint) if path != self.control_stream]
        check_replaceable(others, overwrite=overwrite, inputs=inputs)
        check_replaceable([self.control_stream], overwrite=True, inputs=inputs)
        if self.control_stream.exists() and not overwrite and not self._is_unchanged_control_stream():
            raise OutputError(
                f"{self.control_stream} exists and was not written by nlmevae, or has been changed since",
                hint="move it away, choose another folder with --out, or replace it with --overwrite",
            )

    def remove_previous(self) -> None:
        """Remove the files of an earlier run, so that files of two runs never stand side by side.

        Call only after `prepare`: whatever is here then may be replaced."""
        for path in self.files:
            path.unlink(missing_ok=True)

    def _is_unchanged_control_stream(self) -> bool:
        """Is it, letter for letter, what the `selection.json` beside it says was written?"""
        try:
            document = json.loads(self.selection_json.read_text(encoding="utf-8"))
            written = document["model_text"].encode("utf-8", "surrogateescape")
            return is_own_file(self.selection_json) and self.control_stream.read_bytes() == written
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
