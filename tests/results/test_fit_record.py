"""Parameters of studies, on the scales their users know."""

from __future__ import annotations

import pytest

from nlmevae.estimation.assemble import estimates_of
from nlmevae.estimation.population import Population
from nlmevae.pipeline import prepare
from nlmevae.results.fit_record import StudyParameter, study_parameters, values_of
from nlmevae.results.fit_result import Estimate


def test_a_project_has_its_own_parameters_as_standard_deviations_and_correlations():
    model = prepare("fixtures/monolix_project/theophylline.mlxtran").model
    found = study_parameters(estimates_of(model, Population.initial(model)), monolix=True)
    assert {p.label: p.value for p in found if p.label.startswith("omega")} == pytest.approx(
        {"omega_ka": 0.6, "omega_V": 0.2, "omega_Cl": 0.3}
    )
    assert [p.label for p in found] == [
        "ka_pop", "V_pop", "beta_V_logWT", "Cl_pop", "a", "b", "omega_ka", "omega_V", "omega_Cl",
    ]  # fmt: skip
    again = values_of(found, estimates_of(model, Population.initial(model)))
    assert again == tuple(p.value for p in found)


def test_correlations_are_covariances_over_standard_deviations():
    elements = [("OMEGA(1,1)", 1, 1, 4.0), ("OMEGA(2,1)", 2, 1, 1.5), ("OMEGA(2,2)", 2, 2, 9.0)]
    estimates = tuple(
        Estimate(name=n, label=n, kind="omega", row=r, column=c, init=v, value=v, fixed=False)
        for n, r, c, v in elements
    )
    corr = StudyParameter(name="OMEGA(2,1)", label="corr", value=0.0, estimated=True, scale="correlation")
    sd = StudyParameter(name="OMEGA(2,2)", label="sd", value=0.0, estimated=True, scale="sd")
    assert values_of((corr, sd), estimates) == (0.25, 3.0)
