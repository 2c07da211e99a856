"""Whose data say something about which random effect."""

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.estimation.effect_unit import effect_units
from nlmevae.estimation.guards import latent_scale
from nlmevae.estimation.informed import informed_latents
from nlmevae.frontends.recognition import recognise
from nlmevae.ir import CovarianceBlock
from tests.helpers.code_models import make_model
from tests.helpers.forms import bolus, make_table
from tests.helpers.linear_code import linear_code_problem, problem_of

PK = """IOV=ETA(3)
IF (OCC.EQ.2) IOV=ETA(4)
IF (OCC.EQ.3) IOV=ETA(5)
CL=THETA(1)*EXP(ETA(1)+IOV)
V=THETA(2)*EXP(ETA(2))"""
ITEMS = "ID TIME AMT DV OCC"


def occasions(*numbers: int, observed_until: float | None = None) -> dict:
    """One occasion a day; observed in the middle of each, perhaps only for a while."""
    times = [24.0 * k + 12 for k in range(len(numbers))]
    end = times[-1] if observed_until is None else observed_until
    return {
        "events": [bolus(24.0 * k, 100.0) for k in range(len(numbers))],
        "observations": [(t, 1) for t in times if t <= end],
        "covariates": [(24.0 * (k + 1), (float(o),)) for k, o in enumerate(numbers)],
    }


def informed(subjects, **options):
    model = recognise(make_model(pk=PK, omega=(0.1,) * 5, items=ITEMS, **options))
    table = make_table(subjects, covariate_names=["OCC"])
    form = latent_form(model, table)
    return informed_latents(form, table, model.omega).tolist()


def test_subjects_inform_about_the_occasions_they_have():
    found = informed([occasions(1, 2, 3), occasions(1), occasions(3, 2)])
    assert found == [[True] * 5, [True, True, True, False, False], [True, True, False, True, True]]


def test_an_occasion_after_the_last_observation_says_nothing():
    assert informed([occasions(1, 2, 3, observed_until=30)]) == [[True, True, True, False, False]]
    assert informed([occasions(1, 2, 3, observed_until=40)]) == [[True, True, True, True, False]]


def test_a_subject_without_observations_says_nothing():
    assert informed([occasions(1), occasions(1, 2, 3, observed_until=0)])[1] == [False] * 5


def test_effects_that_only_predictions_read_count_where_a_record_reads_them():
    subjects = [
        {"observations": [(1.0, 1, (float(o),)) for o in numbers], "events": [bolus(0.0, 100.0)]}
        for numbers in ((1, 2), (2,))
    ]
    error = "S=ETA(3)\nIF (OCC.EQ.2) S=ETA(4)\nY=F*EXP(S)+EPS(1)"
    model = recognise(
        make_model(pk="CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2))", error=error, omega=(0.1,) * 4, items=ITEMS)
    )
    table = make_table(subjects, record_names=["OCC"])
    form = latent_form(model, table)
    assert informed_latents(form, table, model.omega).tolist() == [[True] * 4, [True, True, False, True]]


def test_a_block_counts_as_a_whole():
    code = "A=THETA(1)+ETA(1)\nY=A+(2-OCC)*ETA(2)+EPS(1)"
    problem = linear_code_problem(
        code, thetas=[(-np.inf, 1.0)], occasions=((1,), (2,)), n_subjects=2,
        omega=(CovarianceBlock(names=("ETA(1)", "ETA(2)"), matrix=((0.5, 0.1), (0.1, 0.5))),),
        truth=_truth(2),
    )  # fmt: skip
    assert problem.informed.tolist() == [[True, True], [True, True]]
    apart = tuple(CovarianceBlock(names=(f"ETA({k})",), matrix=((0.5,),)) for k in (1, 2))
    split = problem_of(replace(problem.model, omega=apart), problem.table)
    assert split.informed.tolist() == [[True, True], [True, False]]


def _truth(n):
    from nlmevae.estimation.population import Population

    return Population(thetas=np.array([1.0]), omega=0.2 * np.eye(n), sigma=np.array([[0.04]]))


# units ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("code", "unit"), [("A*EXP(ETA(2))", 1.0), ("A*(1+ETA(2)/100)", 30 * 0.3), ("A+0*ETA(2)", 1.0)]
)
def test_one_unit_of_an_effect_changes_predictions_by_their_size_within_limits(code, unit):
    """The variance is 0.09: at most 30 of its standard deviations."""
    omega = tuple(CovarianceBlock(names=(f"ETA({k})",), matrix=((0.09,),)) for k in (1, 2))
    problem = linear_code_problem(
        f"A=THETA(1)*EXP(ETA(1))\nY={code}+EPS(1)", thetas=[(0.0, 5.0)], omega=omega, n_subjects=3,
        truth=replace(_truth(2), thetas=np.array([5.0])),
    )  # fmt: skip
    units = effect_units(problem.joint(problem.initial), problem.form.latents)
    assert np.isnan(units[0])
    assert units[1] == pytest.approx(unit)
    assert latent_scale(problem) == pytest.approx([1.0, unit])


def test_copies_of_a_block_have_one_unit():
    """ETA(2) acts on large predictions, ETA(3) on small ones; they share a variance."""
    blocks = tuple(CovarianceBlock(names=(f"ETA({k})",), matrix=((0.04,),)) for k in (1, 2))
    blocks = (*blocks, replace(blocks[1], names=("ETA(3)",), same_as=1))
    problem = linear_code_problem(
        "A=THETA(1)*(3-OCC)+ETA(1)\nIOV=ETA(2)\nIF (OCC.EQ.2) IOV=ETA(3)\nY=A+IOV+EPS(1)", thetas=[(0.0, 5.0)],
        omega=blocks, n_subjects=3, occasions=((1, 2),), truth=replace(_truth(3), thetas=np.array([5.0])),
    )  # fmt: skip
    assert problem.effect_unit[1] != problem.effect_unit[2]
    assert latent_scale(problem)[1] == latent_scale(problem)[2]
