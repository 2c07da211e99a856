"""The models of the reference data as Monolix projects, beside their data, with Monolix's results."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from nlmevae.comparison.monolix_folder import MonolixFolder, read_monolix_folder
from tests.helpers.reference import reference

PROJECTS = Path(__file__).parents[2] / "fixtures" / "monolix_reference"
_DATA = {
    "warfarin": "warfarin/warfarin_data.csv",
    "phenobarbital": "phenobarbital/phenobarbital_data.csv",
    "theophylline": "theophylline_monolix/theophylline_data.txt",
    "parent_metabolite": "parent_metabolite/parent_metabolite_data.csv",
}
_RESULTS = {
    "warfarin_w1": "warfarin/w1",
    "warfarin_w2": "warfarin/w2",
    "warfarin_w3": "warfarin/w3",
    "phenobarbital": "phenobarbital/monolix",
    "theophylline": "theophylline_monolix/monolix",
    "parent_metabolite": "parent_metabolite/monolix",
}
NAMES = tuple(_RESULTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceProject:
    """`values`: Monolix's estimates by its own names, standard deviations as they are."""

    path: Path
    folder: MonolixFolder

    @property
    def values(self) -> dict[str, float]:
        return {p.name: p.value for p in self.folder.parameters}


def stage(name: str, target: Path) -> ReferenceProject:
    """The project copied into `target`; skips without the reference data."""
    data = reference(_DATA["warfarin" if name.startswith("warfarin") else name])
    results = read_monolix_folder(reference(_RESULTS[name]))
    shutil.copy(data, target)
    return ReferenceProject(path=Path(shutil.copy(PROJECTS / f"{name}.mlxtran", target)), folder=results)
