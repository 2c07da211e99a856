"""The `.ets` file: samples of every individual's random effects, in the layout of NONMEM's ETASAMPLES."""

from __future__ import annotations

from pathlib import Path

from nlmevae.results.fit_result import IndividualResults
from nlmevae.results.run_folder import METHOD_TITLE
from nlmevae.writers.atomic import write_atomically
from nlmevae.writers.nonmem_layout import header_line, id_text, number, title_line


def write_ets(path: Path, people: IndividualResults, table: int = 1) -> None:
    """Write `.ets` whole or not at all; OutputError if it cannot be written."""
    write_atomically(path, ets_text(people, table))


def ets_text(people: IndividualResults, table: int = 1) -> str:
    """One line per subject and sample; samples have equal weight. `table`: number of the estimation step."""
    n_samples, _, n_eta = people.eta_samples.shape
    etas = [f"ETA({k + 1})" for k in range(n_eta)]
    lines = [title_line(METHOD_TITLE, table=table), header_line(["SUBJECT_NO", "ID", "SAMPLE", *etas])]
    for subject, label in enumerate(people.labels):
        start = f"{subject + 1:13d}{id_text(label)}"
        for sample in range(n_samples):
            values = "".join(number(float(v)) for v in people.eta_samples[sample, subject])
            lines.append(f"{start}{sample + 1:13d}{values}")
    return "\n".join(lines) + "\n"
