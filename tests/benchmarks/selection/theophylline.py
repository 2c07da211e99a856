"""Board E: theophylline, weight and sex on KA, K, V, one run per seed.

    python -m tests.benchmarks.selection.theophylline [--sets 50] [--criteria bicc] [--out e.jsonl]

Published (12 subjects): weight on KA and V; exact maximum likelihood of that model -2LL 331.918, BICc 363.493,
a 0.7244, the least BICc of all 64 models. Each seed is also fitted without selection, for the time.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections import Counter
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
from tests.helpers.cases import stage


def run(task: Task) -> Record:
    import nlmevae

    settings = fit_settings(task["settings"])
    of_a_fit = {f.name for f in dataclasses.fields(nlmevae.FitSettings)}
    with tempfile.TemporaryDirectory() as folder:
        stream, _ = stage("theophylline_base", Path(folder))
        record = selection_records(
            stream,
            task["criteria"],
            each=task["each"],
            covariates=("WT",),
            categorical=("SEX",),
            seed=1 + task["set"],
            **settings,
        )
        began = time.perf_counter()
        plain = nlmevae.fit(stream, seed=1 + task["set"], **{k: v for k, v in settings.items() if k in of_a_fit})
    record["fit_seconds"] = round(time.perf_counter() - began, 2)
    record["fit_minus_two_ll"] = round(plain.minus_two_ll, 3)
    return record


def main() -> None:
    made = parser(__doc__, sets=50, criteria="bicc,ebic,lrt:0.01")
    options = made.parse_args()
    tasks = [
        {"set": k, "criteria": criteria_of(options), "each": options.each, "settings": options.settings}
        for k in range(options.first, options.first + options.sets)
    ]
    records = run_tasks(tasks, run, options)
    good = [r for r in records if "error" not in r]
    for criterion in good[0]["supports"] if good else ():
        counts = Counter(" ".join(sorted(r["supports"][criterion])) or "-" for r in good)
        print(criterion, "; ".join(f"{n} x {s}" for s, n in counts.most_common()))
    for name in () if not good else ("minus_two_ll", "bicc", "seconds", "fit_seconds", "a"):
        values = [r["estimates"]["RUV_ADD"] ** 0.5 if name == "a" else r[name] for r in good]
        print(f"{name}: median {np.median(values):.4f}, {np.min(values):.4f} to {np.max(values):.4f}")
    print("status", Counter(r["status"] for r in good), f"errors: {len(records) - len(good)} of {len(records)}")


if __name__ == "__main__":
    one_thread()
    main()
