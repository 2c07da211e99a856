"""The tests give what Monolix prints, from its own simulated parameters; and they survive what cannot be tested."""

import math

import numpy as np
import pandas as pd
import pytest

from nlmevae.diagnostics.hypothesis_tests import (
    anova,
    coefficients,
    combined,
    pearson,
    product,
    shapiro,
    symmetry,
    wald,
)
from tests.helpers.monolix_reference import FOLDERS, folder, population
from tests.helpers.reference import reference

ALL = list(FOLDERS)
#: Monolix prints statistics with six digits, of draws that it prints with six: what is left is their rounding,
#: largest where the means over the draws nearly cancel.
DRAWN = {"rel": 2e-4, "abs": 2e-5}
#: Statistics that do not cancel.
PRINTED = {"rel": 2e-5}


def draws(name: str, parameter: str, *, of: str = "RandomEffects") -> np.ndarray:
    """(S, N)."""
    table = pd.read_csv(folder(name) / "IndividualParameters" / f"simulated{of}.txt")
    column = f"eta_{parameter}" if of == "RandomEffects" else parameter
    return table[column].to_numpy().reshape(-1, table["rep"].max()).T


def subjects(name: str) -> pd.DataFrame:
    return pd.read_csv(folder(name) / "IndividualParameters" / "estimatedRandomEffects.txt")


def printed(name: str, file: str) -> pd.DataFrame:
    path = folder(name) / "Tests" / f"{file}.txt"
    if not path.exists():
        pytest.skip(f"Monolix wrote no {file} for {name}")
    table = pd.read_csv(path)
    if not pd.api.types.is_numeric_dtype(table["p-value"]):  # "<2.2e-16"
        table["p-value"] = [float(str(p).lstrip("<")) for p in table["p-value"]]
    return table


@pytest.mark.parametrize("name", ALL)
def test_random_effects_against_covariates(name):
    people = subjects(name)
    for row in printed(name, "correlationRandomEffectsCovariates").itertuples():
        mean = draws(name, row.eta.removeprefix("eta_")).mean(axis=0)
        covariate = people[row.covariate]
        if row.test == "Pearson":
            found = pearson(covariate.to_numpy(float), mean)
        else:
            found = anova(pd.factorize(covariate)[0].astype(float), mean)
        assert found.statistic == pytest.approx(row.statistics, **DRAWN)
        assert found.p_value == pytest.approx(row._4, rel=1e-3, abs=2.2e-16)


