"""11. The control stream, the data, the settings, the words."""

from __future__ import annotations

import numpy as np

from nlmevae.report.page.blocks import Block, Definitions, Heading, Listing, Section, Table
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.glossary import TERMS
from nlmevae.report.page.numbers import cell, counted
from nlmevae.results.diagnostics import SubjectCovariates


def appendix(contents: Contents) -> Section:
    run = contents.run
    what = "Project" if contents.fit.source_format == "monolix" else "Control stream"
    blocks: list[Block] = [
        Heading(text=what),
        Listing(text=run.control_stream or "(not available)", label=f"The {what.lower()} that was fitted"),
    ]
    if run.parameters:
        blocks.append(
            Table(
                caption="Individual parameters as they were understood.",
                header=("Parameter", "Distribution", "Random effect", "Typical value from"),
                rows=tuple((p.name, p.distribution, p.eta, ", ".join(p.reads) or "constants") for p in run.parameters),
                texts=(1, 2, 3),
            )
        )
    blocks += [Heading(text="Data"), _data(contents)]
    if contents.diagnostics is not None and contents.diagnostics.covariates.names:
        blocks.append(_covariates(contents.diagnostics.covariates))
    remarks = [n for n in run.notes if n.severity != "warning"]
    if remarks:
        blocks.append(
            Table(
                caption="Remarks on model and data.",
                header=("Remark", "Place", "What to do"),
                rows=tuple((n.message, n.place, n.hint) for n in remarks),
                texts=(1, 2),
            )
        )
    settings = tuple(
        (name, "by method" if value is None else str(value)) for name, value in contents.fit.settings.items()
    )
    blocks += [
        Heading(text="Settings"),
        Table(caption="Settings of the estimation.", header=("Setting", "Value"), rows=settings, texts=(1,)),
        Heading(text="Glossary"),
        Definitions(items=TERMS),
    ]
    return Section(anchor="appendix", title=f"{what}, data, settings, glossary", blocks=tuple(blocks))


def _data(contents: Contents) -> Table:
    data, diagnostics = contents.run.data, contents.diagnostics
    least, median, most = data.obs_per_subject
    rows = [
        ("File", data.path),
        ("Records used", str(data.n_records)),
        ("Subjects", str(contents.fit.n_subjects)),
        ("Subjects without observations", str(data.n_without_observations)),
        ("Observations per subject", f"{least:g}" if least == most else f"{least:g} to {most:g}, median {median:g}"),
        *(("Doses", text) for text in data.doses),
    ]
    if diagnostics is not None:
        o = diagnostics.observations
        for number, kind in enumerate(diagnostics.endpoints):
            rows.append((f"Observations of {kind.name}", _observed(o.dv, o.time, o.censored, o.endpoint == number)))
    return Table(caption="The data.", header=("Item", "Value"), rows=tuple(rows), texts=(1,))


def _observed(dv: np.ndarray, time: np.ndarray, censored: np.ndarray, chosen: np.ndarray) -> str:
    if not chosen.any():
        return "none"
    values, times = dv[chosen], time[chosen]
    text = f"{chosen.sum()}, from {cell(float(values.min()))} to {cell(float(values.max()))}"
    text += f", times {cell(float(times.min()))} to {cell(float(times.max()))}"
    n = int((chosen & censored).sum())
    return f"{text}, {n} beyond the limit of quantification" if n else text


def _covariates(known: SubjectCovariates) -> Table:
    rows = []
    for k, name in enumerate(known.names):
        values = known.values[:, k]
        present = values[np.isfinite(values)]
        missing = len(values) - len(present)
        kind, text = ("categories", _levels(present)) if known.categorical[k] else ("continuous", _spread(present))
        rows.append((name, kind, text, str(missing)))
    return Table(
        caption="Covariates at each subject's first record.",
        header=("Covariate", "Kind", "Values", "Missing"),
        rows=tuple(rows),
        texts=(1, 2),
    )


def _levels(values: np.ndarray) -> str:
    levels, counts = np.unique(values, return_counts=True)
    listed = (f"{level:g} ({counted(int(n), 'subject')})" for level, n in zip(levels, counts, strict=True))
    return ", ".join(listed) or "none"


def _spread(values: np.ndarray) -> str:
    if not len(values):
        return "none"
    low, middle, high = (cell(float(q)) for q in np.quantile(values, [0.05, 0.5, 0.95]))
    ends = f"{cell(float(values.min()))} to {cell(float(values.max()))}"
    return f"{ends}, median {middle}, 5 % {low}, 95 % {high}"
