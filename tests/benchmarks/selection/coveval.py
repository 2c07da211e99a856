"""Board B: the public PMX-CovEval scenarios.

    python -m tests.benchmarks.selection.coveval [--sets 1] [--scenario strm_7_sm_1_covmodel_22 ...]
        [--criteria bicc,ebic,lrt:0.01] [--each] [--out b.jsonl]

Fifteen covariates on elimination, central volume and absorption: 45 candidates, RACE with four indicators as one.
Scored per criterion against `scenarios.csv`: exact, F1, false discovery rate. A data set is a seed of the estimation
here: the data are given. Needs the reference folder (NLMEVAE_REFERENCE).
"""

from __future__ import annotations

import os
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
from tests.benchmarks.selection.coveval_data import CATEGORICAL, CONTINUOUS, Scenario, control_stream, scenarios
from tests.benchmarks.selection.score import pooled, score

_ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("NLMEVAE_REFERENCE") or _ROOT.parent / "shared" / "reference") / "pmx_coveval"


def run(task: Task) -> Record:
    scenario = _by_name(task["scenario"])
    with tempfile.TemporaryDirectory() as folder:
        stream = Path(folder) / "coveval.ctl"
        stream.write_text(control_stream(scenario, FOLDER / f"{scenario.name}_table.csv"), encoding="ascii")
        return selection_records(
            stream,
            task["criteria"],
            each=task["each"],
            covariates=CONTINUOUS,
            categorical=CATEGORICAL,
            parameters=scenario.parameters,
            seed=1 + task["set"],
            **fit_settings(task["settings"]),
        )


def _by_name(name: str) -> Scenario:
    return next(s for s in scenarios(FOLDER) if s.name == name)


def main() -> None:
    made = parser(__doc__, sets=1)
    made.add_argument("--scenario", nargs="+", help="default: all that can be stated")
    options = made.parse_args()
    every = scenarios(FOLDER)
    for scenario in every:
        if scenario.obstacle:
            print(f"{scenario.name}: not run: {scenario.obstacle}")
    names = options.scenario or [s.name for s in every if not s.obstacle]
    tasks = [
        {
            "set": k,
            "scenario": name,
            "criteria": criteria_of(options),
            "each": options.each,
            "settings": options.settings,
        }
        for k in range(options.first, options.first + options.sets)
        for name in names
    ]
    records = run_tasks(tasks, run, options)
    good = [r for r in records if "error" not in r]
    for record in good:
        truth = _by_name(record["task"]["scenario"]).truth
        for criterion, support in record["supports"].items():
            s = score(support, truth)
            print(
                f"{record['task']['scenario']:26s} {criterion:9s} {'exact' if s['exact'] else '     '} "
                f"F1 {s['f1']:.2f} FDR {s['fdr']:.2f}  "
                f"truth {' '.join(truth) or '-'}  found {' '.join(support) or '-'}  "
                f"{record['seconds']:.0f} s {record['status']}"
            )
    for criterion in good[0]["supports"] if good else ():
        rows = [score(r["supports"][criterion], _by_name(r["task"]["scenario"]).truth) for r in good]
        row = pooled(rows) | {"seconds": float(np.median([r["seconds"] for r in good]))}
        print(
            f"{criterion:9s} "
            + "exact {exact:.0%} mean F1 {f1:.3f} pooled F1 {pooled_f1:.3f} mean FDR {fdr:.3f} pooled FDR "
            "{pooled_fdr:.3f} false {false:.2f} missed {missed:.2f} runs {sets} median {seconds:.0f} s".format(**row)
        )
    print(f"errors: {len(records) - len(good)} of {len(records)}")


if __name__ == "__main__":
    one_thread()
    main()
