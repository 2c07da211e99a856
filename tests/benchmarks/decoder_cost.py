"""What a gradient step costs per subject, and how it grows with observations, doses and parameters.

    python -m tests.benchmarks.decoder_cost [--plot docs/decoder-cost.png]

CPU time of predictions with all derivatives, in microseconds per subject, of linear models with one to three
compartments and absorption: by closed form, and the same equations integrated by the compiled back end at its default
tolerance. 200 subjects, one thread; the best of several calls.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nlmevae.decoder.base import Decoder
from nlmevae.decoder.closed_form import ClosedFormDecoder
from nlmevae.decoder.compiled import CompiledDecoder
from tests.helpers.forms import bolus, make_table
from tests.helpers.linear_forms import linear_form

N_SUBJECTS = 200
MODELS = {
    "one_absorption": "one compartment", "two_absorption": "two compartments", "three_absorption": "three compartments",
}  # fmt: skip
BACK_ENDS = {"closed form": ClosedFormDecoder, "compiled": CompiledDecoder}
RATE = {"KA": 1.2, "K": 0.2, "K23": 0.3, "K32": 0.15, "K24": 0.05, "K42": 0.02}
OBSERVATIONS, DOSES, EXTRA = (2, 5, 10, 20, 50, 100), (1, 3, 10, 30, 100), (0, 2, 4, 6)


def decoder_of(
    kind: str, back_end: str, *, observations: int, doses: int, extra: int = 0
) -> tuple[Decoder, np.ndarray]:
    """With `extra` more parameters: initial amounts, lags and bioavailabilities."""
    more = {"lag": [], "bioavailability": [], "initial": []}
    for k in range(extra):
        more[tuple(more)[k % 3]].append(k // 3 + 1)
    form = linear_form(kind, observed=[2], **more)
    last = 12.0 * doses + 24.0
    times = np.linspace(0.3, last, observations)
    subject = {
        "events": [bolus(12.0 * j, 100.0) for j in range(doses)],
        "observations": [(float(t), 2) for t in times],
    }
    values = {**RATE, "V": 20.0}
    centre = [np.log(values.get(latent.name, 0.5)) for latent in form.latents]
    z = centre + 0.2 * np.random.default_rng(1).standard_normal((N_SUBJECTS, len(centre)))
    return BACK_ENDS[back_end](form, make_table([subject] * N_SUBJECTS)), z


def microseconds(decoder: Decoder, z: np.ndarray, repeats: int = 7) -> float:
    """Per subject: predictions with derivatives."""
    decoder.linearise(z)
    best = min(_cpu(decoder, z) for _ in range(repeats))
    decoder.close()
    return 1e6 * best / len(z)


def _cpu(decoder: Decoder, z: np.ndarray) -> float:
    began = time.process_time()
    decoder.linearise(z)
    return time.process_time() - began


def measured() -> dict[str, dict[tuple[str, str], list[tuple[int, float]]]]:
    """Panel -> (model, back end) -> (number, microseconds)."""
    panels: dict[str, dict[tuple[str, str], list[tuple[int, float]]]] = {}
    cases = {
        "observations per subject": [(n, {"observations": n, "doses": 1}) for n in OBSERVATIONS],
        "doses per subject": [(n, {"observations": 10, "doses": n}) for n in DOSES],
        "parameters": [(n, {"observations": 10, "doses": 3, "extra": n}) for n in EXTRA],
    }
    for panel, points in cases.items():
        for kind in MODELS:
            for back_end in BACK_ENDS:
                line = panels.setdefault(panel, {}).setdefault((kind, back_end), [])
                for number, options in points:
                    decoder, z = decoder_of(kind, back_end, **options)
                    line.append((z.shape[1] if panel == "parameters" else number, microseconds(decoder, z)))
    return panels


def draw(panels: dict[str, dict[tuple[str, str], list[tuple[int, float]]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(10.5, 3.6), sharey=True, layout="constrained")
    colours = dict(zip(MODELS, ("#0072B2", "#E69F00", "#009E73"), strict=True))
    for ax, (panel, lines) in zip(axes, panels.items(), strict=True):
        for (kind, back_end), points in lines.items():
            style = {"color": colours[kind], "linestyle": "-" if back_end == "closed form" else "--"}
            ax.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"{MODELS[kind]}, {back_end}", **style)
        ax.set_xlabel(panel)
        ax.set_yscale("log")
        if panel != "parameters":
            ax.set_xscale("log")
        ax.grid(alpha=0.25)
    axes[0].set_ylabel("µs per subject and gradient step")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)


def table(lines: dict[tuple[str, str], Sequence[tuple[int, float]]]) -> str:
    numbers = [number for number, _ in next(iter(lines.values()))]
    rows = ["| | " + " | ".join(map(str, numbers)) + " |", "|---" * (len(numbers) + 1) + "|"]
    for (kind, back_end), points in lines.items():
        rows.append(f"| {MODELS[kind]}, {back_end} | " + " | ".join(f"{us:.2g}" for _, us in points) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path)
    plot = parser.parse_args().plot
    found = measured()
    for name, lines in found.items():
        print(f"{name}\n\n{table(lines)}\n", flush=True)
    if plot is not None:
        draw(found, plot)
