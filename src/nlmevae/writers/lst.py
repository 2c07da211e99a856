"""The `.lst` file: NONMEM's report, in the layout by which other programs read how a run ended.

Below the version line, by which readers choose their parser, the report says that NONMEM was not run. A refused
control stream gets a report, too, with NM-TRAN's sentence for it and our message (`refusal_text`).

One fit serves all $ESTIMATION records; each has its block (#TBLN) with the same final values, as in `.ext`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from nlmevae.results.fit_result import FitResult
from nlmevae.results.run_folder import METHOD_TITLE, NOT_NONMEM
from nlmevae.results.status import FitStatus
from nlmevae.writers.ext import GOAL, final_objective
from nlmevae.writers.lst_blocks import (
    box,
    covariance_boxes,
    error_blocks,
    estimate_blocks,
    objective_box,
    statistics_lines,
)
from nlmevae.writers.nonmem_layout import LOG_2PI, objective
from nlmevae.writers.shk import shk_rows

IN_CONTROL_STREAM = "AN ERROR WAS FOUND IN THE CONTROL STATEMENTS."
IN_DATA = "AN ERROR WAS FOUND ON THE DATA SET."

_TERMINATION = {
    FitStatus.CONVERGED: "OPTIMIZATION WAS COMPLETED",
    FitStatus.FINISHED_SCHEDULE: "OPTIMIZATION WAS NOT TESTED FOR CONVERGENCE",
    FitStatus.EVALUATED: "EXPECTATION ONLY PROCESS COMPLETED",
    FitStatus.NOT_CONVERGED: "OPTIMIZATION WAS NOT COMPLETED",
    FitStatus.MONTE_CARLO_LIMITED: "OPTIMIZATION WAS NOT COMPLETED",
    FitStatus.INTERRUPTED: "OPTIMIZATION WAS NOT COMPLETED",
    FitStatus.NUMERICAL_FAILURE: "OPTIMIZATION WAS NOT COMPLETED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """What a report says beyond the result.

    Attributes:
        control_stream: its text, printable.
        version: of nlmevae.
        started, ended: with a time zone.
        cpu_seconds: of the whole run.
        items: data items in order, ID first as in $INPUT.
        n_records: of data, after IGNORE and ACCEPT.
        n_tables: estimation steps.
        notes: what was noticed about model and data.
    """

    control_stream: str
    version: str
    started: datetime
    ended: datetime
    cpu_seconds: float = 0.0
    items: tuple[str, ...] = ()
    n_records: int = 0
    n_tables: int = 1
    notes: tuple[str, ...] = ()


def lst_text(result: FitResult, facts: ReportFacts) -> str:
    """The report of a run that has a result, complete or not."""
    lines = [*_head(facts), *_problem(result, facts)]
    for table in range(1, facts.n_tables + 1):
        lines += _estimation(result, table)
    lines += [" Elapsed finaloutput time in seconds:     0.00"]
    lines += [f" #CPUT: Total CPU Time in Seconds, {facts.cpu_seconds:12.3f}", "Stop Time:", date_text(facts.ended)]
    return "\n".join(lines) + "\n"


def refusal_text(message: str, facts: ReportFacts, sentence: str = IN_CONTROL_STREAM) -> str:
    """The report of a run without results: `sentence` is NM-TRAN's, where it has one for this; `message` is ours, of
    several lines."""
    lines = [*_stream(facts), "", f" {sentence}"]
    lines += [f" {line}".rstrip() for line in message.splitlines()]
    lines += ["", f" {_author(facts)}", " THERE IS NO COMPLETE RESULT.", "Stop Time:", date_text(facts.ended)]
    return "\n".join(lines) + "\n"


def date_text(moment: datetime) -> str:
    """As `date` prints it, which readers parse; never translated."""
    days, months = "Mon Tue Wed Thu Fri Sat Sun", "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
    day, month = days.split()[moment.weekday()], months.split()[moment.month - 1]
    return f"{day} {month} {moment.day:2d} {moment:%H:%M:%S} {moment.tzname() or 'UTC'} {moment.year}"


def _author(facts: ReportFacts) -> str:
    return f"REPORT WRITTEN BY NLMEVAE {facts.version} IN NONMEM LAYOUT; {NOT_NONMEM}"


def _stream(facts: ReportFacts) -> list[str]:
    stream = [line.rstrip("\r") for line in facts.control_stream.split("\n")]
    return [date_text(facts.started), *stream, "NM-TRAN MESSAGES", "  "]


def _head(facts: ReportFacts) -> list[str]:
    notes = [f" (NLMEVAE) {line}".rstrip() for note in facts.notes for line in note.splitlines()]
    return [
        *_stream(facts),
        " WARNINGS AND ERRORS (IF ANY) FOR PROBLEM    1",
        "  ",
        *notes,
        "",
        "License Registered to: none (nlmevae report in NONMEM layout)",
        "1NONLINEAR MIXED EFFECTS MODEL PROGRAM (NONMEM) VERSION 7.5.1",
        f" {_author(facts)}",
        "",
    ]


def _problem(result: FitResult, facts: ReportFacts) -> list[str]:
    items = list(facts.items)
    upper = [item.upper() for item in items]
    places = [
        f" {what} IS DATA ITEM NO.: {upper.index(name) + 1:3d}"
        for name, what in (("ID", "ID DATA ITEM"), ("DV", "DEP VARIABLE"), ("MDV", "MDV DATA ITEM"))
        if name in upper
    ]
    labels = [" " + " ".join(items[k : k + 12]) for k in range(0, len(items), 12)]
    omitted = "YES" if result.uncertainty is None else " NO"
    return [
        " PROBLEM NO.:         1",
        f" {result.problem}".rstrip(),
        "0DATA CHECKOUT RUN:              NO",
        f" NO. OF DATA RECS IN DATA SET: {facts.n_records:8d}",
        f" NO. OF DATA ITEMS IN DATA SET: {len(items):3d}",
        *places,
        "0LABELS FOR DATA ITEMS:",
        *labels,
        f" TOT. NO. OF OBS RECS: {result.n_obs_total:8d}",
        f" TOT. NO. OF INDIVIDUALS: {result.n_subjects:8d}",
        f"0LENGTH OF THETA: {len(result.thetas):3d}",
        f"0COVARIANCE STEP OMITTED:       {omitted}",
        "1",
    ]


def _estimation(result: FitResult, table: int) -> list[str]:
    value, method = final_objective(result), METHOD_TITLE.upper()
    lines = ["", f" #TBLN: {table:6d}", f" #METH: {METHOD_TITLE}", "", *_explanation(result, table), ""]
    lines += [" MONITORING OF SEARCH:", "", *(_search(result) if table == 1 else ()), *_failure(result), " #TERM:"]
    lines += [f" {_TERMINATION[result.status]}", f" NLMEVAE: {result.message or result.status.sentence}", ""]
    lines += [*_shrinkage(result), "", *_constants(result, value), "", " #TERE:"]
    lines += [f" Elapsed estimation  time in seconds: {_estimation_seconds(result, table):8.2f}"]
    if result.uncertainty is not None and result.uncertainty.method != "none":
        seconds = result.seconds.get("covariance", 0.0) if table == 1 else 0.0
        lines.append(f" Elapsed covariance  time in seconds: {seconds:8.2f}")
    lines += [*objective_box(method, GOAL, value), *box(method, "FINAL PARAMETER ESTIMATE"), ""]
    lines += estimate_blocks(result)
    if result.uncertainty is not None and result.uncertainty.method != "none":
        lines += [*box(method, "STANDARD ERROR OF ESTIMATE"), "", *error_blocks(result)]
        lines += covariance_boxes(result, method)
    return [*lines, f" Elapsed postprocess time in seconds: {0.0:8.2f}"]


def _explanation(result: FitResult, table: int) -> list[str]:
    lines = [
        " THE METHOD OF $ESTIMATION WAS NOT EXECUTED. NLMEVAE MAXIMISED THE LIKELIHOOD WITH ITS",
        f" METHOD {result.method} (SEED {result.seed}); THE OBJECTIVE IS -2 LOG LIKELIHOOD BY IMPORTANCE SAMPLING",
    ]
    if result.status is FitStatus.EVALUATED:
        lines[0] = " NLMEVAE EVALUATED THE LIKELIHOOD AT THE INITIAL ESTIMATES; NOTHING WAS ESTIMATED, BY ITS"
    elif table == 1:
        lines.append(" IN ITERATIONS OF PHASES burn-in AND vae IT IS -2 ELBO, A BOUND OF IT")
    if table > 1:
        lines.append(" ONE FIT SERVES ALL $ESTIMATION RECORDS: THESE ARE THE VALUES OF TABLE 1")
    return lines


def _search(result: FitResult) -> list[str]:
    constant = result.n_known * LOG_2PI
    return [
        f" iteration {row.iteration:12d} OBJ= {row.objective - constant:20.6f} ({row.phase})" for row in result.trace
    ] + [""]


def _failure(result: FitResult) -> list[str]:
    if result.status is not FitStatus.NUMERICAL_FAILURE:
        return []
    return ["0PROGRAM TERMINATED BY OBJ", " MESSAGE ISSUED FROM ESTIMATION STEP", ""]


def _shrinkage(result: FitResult) -> list[str]:
    rows = shk_rows(result)
    bar, error, p_value, eta_sd, _, ebv_sd, _, eta_variance, ebv_variance, _, information = (
        [_statistic(value) for value in row] for row in rows
    )
    found = result.shrinkage
    lines = [
        " ETABAR IS THE ARITHMETIC MEAN OF THE ETA-ESTIMATES,",
        " AND THE P-VALUE IS GIVEN FOR THE NULL HYPOTHESIS THAT THE TRUE MEAN IS 0.",
        "",
    ]
    for name, values in (
        ("ETABAR:", bar),
        ("SE:", error),
        ("N:", [str(found.n_subjects)] * len(bar)),
        (None, ()),
        ("P VAL.:", p_value),
        (None, ()),
        ("ETASHRINKSD(%)", eta_sd),
        ("ETASHRINKVR(%)", eta_variance),
        ("EBVSHRINKSD(%)", ebv_sd),
        ("EBVSHRINKVR(%)", ebv_variance),
        ("RELATIVEINF(%)", information),
        ("EPSSHRINKSD(%)", _percent(found.eps_sd)),
        ("EPSSHRINKVR(%)", _percent(found.eps_variance)),
    ):
        lines += [""] if name is None else statistics_lines(name, values)
    return lines


def _percent(values: np.ndarray) -> list[str]:
    return [_statistic(1e-10 if value < 0 else value) for value in values]


def _statistic(value: float) -> str:
    return "NaN" if math.isnan(value) else f"{value:.4E}"


def _constants(result: FitResult, value: float) -> list[str]:
    constant = result.n_known * LOG_2PI
    n_eta = len(result.omega)
    return [
        f" TOTAL DATA POINTS NORMALLY DISTRIBUTED (N): {result.n_known:12d}",
        f" N*LOG(2PI) CONSTANT TO OBJECTIVE FUNCTION: {objective(constant)}",
        f" OBJECTIVE FUNCTION VALUE WITHOUT CONSTANT: {objective(value)}",
        f" OBJECTIVE FUNCTION VALUE WITH CONSTANT:    {objective(value + constant)}",
        " REPORTED OBJECTIVE FUNCTION DOES NOT CONTAIN CONSTANT",
        "",
        f" TOTAL EFFECTIVE ETAS (NIND*NETA): {result.shrinkage.n_subjects * n_eta:22d}",
    ]


def _estimation_seconds(result: FitResult, table: int) -> float:
    """All but the covariance step, in the first table."""
    if table > 1:
        return 0.0
    seconds = result.seconds
    total = seconds.get("total", sum(value for name, value in seconds.items() if name != "total"))
    return total - seconds.get("covariance", 0.0)
