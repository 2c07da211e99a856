"""Where the files of one run go, and which existing files a run may replace.

Policy: a run replaces files that an earlier nlmevae run wrote; a file another program wrote (NONMEM's own
``run1.ext``) is never replaced without being told to; the control stream and the data file are never
replaced at all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from nlmevae.errors import OutputError

#: What stands where NONMEM writes its method's name, in `.ext` and `.phi`. Readers that classify methods by
#: name (PsN, pharmpy, xpose) treat it as an importance-sampling method.
METHOD_TITLE = "Importance Sampling assisted by VAE Estimation"

#: In every report (`.lst`) of ours, which has NONMEM's layout, and in none of NONMEM's.
NOT_NONMEM = "NONMEM WAS NOT RUN"

#: First key of our JSON files and the software named in our pictures; only files with it are recognised as ours.
GENERATOR = "nlmevae"

#: First columns of our tables per subject (CSV), by which they are recognised as ours.
SUBJECT_COLUMNS = "ID,n_obs,"
#: First columns of a file of profile likelihoods; only files that begin with them are recognised as ours.
PROFILE_COLUMNS = ("profiled", "value", "rise", "interval_low", "interval_high")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """The output files of one run, ``<stem>.ext`` and so on, in `folder`."""

    folder: Path
    stem: str

    @classmethod
    def beside(cls, source_path: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> RunFolder:
        """Beside the control stream, or in the folder `out`; named after the control stream."""
        source = Path(source_path)
        return cls(folder=source.parent if out is None else Path(out), stem=source.stem)

    @property
    def ext(self) -> Path:
        return self.folder / f"{self.stem}.ext"

    @property
    def phi(self) -> Path:
        return self.folder / f"{self.stem}.phi"

    @property
    def results_json(self) -> Path:
        return self.folder / f"{self.stem}.results.json"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.stem}.html"

    @property
    def shk(self) -> Path:
        return self.folder / f"{self.stem}.shk"

    @property
    def shm(self) -> Path:
        return self.folder / f"{self.stem}.shm"

    @property
    def lst(self) -> Path:
        """NONMEM's report; only where it is asked for."""
        return self.folder / f"{self.stem}.lst"

    @property
    def individuals_csv(self) -> Path:
        return self.folder / f"{self.stem}.individuals.csv"

    @property
    def ets(self) -> Path:
        return self.folder / f"{self.stem}.ets"

    @property
    def encoder(self) -> Path:
        return self.folder / f"{self.stem}.encoder"

    @property
    def cov(self) -> Path:
        return self.folder / f"{self.stem}.cov"

    @property
    def cor(self) -> Path:
        return self.folder / f"{self.stem}.cor"

    @property
    def coi(self) -> Path:
        return self.folder / f"{self.stem}.coi"

    @property
    def profile_csv(self) -> Path:
        """Of `nlmevae profile`; a fit leaves it alone."""
        return self.folder / f"{self.stem}.profile.csv"

    @property
    def checkpoint(self) -> Path:
        """While the run lasts, and after one that was killed."""
        return self.folder / f"{self.stem}.checkpoint"

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything a run may leave: `.ets` and `.encoder` only where they are asked for, `.cov`, `.cor` and `.coi`
        only if there are standard errors."""
        estimates = (self.ext, self.phi, self.cov, self.cor, self.coi, self.shk, self.shm)
        return (*estimates, self.individuals_csv, self.ets, self.encoder, self.results_json)

    def prepare(self, *, overwrite: bool = False, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Create the folder and make sure every file can be written, before hours are spent on a fit.

        Args:
            overwrite: also replace files that another program wrote.
            inputs: files of this run that must survive (control stream, data).

        Raises:
            OutputError: the folder cannot be made or written to, or a file would be lost.
        """
        make_folder(self.folder)
        check_replaceable((*self.files, self.checkpoint), overwrite=overwrite, inputs=inputs)

    def remove_previous(self) -> None:
        """Remove the files of an earlier run, so that files of two runs never stand side by side.

        Call only after `prepare`: whatever is here then may be replaced."""
        for path in self.files:
            path.unlink(missing_ok=True)
        for path in (self.report, self.lst):
            if is_own_file(path):
                path.unlink(missing_ok=True)


def check_replaceable(
    files: Iterable[Path],
    *,
    overwrite: bool = False,
    inputs: Iterable[str | os.PathLike[str]] = (),
    own: Callable[[Path], bool] | None = None,
) -> None:
    """Make sure every file may be written.

    Args:
        overwrite: also replace files that another program wrote.
        inputs: files that must survive whatever is said.
        own: whether nlmevae wrote an existing file; None: as its first bytes say (`is_own_file`).

    Raises:
        OutputError: one of them is an input, a folder, or another program's.
    """
    kept = {Path(p).resolve() for p in inputs}
    own = is_own_file if own is None else own
    for path in files:
        if path.resolve() in kept:
            raise OutputError(
                f"{path} is an input of this run and would be overwritten",
                hint="choose another folder with --out",
            )
        if path.is_dir():
            raise OutputError(f"{path} is a folder", hint="choose another folder with --out")
        if path.exists() and not overwrite and not own(path):
            raise OutputError(
                f"{path} exists and was not written by nlmevae",
                hint="choose another folder with --out, or replace it with --overwrite",
            )


def is_own_file(path: Path) -> bool:
    """Was this file written by nlmevae? Decided by its first 400 bytes, never by its name alone; of a report, which
    begins with the control stream, by all of it."""
    try:
        with path.open("rb") as stream:
            head = stream.read(400).decode("utf-8", errors="replace")
    except OSError:
        return False
    if path.suffix == ".lst":
        return NOT_NONMEM.encode() in path.read_bytes()
    if path.suffix == ".png":
        return f"Software\0{GENERATOR}" in head
    if path.suffix == ".html":
        return f'<meta name="generator" content="{GENERATOR}">' in head
    if path.suffix in (".json", ".checkpoint"):
        return f'"generator": "{GENERATOR}"' in head
    if path.suffix == ".encoder":
        return f'"generator":"{GENERATOR}"' in head
    if path.suffix == ".csv":
        return head.startswith((SUBJECT_COLUMNS, ",".join(PROFILE_COLUMNS)))
    return METHOD_TITLE in head.split("\n", 1)[0]


def make_folder(folder: Path) -> None:
    """Create the folder if it is missing; OutputError if it cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError):
        raise OutputError(f"{folder} is not a folder", hint="give the name of a folder to --out") from None
    except OSError as error:
        raise OutputError(
            f"cannot write to the folder {folder}: {error.strerror}",
            hint="choose a folder you may write to with --out",
        ) from error