@pytest.mark.parametrize("name", ALL)
def test_random_effects_against_each_other(name):
    for row in printed(name, "correlationRandomEffects").itertuples():
        first, second = (draws(name, eta.removeprefix("eta_")) for eta in (row.eta1, row.eta2))
        found = product(first, second)
        assert found.statistic == pytest.approx(row.statistics, **DRAWN)
        assert found.p_value == pytest.approx(row._5, rel=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_normality_of_random_effects(name):
    for row in printed(name, "normalityRandomEffects").itertuples():
        found = shapiro(draws(name, row.eta.removeprefix("eta_")))
        assert found.statistic == pytest.approx(row.statistics, **PRINTED)
        assert found.p_value == pytest.approx(row._3, rel=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_normality_of_parameters_is_that_of_their_random_effects_where_no_covariate_acts(name):
    table = printed(name, "normalityIndividualParameters")
    rows = [row for row in table.itertuples() if row.test == "Shapiro-Wilk"]
    assert rows
    for row in rows:
        assert shapiro(draws(name, row.parameter)).statistic == pytest.approx(row.statistics, **PRINTED)


#: Covariate of each effect and its categories besides the reference, in the order of the file.
EFFECTS = {
    "w2": {"V": ("lw70", ()), "Cl": ("lw70", ())},
    "w3": {"V": ("tSex", ("F",)), "Cl": ("tSex", ("F",))},
    "phenobarbital": {"V": ("tAPGAR", ("High", "Low"))},
}


@pytest.mark.parametrize("name", list(EFFECTS))
def test_parameters_against_the_covariates_in_their_model(name):
    table, people = printed(name, "correlationIndividualParametersCovariates"), subjects(name)
    for parameter, (covariate, categories) in EFFECTS[name].items():
        values = people[covariate]
        design = np.column_stack([values == c for c in categories] if categories else [values]).astype(float)
        found = coefficients(design, np.log(draws(name, parameter, of="IndividualParameters")).mean(axis=0))
        rows = table[table["parameter"] == parameter]
        assert [f.statistic for f in found] == pytest.approx(list(rows["statistics"]), **DRAWN)
        assert [f.p_value for f in found] == pytest.approx(list(rows["p-value"]), rel=1e-3)


@pytest.mark.parametrize("name", list(EFFECTS))
def test_wald_tests_of_coefficients(name):
    errors = (
        pd.read_csv(folder(name) / "populationParameters.txt", index_col="parameter").filter(regex="^se_").iloc[:, 0]
    )
    table = pd.read_csv(folder(name) / "Tests" / "fixedEffects.txt")
    for parameter, statistic, p_value in table.itertuples(index=False):
        found = wald(population(name)[parameter], errors[parameter])
        assert found.statistic == pytest.approx(statistic, rel=1e-5)
        assert found.p_value == pytest.approx(p_value, rel=2e-2)  # three digits, some less


def test_residuals_are_tested_as_monolix_does():
    """Of the only folder whose residuals are there. Its symmetry test of IWRES is not reproduced, so ours has none."""
    charts = reference("theophylline_monolix/monolix/ChartsData/ScatterPlotOfTheResiduals")
    residuals = pd.read_csv(charts / "CONC_residuals.txt")
    simulated = pd.read_csv(charts / "CONC_simulatedResiduals.txt")
    iwres = simulated["iwRes_simulated"].to_numpy().reshape(-1, simulated["rep"].max()).T
    normality = printed("theophylline", "normalityResiduals").set_index("residuals")
    asymmetry = printed("theophylline", "symmetryResiduals").set_index("residuals")
    for name, values in (("IWRES", iwres), ("PWRES", residuals["pwRes"]), ("NPDE", residuals["npde"])):
        found = shapiro(np.asarray(values))
        assert found.statistic == pytest.approx(normality["statistics"][f"{name}_CONC"], **PRINTED)
        assert found.p_value == pytest.approx(normality["p-value"][f"{name}_CONC"], rel=1e-4)
    for name, values in (("PWRES", residuals["pwRes"]), ("NPDE", residuals["npde"])):
        found = symmetry(np.asarray(values))
        assert found.statistic == pytest.approx(asymmetry["statistics"][f"{name}_CONC"], **PRINTED)
        assert found.p_value == pytest.approx(asymmetry["p-value"][f"{name}_CONC"], rel=1e-4)


def test_what_cannot_be_tested_has_no_number():
    one, same, nan = np.ones(1), np.ones(5), np.full(5, math.nan)
    line = np.arange(5.0)
    for found in (
        pearson(one, one),
        pearson(same, line),
        pearson(nan, line),
        anova(same, line),
        anova(line, line),
        anova(nan, line),
        product(same[None], same[None]),
        product(np.ones((2, 1)), np.ones((2, 1))),
        shapiro(same),
        shapiro(np.zeros((0,))),
        shapiro(nan),
        symmetry(same),
        symmetry(nan),
        wald(1.0, math.nan),
        wald(1.0, 0.0),
        *coefficients(same[:, None], line),
        *coefficients(line[:, None], nan),
        *coefficients(np.eye(2), np.arange(2.0)),
    ):
        assert math.isnan(found.statistic)
        assert math.isnan(found.p_value)


def test_missing_covariates_are_left_out():
    x, y = np.array([1.0, 2.0, math.nan, 4.0, 5.0]), np.array([1.0, 3.0, 9.0, 2.0, 5.0])
    keep = np.isfinite(x)
    assert pearson(x, y) == pearson(x[keep], y[keep])


def test_p_values_are_combined_by_the_smallest_of_their_ranks():
    assert combined([0.5, 0.01, 0.9, 0.4]) == pytest.approx(min(4 * 0.01, 2 * 0.4, 4 / 3 * 0.5, 0.9))
    assert combined([0.3]) == pytest.approx(0.3)
