"""The `.shm` file: which random effects of which subject count in the shrinkage of `.shk`.

As NONMEM's: one line per subject, its subpopulation (1, there are no mixtures) with its probability, then 1 for a
random effect that is left out of the shrinkage and 0 for one that counts. nlmevae leaves out subjects without
observations, with all their random effects, and no others.
"""

from __future__ import annotations

from pathlib import Path

from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_folder import METHOD_TITLE
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.nonmem_layout import each_table, id_text, number


def write_shm(path: Path, result: FitResult, n_tables: int = 1) -> None:
    """Write `.shm` whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, shm_text(result, n_tables))


def shm_text(result: FitResult, n_tables: int = 1) -> str:
    """The file's content: the same table for each of the model's estimation steps."""
    n_eta = len(result.omega)
    labels = "".join(f"ETS({k + 1})".ljust(10) for k in range(n_eta))
    lines = [f" SUBJECT_NO   ID           SUBPOP       PMIX         {labels}".rstrip()]
    for subject, label in enumerate(result.individuals.labels):
        left_out = float(result.individuals.n_obs[subject] == 0)
        lines.append(f"{subject + 1:13d}{id_text(label)}{1:13d}{number(1.0)}" + f"  {left_out:.6f}" * n_eta)
    return each_table(METHOD_TITLE, lines, n_tables)
