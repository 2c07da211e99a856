"""Where the files of one prediction go; the same policy as for a fit (`run_folder`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nlmevae.results.run_folder import check_replaceable, make_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionFolder:
    """``<run>_<data>.individuals.csv``, ``.predictions.csv`` and, with samples, ``.ets``."""

    folder: Path
    stem: str

    @classmethod
    def beside(
        cls,
        source_path: str | os.PathLike[str],
        data_path: str | os.PathLike[str],
        out: str | os.PathLike[str] | None = None,
    ) -> PredictionFolder:
        """Beside the data, or in the folder `out`; named after the control stream and the data."""
        data = Path(data_path)
        return cls(folder=data.parent if out is None else Path(out), stem=f"{Path(source_path).stem}_{data.stem}")

    @property
    def individuals_csv(self) -> Path:
        return self.folder / f"{self.stem}.individuals.csv"

    @property
    def predictions_csv(self) -> Path:
        return self.folder / f"{self.stem}.predictions.csv"

    @property
    def ets(self) -> Path:
        return self.folder / f"{self.stem}.ets"

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.individuals_csv, self.predictions_csv, self.ets)

    def prepare(self, *, overwrite: bool = False, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Create the folder and make sure every file can be written.

        Raises:
            OutputError: the folder cannot be made or written to, or a file that is not ours would be lost.
        """
        make_folder(self.folder)
        check_replaceable(self.files, overwrite=overwrite, inputs=inputs)
