"""What a project calls the parts of its model, and what it asks for."""

from dataclasses import replace

import pytest

from nlmevae.frontends.monolix.lower import lower_project, model_of_project
from nlmevae.ir.evaluate import evaluate
from tests.helpers.monolix_projects import project

DEFINITION = "input = {V_pop, omega_V, Cl_pop, omega_Cl, w_V, rho, omega2_V}\n\nDEFINITION:\n"


def shown(**parts):
    return lower_project(project(**parts)).project.shown


def test_elements_have_the_names_of_the_text():
    found = shown(
        individual=DEFINITION
        + "V = {distribution=logNormal, typical=V_pop, sd=w_V}\n"
        + "Cl = {distribution=logNormal, typical=Cl_pop, sd=omega_Cl}\ncorrelation = {r(V, Cl)=rho}",
        parameter="V_pop = {value=30}\nCl_pop = {value=4}\na = {value=1}\nw_V = {value=0.3}\nomega_Cl = {value=0.3}\n"
        "rho = {value=0.2}",
    )
    assert {name: found[name] for name in ("THETA(1)", "OMEGA(1,1)", "OMEGA(2,1)", "OMEGA(2,2)", "ETA(2)")} == {
        "THETA(1)": "V_pop", "OMEGA(1,1)": "w_V", "OMEGA(2,1)": "rho", "OMEGA(2,2)": "omega_Cl", "ETA(2)": "Cl",
    }  # fmt: skip


def test_a_variance_is_shown_as_its_standard_deviation():
    """Its own name would say variance beside the root."""
    found = shown(
        individual=DEFINITION
        + "V = {distribution=logNormal, typical=V_pop, var=omega2_V}\n"
        + "Cl = {distribution=logNormal, typical=Cl_pop, sd=omega_Cl}",
        parameter="V_pop = {value=30}\nCl_pop = {value=4}\na = {value=1}\nomega2_V = {value=0.09}\n"
        "omega_Cl = {value=0.3}",
    )
    assert found["OMEGA(1,1)"] == "omega_V"


def test_names_that_programs_spell_otherwise_are_kept():
    found = shown(
        individual="input = {F_pop, omega_F, Cl_pop, omega_Cl}\n\nDEFINITION:\n"
        "F = {distribution=logitNormal, typical=F_pop, no-variability}\n"
        "Cl = {distribution=logNormal, typical=Cl_pop, sd=omega_Cl}",
        longitudinal="input = {a, F, Cl}\n\nPK:\nCc = pkmodel(V=F, Cl)\n\nOUTPUT:\noutput = Cc\n\nDEFINITION:\n"
        "y = {distribution=normal, prediction=Cc, errorModel=constant(a)}",
        parameter="F_pop = {value=0.4}\nCl_pop = {value=4}\na = {value=1}\nomega_Cl = {value=0.3}",
    )
    assert found["F_mlx"] == "F"


def test_covariates_are_functions_of_the_data():
    parts = {
        "content": "ID = {use=identifier}\nTIME = {use=time}\nAMT = {use=amount}\n"
        "DV = {use=observation, name=y, type=continuous}\nWT = {use=covariate, type=continuous}\n"
        "SEX = {use=covariate, type=categorical}",
        "covariate": "input = {WT, SEX}\n\nSEX = {type=categorical, categories={'F', 'M', 'U'}}\n\nEQUATION:\n"
        "lw = log(WT/70)\nlw2 = 2*lw\n\nDEFINITION:\n"
        "known = {transform=SEX, categories={'no'='U', 'yes'={'F', 'M'}}, reference='yes'}",
    }
    found = lower_project(project(**parts)).project.covariates
    assert [(c.name, c.computed, c.categories) for c in found] == [
        ("WT", False, ()), ("lw", True, ()), ("lw2", True, ()), ("SEX", False, ("F", "M", "U")),
        ("known", True, ("no", "yes")),
    ]  # fmt: skip
    items = {"WT": 35.0, "SEX": 2.0}
    for c in found:
        items[c.item] = evaluate(c.value, items)
    assert items["lw2"] == pytest.approx(-1.3862943611198906)  # 2 log(1/2)
    assert items["known"] == 0.0


def test_tasks_and_folder_are_kept():
    model = lower_project(project())
    assert (model.project.folder, model.project.likelihood, model.project.samples) == ("run1", None, 0)
    assert model.covariance.omitted  # no fim
    assert not model.evaluates_only
    none = replace(project(), tasks=())
    model = lower_project(none)
    assert (model.project.likelihood, model.project.samples, model.covariance.omitted) == ("is", 10, False)


def test_outcomes_have_their_own_names():
    assert [o.name for o in model_of_project(project()).observations] == ["y"]
