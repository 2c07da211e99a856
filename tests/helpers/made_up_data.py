"""A data file for any control stream: a dose and a few observations for three subjects, plain values in all items."""

from __future__ import annotations

from pathlib import Path

from nlmevae.ir import Column, Model

_TIMES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0)


def made_up_data(model: Model, path: Path) -> Path:
    """Written to `path`, in the columns of $INPUT."""
    dosed = bool(model.structural.compartments)
    lines = []
    for subject in (1, 2, 3):
        for k, time in enumerate(_TIMES):
            dose = dosed and k == 0
            lines.append(",".join(_item(c, subject, k, time, dose=dose) for c in model.data.file_columns))
    path.write_text("\n".join(lines) + "\n")
    return path


def _item(column: Column, subject: int, k: int, time: float, *, dose: bool) -> str:
    match column.role:
        case "id":
            return str(subject)
        case "time":
            return f"{time:g}"
        case "dv":
            return "0" if dose else f"{2.0 + 0.3 * subject - 0.2 * k:g}"
        case "mdv" | "evid":
            return "1" if dose else "0"
        case "amt":
            return "100" if dose else "0"
        case "covariate" if column.name in ("AGE", "WT", "CRCL"):
            return str(20 + 15 * subject)
        case "covariate" if column.name == "CENS":
            return str(int(k == 3))
        case "covariate":
            return str(1 if subject < 3 else 2)
        case _:
            return "0"
