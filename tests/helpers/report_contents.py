"""Contents of a report, made by hand."""

from __future__ import annotations

import numpy as np

from nlmevae.report.page.contents import Contents
from nlmevae.results.run_description import DataDescription, Note, ParameterDescription, RunDescription
from tests.helpers.diagnostics import make_diagnostics, make_fit


def make_run(n_subjects: int, **changes) -> RunDescription:
    values = {
        "control_stream": "$PROBLEM A PROBLEM\n$INPUT ID TIME DV ; <b>bold</b>\n",
        "command": "nlmevae fit run1.ctl --seed 42",
        "structure": "one formula ($PRED), no compartments",
        "parameters": (ParameterDescription(name="CL", distribution="log-normal", eta="ETA(1)", reads=("THETA(1)",)),),
        "errors": ("Y: proportional, sd = b*|f|",),
        "notes": (
            Note(severity="warning", message="a strange record", place="data.csv:7:1", hint="correct line 7"),
            Note(severity="info", message="an ordinary remark", place="run1.ctl:2:1"),
        ),
        "data": DataDescription(
            path="/data/data.csv", n_records=99, n_without_observations=0, obs_per_subject=(7.0, 7.0, 7.0),
            doses=("12 × bolus into compartment 1",), dose_times=(np.zeros(1),) * n_subjects,
        ),
    }  # fmt: skip
    return RunDescription(**{**values, **changes})


def make_contents(n_subjects: int = 5, *, diagnostics=None, fit=None, **changes) -> Contents:
    diagnostics = make_diagnostics(n_subjects) if diagnostics is None else diagnostics
    fit = make_fit(diagnostics) if fit is None else fit
    values = {"fit": fit, "run": make_run(n_subjects), "diagnostics": diagnostics, "n_subjects": 4}
    return Contents(**{**values, **changes})


def without_diagnostics(**changes) -> Contents:
    """Quick to draw: no diagnostics, no iterations, no random effects."""
    diagnostics = make_diagnostics(2)
    fit = make_fit(diagnostics, trace=(), omega=np.zeros((2, 2)), **changes.pop("of_fit", {}))
    values = {
        "fit": fit,
        "run": make_run(2),
        "diagnostics": None,
        "why_no_diagnostics": "No diagnostics: the model cannot be evaluated.",
    }
    return Contents(**{**values, **changes})
