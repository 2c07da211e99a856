"""Board A: the published 16-scenario factorial, simulated again.

    python -m tests.benchmarks.selection.factorial [--sets N] [--subjects 40 80 300] [--shapes 1 2]
        [--omega block|diagonal] [--criteria bicc,ebic,lrt:0.01] [--each] [--method select|stepwise]
        [--processes 2] [--out a.jsonl]

For each scenario (subset of four true effects) and data set: a control stream without covariates, five covariates on CL
and V2, power effects only (10 candidates) or also exponential ones (16). Scored: share of exact models over scenarios
(covariate-parameter relations; with two shapes also with the shapes right), null model kept, false and missed effects,
and beside them what the criterion chooses for the same subjects when their parameters are known (oracle.py).
`--method stepwise` runs step-wise search on the same engine instead (stepwise.py).
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path
from typing import Any

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
from tests.benchmarks.selection.factorial_data import (
    CATEGORICAL,
    CONTINUOUS,
    PARAMETERS,
    SCENARIOS,
    control_stream,
    draw_subjects,
    simulate,
)
from tests.benchmarks.selection.oracle import CRITERIA, design, select
from tests.benchmarks.selection.score import pooled, relations, score

FORMS = {1: ("power",), 2: ("power", "exponential")}


def tasks(options: argparse.Namespace) -> list[Task]:
    """Data sets outermost, so that a board cut short has whole rounds of scenarios."""
    chosen = range(len(SCENARIOS)) if options.scenarios is None else options.scenarios
    cases = itertools.product(
        range(options.first, options.first + options.sets), options.shapes, options.subjects, chosen
    )
    return [
        {
            "set": k,
            "shapes": shapes,
            "n": n,
            "scenario": s,
            "omega": options.omega,
            "method": options.method,
            "criteria": criteria_of(options),
            "each": options.each,
            "settings": options.settings,
        }
        for k, shapes, n, s in cases
    ]


def write_data(task: Task, folder: Path) -> Path:
    """The control stream in `folder`, its data beside it; the data are those of the oracle board's same set."""
    rng = np.random.default_rng([task["n"], task["scenario"], task["set"]])
    (folder / "factorial.csv").write_text(simulate(rng, task["n"], SCENARIOS[task["scenario"]]), encoding="ascii")
    stream = folder / "factorial.ctl"
    stream.write_text(control_stream("factorial.csv", omega=task["omega"]), encoding="ascii")
    return stream


def run(task: Task) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        stream = write_data(task, Path(folder))
        if task["method"] == "stepwise":
            from tests.benchmarks.selection.stepwise import stepwise_record

            return stepwise_record(stream, shapes=task["shapes"])
        return selection_records(
            stream,
            task["criteria"],
            each=task["each"],
            covariates=CONTINUOUS,
            categorical=CATEGORICAL,
            parameters=PARAMETERS,
            forms=FORMS[task["shapes"]],
            seed=1 + task["set"],
            **fit_settings(task["settings"]),
        )


def oracle_support(task: Task, criterion: str) -> set[str] | None:
    """What the criterion chooses when the parameters of this data set's subjects are known; None for others."""
    if criterion not in CRITERIA:
        return None
    rng = np.random.default_rng([task["n"], task["scenario"], task["set"]])
    subjects = draw_subjects(rng, task["n"], SCENARIOS[task["scenario"]])
    p = len(PARAMETERS) * (task["shapes"] * len(CONTINUOUS) + len(CATEGORICAL))
    X, subsets = design(subjects.covariates, task["shapes"])
    chosen = select(X, subjects.log_parameters, subsets, p, task["omega"], (criterion,))[criterion]
    return {relation for relation, _ in chosen}


def exact_shapes(support: list[str], truth: tuple[str, ...]) -> bool:
    """Relations and shapes: all true effects are power effects (SEX has one shape)."""
    return {name.removesuffix(":power") for name in support} == set(truth)


def summary(records: list[Record]) -> list[dict[str, Any]]:
    """One row per (shapes, N, omega, criterion)."""
    good = [r for r in records if "error" not in r]
    rows = []
    keys = sorted({(r["task"]["shapes"], r["task"]["n"]) for r in good})
    for shapes, n in keys:
        here = [r for r in good if (r["task"]["shapes"], r["task"]["n"]) == (shapes, n)]
        for criterion in here[0]["supports"]:
            pairs = [(r["supports"][criterion], SCENARIOS[r["task"]["scenario"]]) for r in here]
            scores = [score(support, truth) for support, truth in pairs]
            kept = [s["exact"] for s, (_, truth) in zip(scores, pairs, strict=True) if not truth]
            rows.append(
                {"shapes": shapes, "n": n, "criterion": criterion}
                | pooled(scores)
                | {
                    "with_shape": float(np.mean([exact_shapes(*pair) for pair in pairs])),
                    "as_oracle": _as_oracle(here, criterion),
                    "oracle_exact": _oracle_exact(here, criterion),
                    "null_kept": float(np.mean(kept)) if kept else float("nan"),
                    "seconds": float(np.median([r["seconds"] for r in here])),
                    "converged": float(np.mean([r["status"] == "CONVERGED" for r in here])),
                }
            )
    return rows


def _as_oracle(records: list[Record], criterion: str) -> float:
    """Share of data sets whose relations are the oracle's."""
    wanted = [oracle_support(r["task"], criterion) for r in records]
    same = [relations(r["supports"][criterion]) == w for r, w in zip(records, wanted, strict=True) if w is not None]
    return float(np.mean(same)) if same else float("nan")


def _oracle_exact(records: list[Record], criterion: str) -> float:
    wanted = [(oracle_support(r["task"], criterion), SCENARIOS[r["task"]["scenario"]]) for r in records]
    right = [w == set(truth) for w, truth in wanted if w is not None]
    return float(np.mean(right)) if right else float("nan")


def main() -> None:
    made = parser(__doc__, sets=2)
    made.add_argument("--subjects", type=int, nargs="+", default=[40, 80, 300])
    made.add_argument("--shapes", type=int, nargs="+", default=[1, 2], choices=(1, 2))
    made.add_argument("--omega", choices=("block", "diagonal"), default="block")
    made.add_argument("--method", choices=("select", "stepwise"), default="select")
    made.add_argument("--scenarios", type=int, nargs="+", help="numbers 0 to 15, default all")
    options = made.parse_args()
    records = run_tasks(tasks(options), run, options)
    for row in summary(records):
        print(
            "shapes {shapes} N {n:3d} {criterion:9s} exact {exact:6.1%} with shape {with_shape:6.1%} null kept "
            "{null_kept:6.1%} oracle exact {oracle_exact:.0%} "
            "as oracle {as_oracle:.0%} F1 {pooled_f1:.3f} false {false:.2f} missed {missed:.2f} sets {sets} median "
            "{seconds:.1f} s converged {converged:.0%}".format(**row)
        )
    print(f"errors: {sum('error' in r for r in records)} of {len(records)}")


if __name__ == "__main__":
    one_thread()
    main()
