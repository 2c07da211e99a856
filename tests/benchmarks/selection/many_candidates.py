"""Board C: many more candidates than anyone would test one by one.

    python -m tests.benchmarks.selection.many_candidates [--sets 3] [--cases 100x200x3 200x500x2]
        [--criteria ebic,bicc] [--out c.jsonl]

Subjects x covariates x parameters. Prints the share of exact models, seconds and peak memory of the process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from tests.benchmarks.selection.board import (
    Record,
    Task,
    criteria_of,
    fit_settings,
    one_thread,
    parser,
    run_tasks,
    selection_records,
)
from tests.benchmarks.selection.many_candidates_data import DESIGNS, control_stream, simulate
from tests.benchmarks.selection.score import pooled, score


def run(task: Task) -> Record:
    design = DESIGNS[task["case"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng([design.n_subjects, design.n_covariates, task["set"]])
        (folder / "many.csv").write_text(simulate(rng, design), encoding="ascii")
        stream = folder / "many.ctl"
        stream.write_text(control_stream(design, "many.csv"), encoding="ascii")
        return selection_records(
            stream,
            task["criteria"],
            each=task["each"],
            covariates=design.continuous,
            categorical=design.binary,
            parameters=design.parameters,
            seed=1 + task["set"],
            **fit_settings(task["settings"]),
        )


def main() -> None:
    made = parser(__doc__, sets=3, criteria="ebic,bicc,mbic,lrt:0.001")
    made.add_argument("--cases", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    options = made.parse_args()
    tasks = [
        {"set": k, "case": case, "criteria": criteria_of(options), "each": options.each, "settings": options.settings}
        for case in options.cases
        for k in range(options.first, options.first + options.sets)
    ]
    records = run_tasks(tasks, run, options, fresh=True)
    for case in options.cases:
        good = [r for r in records if "error" not in r and r["task"]["case"] == case]
        for criterion in good[0]["supports"] if good else ():
            row = pooled([score(r["supports"][criterion], DESIGNS[case].effects) for r in good])
            row |= {"s": np.median([r["seconds"] for r in good]), "mb": max(r["peak_mb"] for r in good)}
            print(
                f"{case} {criterion:9s} "
                + "exact {exact:.0%} pooled F1 {pooled_f1:.3f} false {false:.2f} missed {missed:.2f} sets {sets} "
                "median {s:.0f} s, peak {mb} MB".format(**row)
            )
    print(f"errors: {sum('error' in r for r in records)} of {len(records)}")


if __name__ == "__main__":
    one_thread()
    main()
