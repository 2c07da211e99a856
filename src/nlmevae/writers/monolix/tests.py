"""`Tests/`: one file per kind of test; a file without a line is not written."""

from __future__ import annotations

from collections.abc import Sequence

from nlmevae.results.monolix_content import FolderTests, HypothesisTest
from nlmevae.writers.monolix.cells import number, table_text
from nlmevae.writers.monolix.population_parameters import SUFFIX

#: Below it, R prints no number.
SMALLEST = 2.2e-16

#: File -> (field of `FolderTests`, header).
FILES = {
    "correlationRandomEffectsCovariates.txt": (
        "random_effects_covariates", ("eta", "covariate", "statistics", "p-value", "test")
    ),
    "correlationIndividualParametersCovariates.txt": (
        "parameters_covariates", ("parameter", "covariate", "statistics", "p-value", "test")
    ),
    "correlationRandomEffects.txt": ("random_effects", ("eta1", "eta2", "coeff", "statistics", "p-value")),
    "fixedEffects.txt": ("fixed_effects", ("parameter", f"statistics({SUFFIX})", f"p-value({SUFFIX})")),
    "normalityRandomEffects.txt": ("normality_random_effects", ("eta", "statistics", "p-value")),
    "normalityIndividualParameters.txt": (
        "normality_parameters", ("parameter", "statistics", "p-value", "test")
    ),
    "normalityResiduals.txt": ("normality_residuals", ("residuals", "statistics", "p-value", "test")),
    "symmetryResiduals.txt": ("symmetry_residuals", ("residuals", "statistics", "p-value", "test")),
}  # fmt: skip


def texts_of_tests(tests: FolderTests) -> dict[str, str]:
    """File name -> content."""
    found = {}
    for file, (field, header) in FILES.items():
        lines: Sequence[HypothesisTest] = getattr(tests, field)
        if lines:
            found[file] = table_text(header, (_cells(line, named=header[-1] == "test") for line in lines))
    return found


def _cells(line: HypothesisTest, *, named: bool) -> list[str]:
    p = f"<{SMALLEST:g}" if line.p_value < SMALLEST else number(line.p_value)
    return [*line.of, number(line.statistic), p, *([line.name] if named else [])]
