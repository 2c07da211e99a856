"""The suite's file as the tables and plots of docs/speed.md: `python -m tests.benchmarks.page [FOLDER]`.

Text between `<!-- benchmarks: NAME -->` and `<!-- end -->` is replaced, the rest of the page is written by hand. Plots
go beside the file. FOLDER is that of `python -m tests.benchmarks --out` (default: docs/benchmarks); of another folder
the page is printed, not written.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.__main__ import FILE, FOLDER
from tests.benchmarks.measurement import ROOT, exponent
from tests.benchmarks.plots import OVERVIEW, PLOTS, draw

PAGE = ROOT / "docs" / "speed.md"
BLOCK = re.compile(r"(<!-- benchmarks: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
#: Exponents are of the sizes from here on: below, the time of a call that does nothing is seen.
FROM = {"N": 100.0, "observations": 20.0, "random effects": 1.0, "covariates": 1.0}
MEMORY_FROM = 500  # subjects: with fewer, draws of all of them do not fill the samples

Found = dict[str, Any]


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0]) if arguments else FOLDER
    found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    draw(found["sections"], folder)
    page = filled(PAGE.read_text(encoding="utf-8"), found)
    if folder.resolve() == FOLDER:
        PAGE.write_text(page, encoding="utf-8")
    else:
        print(page)


def filled(page: str, found: Found) -> str:
    """The page with every block made anew.

    Raises:
        KeyError: a block has a name that nothing makes.
    """
    return BLOCK.sub(lambda m: f"{m[1]}{block(m[2], found)}\n{m[3]}", page)


def block(name: str, found: Found) -> str:
    if name == "machine":
        return of_machine(found)
    if name == OVERVIEW:
        return _plots(name)
    section = found["sections"].get(name)
    if section is None:
        return "*Not run.*"
    text = MAKERS.get(name, plain)(section["figures"]) if section["figures"] else ""
    ended = ""
    if section["status"] != "ok":
        ended = f"*The section ended early ({section['status']}): {section['message']}*"
    plots = _plots(name) if section["figures"] else ""
    return "\n\n".join(part for part in (text, plots, ended) if part)


def _plots(name: str) -> str:
    return "\n\n".join(f"![{title}](benchmarks/{file})" for file, (title, of, _) in PLOTS.items() if of == name)


def of_machine(found: Found) -> str:
    m, v = found["machine"], found["versions"]
    scales = {section["scale"] for section in found["sections"].values()}
    return (
        f"{found['date']}, {m['processor']}, {m['cores']} cores, {m['memory_gb']:g} GB, {m['system']}; one thread; "
        f"sizes: {', '.join(sorted(scales))}; "
        + ", ".join(f"{name} {number}" for name, number in v.items() if name != "nlmevae")
        + "."
    )


def plain(figures: list[Found]) -> str:
    """Every figure as a row."""
    places = list(dict.fromkeys(key for figure in figures for key in figure["at"]))
    several = len({figure["name"] for figure in figures}) > 1
    head = ["", *places] if several else places
    rows = [
        [*([figure["name"]] if several else []), *(_text(figure["at"].get(p, "")) for p in places), *_sides(figure)]
        for figure in figures
    ]
    return table([*head, "time", "beside", "its time", "ratio"], rows)


def _sides(figure: Found) -> list[str]:
    beside = figure["reference_seconds"]
    return [
        seconds(figure["seconds"]), figure["reference"], "" if beside is None else seconds(beside),
        "" if figure["ratio"] is None else number(figure["ratio"]),
    ]  # fmt: skip


def of_fits(figures: list[Found]) -> str:
    """Models by number of subjects, and what more a subject takes."""
    models = list(dict.fromkeys(f["at"]["model"] for f in figures))
    fitted = [f for f in figures if f["name"] == "fit"]
    sizes = sorted({f["at"]["N"] for f in fitted})
    at = {(f["at"]["model"], f["at"]["N"]): f for f in fitted}
    rows = []
    for model in models:
        own = [at.get((model, n)) for n in sizes]
        ratio = next((f["ratio"] for f in own if f and f["ratio"]), None)
        peaks = {
            name: [
                (f["at"]["N"], f["more"]["peak_memory_mb"])
                for f in figures
                if f["name"] == name and f["at"]["model"] == model
            ]
            for name in ("fit", "memory")
        }
        rows.append([
            model, *("" if f is None else seconds(f["seconds"]) for f in own), "" if ratio is None else number(ratio),
            f"{max(mb for _, mb in peaks['fit']):.0f} MB",
            memory_per_subject(peaks["fit"], least=MEMORY_FROM) or memory_per_subject(peaks["memory"]),
        ])  # fmt: skip
    text = table(["model", *(f"N = {n}" for n in sizes), "published / ours", "most memory", "memory per subject"], rows)
    return text


def memory_per_subject(points: list[tuple[float, float]], *, least: int = 0) -> str:
    """kB of one more subject, from the two largest of `points` (N, MB), which have `least` subjects; "" without two."""
    known = sorted(p for p in points if p[0] >= least)[-2:]
    if len(known) < 2:
        return ""
    (few, less), (many, more) = known
    return f"{max(0.0, 1024 * (more - less) / (many - few)):.0f} kB"


def power(points: list[tuple[float, float]]) -> str:
    """``0.98 ± 0.02``: the exponent of growth and its standard error, where there are points enough."""
    slope, error = exponent(points)
    return f"{slope:.2f}" if error != error else f"{slope:.2f} ± {error:.2f}"


def of_growth(figures: list[Found]) -> str:
    """Exponents, with the smallest and the largest time."""
    rows = []
    for what in dict.fromkeys(f["at"]["varies"] for f in figures):
        for name in dict.fromkeys(f["name"] for f in figures):
            own = [f for f in figures if f["at"]["varies"] == what and f["name"] == name]
            points = [(f["at"]["size"], f["seconds"]) for f in own]
            fitted = [p for p in points if p[0] >= FROM.get(what, 0.0)]
            if len(points) < 2:
                continue
            ratios = [f["ratio"] for f in own if f["ratio"]]
            peaks = [(f["at"]["size"], f["more"]["peak_memory_mb"]) for f in own if "more" in f]
            rows.append([
                name, f"{what}, {points[0][0]:g} to {points[-1][0]:g}", seconds(points[0][1]), seconds(points[-1][1]),
                power(fitted if len(fitted) > 1 else points[-2:]),
                f"{number(min(ratios))} to {number(max(ratios))}" if ratios else "", memory_per_subject(peaks),
            ])  # fmt: skip
    return table(
        ["", "grows with", "smallest", "largest", "exponent", "torchode alone / ours", "memory per subject"], rows
    )


def of_shares(figures: list[Found]) -> str:
    small = [f for f in figures if "python_seconds" in f["more"]]
    large = [f for f in figures if "share" in f["more"]]
    texts = []
    if small:
        rows = [
            [f["at"]["model"], seconds(f["seconds"]), *(seconds(f["more"]["parts"][p]) for p in _PARTS),
             seconds(f["more"]["python_seconds"]), number(f["ratio"])]
            for f in small
        ]  # fmt: skip
        head = ["a gradient step, N = 12", "whole", *_PARTS[:-1], "rest", "Python", "torchode alone / whole"]
        texts.append(table(head, rows))
    if large:
        parts = list(large[0]["more"]["share"])
        rows = [
            [f"{f['at']['model']}, N = {f['at']['N']}", seconds(f["seconds"]),
             *(f"{f['more']['share'][p]:.0%}" for p in parts)]
            for f in large
        ]  # fmt: skip
        texts.append(table(["a large fit", "whole", *parts], rows))
    return "\n\n".join(texts)


_PARTS = ("decoder", "encoder", "densities", "Python")


def of_populations(figures: list[Found]) -> str:
    rows = [
        [f"{f['at']['size']}", seconds(f["seconds"]), seconds(f["more"]["wall_seconds"]),
         "" if f["more"]["decoder_share"] is None else f"{f['more']['decoder_share']:.0%}",
         f"{f['more']['peak_memory_mb']:.0f} MB", f["more"]["status"].lower().replace("_", " ")]
        for f in figures
    ]  # fmt: skip
    text = table(["subjects", "processor", "wall", "decoder", "memory", "status"], rows)
    points = [(f["at"]["size"], f["seconds"]) for f in figures if f["at"]["size"] >= FROM["N"]]
    if len(points) < 2:
        return text
    memory = memory_per_subject([(f["at"]["size"], f["more"]["peak_memory_mb"]) for f in figures])
    return f"{text}\n\nProcessor seconds grow as N^p, p = {power(points)}; a subject takes {memory} of memory."


def of_forecasts(figures: list[Found]) -> str:
    """Seconds of the forecast with its range, of the run, and of making the forecast."""
    rows = [
        [f["at"]["model"], seconds(sum(f["more"]["told"].values())),
         f"{seconds(f['more']['low'])} to {seconds(f['more']['high'])}", seconds(f["reference_seconds"]),
         number(f["more"]["forecast_over_taken"]), seconds(f["seconds"])]
        for f in figures
    ]  # fmt: skip
    near = sum(0.5 <= f["more"]["forecast_over_taken"] <= 2.0 for f in figures)
    text = table(["model", "forecast", "range", "taken", "forecast / taken", "forecasting took"], rows)
    return f"{text}\n\nWithin a factor of two: {near} of {len(figures)}."


def of_searches(figures: list[Found]) -> str:
    return plain([{**f, "at": {"": f["at"]["case"]}} for f in figures])


MAKERS: dict[str, Callable[[list[Found]], str]] = {
    "fits": of_fits, "growth": of_growth, "shares": of_shares, "populations": of_populations,
    "forecast": of_forecasts, "searches": of_searches,
}  # fmt: skip


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def seconds(value: float) -> str:
    """With two digits and the unit that suits: 31 µs, 4.2 ms, 1.8 s, 4.5 min."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (120.0, 1.0, "s")):
        if value < limit:
            return f"{number(value * factor)} {unit}"
    return f"{number(value / 60)} min"


def number(value: float) -> str:
    """Two digits; whole above 10."""
    if value >= 100:
        digits = len(f"{value:.0f}") - 2
        return f"{round(value, -digits):.0f}"
    return f"{value:.0f}" if value >= 9.95 else f"{value:#.2g}"


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


if __name__ == "__main__":
    main(sys.argv[1:])
