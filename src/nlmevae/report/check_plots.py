"""Plots of visual predictive checks on their own, as PNG files in memory."""

from __future__ import annotations

from nlmevae.errors import MissingDependencyError
from nlmevae.results.diagnostics import PredictiveChecks


def draw_checks(checks: PredictiveChecks) -> dict[str, bytes]:
    """Plot name -> PNG: ``vpc`` with a panel for each endpoint and stratum; ``vpc.censored``, the share of censored
    observations, where there are any.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "matplotlib is not installed", hint="python -m pip install 'nlmevae[report]'"
        ) from None
    from nlmevae.report.plots.predictive_check import censored_share_figure, vpc_figure
    from nlmevae.report.style import png

    drawn = {"vpc": png(vpc_figure(checks, checks.vpcs))}
    if any(check.below is not None for check in checks.vpcs):
        drawn["vpc.censored"] = png(censored_share_figure(checks, checks.vpcs))
    return drawn
