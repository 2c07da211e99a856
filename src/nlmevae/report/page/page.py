"""The page: sections in order, put into the template."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from types import ModuleType
from typing import TYPE_CHECKING

from nlmevae.errors import MissingDependencyError
from nlmevae.report.page.blocks import Section
from nlmevae.report.page.contents import Contents
from nlmevae.report.page.sections.appendix import appendix
from nlmevae.report.page.sections.convergence import convergence
from nlmevae.report.page.sections.covariates import covariates
from nlmevae.report.page.sections.estimates import estimates
from nlmevae.report.page.sections.goodness_of_fit import goodness_of_fit
from nlmevae.report.page.sections.individual_fits import individual_fits
from nlmevae.report.page.sections.prediction_errors import prediction_errors
from nlmevae.report.page.sections.predictive_checks import predictive_checks
from nlmevae.report.page.sections.random_effects import random_effects
from nlmevae.report.page.sections.selection import selection
from nlmevae.report.page.sections.summary import summary
from nlmevae.results.run_folder import GENERATOR

if TYPE_CHECKING:
    import jinja2

#: In the order in which a reviewer reads.
SECTIONS: tuple[Callable[[Contents], Section], ...] = (
    summary,
    estimates,
    convergence,
    goodness_of_fit,
    individual_fits,
    predictive_checks,
    prediction_errors,
    random_effects,
    covariates,
    selection,
    appendix,
)

#: Told (what is being done, done, total).
Steps = Callable[[str, int, int], None]


def page(contents: Contents, *, steps: Steps | None = None) -> str:
    """The report as HTML: one file that asks for no other. The same contents give the same text.

    Raises:
        MissingDependencyError: matplotlib or jinja2 is not installed.
    """
    template = _template()
    wanted = [make for make in SECTIONS if make is not selection or contents.selection is not None]
    sections = []
    for done, make in enumerate(wanted):
        if steps is not None:
            steps("drawing", done, len(wanted))
        sections.append(make(contents))
    if steps is not None:
        steps("drawing", len(wanted), len(wanted))
    fit = contents.fit
    html = template.render(
        generator=GENERATOR,
        version=fit.versions.get("nlmevae", ""),
        title=f"{fit.name}: {fit.problem}" if fit.problem else fit.name,
        style=(files(__package__) / "templates" / "report.css").read_text(encoding="utf-8"),
        sections=sections,
    )
    return html.encode("utf-8", "backslashreplace").decode("utf-8")


def require_packages() -> None:
    """MissingDependencyError with the install command unless matplotlib and jinja2 are there."""
    from nlmevae.report.style import house_style

    with house_style():
        pass
    _jinja2()


def _template() -> jinja2.Template:
    """Escapes everything: IDs, labels and comments may hold markup."""
    package = _jinja2()
    environment = package.Environment(
        autoescape=True, undefined=package.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string((files(__package__) / "templates" / "report.html.jinja").read_text(encoding="utf-8"))


def _jinja2() -> ModuleType:
    try:
        import jinja2
    except ImportError:
        raise MissingDependencyError(
            "jinja2 is not installed", hint="python -m pip install 'nlmevae[report]'"
        ) from None
    return jinja2
