"""Board D: five covariates on the five parameters of the neonate model (25 candidates, 2^25 models).

    python -m tests.benchmarks.selection.neonates [--sets 3] [--cases public 189 2425] [--criteria bicc,ebic]
        [--processes 1] [--out d.jsonl]

`public`: the authors' simulated set, where a data set is a seed of the estimation (needs the reference folder); a
number: so many subjects simulated with known effects. Prints supports, BICc, seconds, peak memory of the process.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from tests.benchmarks.selection import neonates_data as data
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
from tests.benchmarks.selection.score import pooled, score

_ROOT = Path(__file__).resolve().parents[3]
PUBLIC = Path(os.environ.get("NLMEVAE_REFERENCE") or _ROOT.parent / "shared" / "reference") / (
    "neonates/neonates_simulated.csv"
)
#: Best by exact likelihood of all models tried on the public set, BICc 12657.3; not proved optimal.
PUBLIC_BEST = tuple(data.TRUE_EFFECTS)


def run(task: Task) -> Record:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if task["case"] == "public":
            file = str(PUBLIC)
        else:
            file = "neonates.csv"
            rng = np.random.default_rng([int(task["case"]), task["set"]])
            (folder / file).write_text(data.simulate(rng, int(task["case"])), encoding="ascii")
        stream = folder / "neonates.ctl"
        stream.write_text(data.control_stream(file), encoding="ascii")
        return selection_records(
            stream,
            task["criteria"],
            each=task["each"],
            covariates=data.CONTINUOUS,
            categorical=data.CATEGORICAL,
            seed=1 + task["set"],
            **fit_settings(task["settings"]),
        )


def report(case: str, records: list[Record]) -> None:
    for criterion in records[0]["supports"]:
        scores = [score(r["supports"][criterion], data.TRUE_EFFECTS) for r in records]
        print(
            f"{case} {criterion}: against {'the best known' if case == 'public' else 'the truth'}: "
            + "exact {exact:.0%} pooled F1 {pooled_f1:.3f} pooled FDR {pooled_fdr:.3f} false {false:.2f} missed "
            "{missed:.2f} runs {sets}".format(**pooled(scores))
        )
        for support, count in Counter(" ".join(sorted(r["supports"][criterion])) for r in records).most_common():
            print(f"  {count} x {support or '-'}")
    for r in records:
        print(
            f"  {case} {r['task']['set']}: BICc {r['bicc']:.2f} -2LL {r['minus_two_ll']:.2f} (MC SE {r['mc_se']}) "
            f"{r['status']} {r['seconds']:.0f} s, peak {r['peak_mb']} MB"
        )


def main() -> None:
    made = parser(__doc__, sets=3, criteria="bicc,ebic,lrt:0.01")
    made.add_argument("--cases", nargs="+", default=["public", "189", "2425"])
    options = made.parse_args()
    tasks = [
        {"set": k, "case": case, "criteria": criteria_of(options), "each": options.each, "settings": options.settings}
        for case in options.cases
        for k in range(options.first, options.first + options.sets)
    ]
    records = run_tasks(tasks, run, options, fresh=True)
    for case in options.cases:
        good = [r for r in records if "error" not in r and r["task"]["case"] == case]
        if good:
            report(case, good)
    print(f"errors: {sum('error' in r for r in records)} of {len(records)}")


if __name__ == "__main__":
    one_thread()
    main()
