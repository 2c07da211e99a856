"""What to do about a warning or a status, in one or two sentences."""

from __future__ import annotations

import re

from nlmevae.results.status import FitStatus

STATUS: dict[FitStatus, str] = {
    FitStatus.CONVERGED: "",
    FitStatus.FINISHED_SCHEDULE: "Run the default method, vae+polish, for estimates with a convergence test.",
    FitStatus.NOT_CONVERGED: "Do not use the estimates as final. Allow more iterations (--set max_outer=100), or start "
    "nearer: take these estimates as initial estimates.",
    FitStatus.MONTE_CARLO_LIMITED: "The estimates are as good as this number of draws allows. More draws: --set "
    "n_draws=1024.",
    FitStatus.INTERRUPTED: "Do not use the estimates as final. Run the fit to its end.",
    FitStatus.NUMERICAL_FAILURE: "Do not use the estimates. Run nlmevae check; try other initial estimates, or bounds "
    "that keep parameters in their range.",
    FitStatus.EVALUATED: "",
}

#: What a warning says (a regular expression) -> what to do. The first that is found counts.
_ADVICE = (
    (r"k-hat", "Repeat with more draws (--set final_draws=20000). If it stays, the -2 log-likelihood of these "
    "subjects is "
     "not reliable: do not compare models by differences that could come from them; look at their individual fits."),
    (r"At their bound", "Ask whether the bound is meant. If it is, fix the parameter there or remove it; if "
    "not, widen the "
     "bound. Standard errors and likelihood-ratio tests do not hold at a bound."),
    (r"Standard errors are not given|no information", "Simplify the model or fix a parameter: the data cannot "
    "tell some "
     "parameters apart."),
    (r"could not be evaluated", "Look at these subjects' records and at the range of the parameters; bounds and other "
     "initial estimates may help."),
    (r"Only one subject", "Fix the variances, or add data of other subjects."),
    (r"No conditional mode", "Look at the records of these subjects: their individual predictions and residuals "
    "are left "
     "out of all plots."),
    (r"NPDE is missing|simulations cannot decorrelate", "Ask for more simulations: --simulations 2000."),
    (r"simulated data sets have predictions that failed", "Read predictive checks and NPDE with care; bounds on the "
     "parameters may avoid the failing predictions."),
    (r"condition number", "Estimates depend on each other: look at the correlations of the estimates, and simplify the "
     "model where two parameters tell the same."),
    (r"relative standard error", "The data say little about these parameters: consider fixing or removing them."),
    (r"shrinkage", "Do not judge the model by plots of individual predictions or random effects of these "
    "parameters; use the "
     "predictive checks and NPDE."),
    (r"audit", "Do not use the selection before the disagreement is explained: repeat it with another solver."),
    (r"[Bb]orderline|margin", "Treat the decision as open: look at the margins and frequencies in the selection "
    "section."),
)  # fmt: skip

_OTHERWISE = "Read the section it concerns before the estimates are used."


def advice_for(warning: str) -> str:
    """What to do about a warning of a result."""
    return next((words for pattern, words in _ADVICE if re.search(pattern, warning)), _OTHERWISE)
