from dataclasses import replace

import pytest

from nlmevae.errors import DataError
from nlmevae.results.model_at import model_at
from nlmevae.results.parameter_values import ParameterValues, canonical_name
from tests.helpers.code_models import make_model


def model(**options):
    """Two THETAs, a block of two ETAs, a third ETA, one EPS."""
    base = make_model(
        error="A = THETA(1) + ETA(1)\nB = THETA(2) + ETA(2)\nC = ETA(3)\nY = A + B*TIME + C + EPS(1)",
        thetas=[(0.0, 0.5, 10.0), (-5.0, 0.2)],
        omega=(((1.0, 0.1), (0.1, 1.0)), 0.5),
        sigma=(1.0,),
        items="ID TIME DV",
        **options,
    )
    labelled = (replace(base.omega[0], labels=("IIV_A", "IIV_B")), *base.omega[1:])
    return replace(base, omega=labelled, thetas=(replace(base.thetas[0], label="TVA"), base.thetas[1]))


GIVEN = {
    "THETA1": 0.7,
    "THETA(2)": -1.0,
    "OMEGA(1,1)": 0.4,
    "OMEGA(2,1)": 0.05,
    "OMEGA(2,2)": 0.3,
    "OMEGA(3,3)": 0.2,
    "SIGMA(1,1)": 0.6,
}


def given(changes=None, *, without=()):
    values = {**GIVEN, **(changes or {})}
    return ParameterValues.of(((k, v) for k, v in values.items() if k not in without), source="values.csv")


def test_given_values_become_the_initial_estimates():
    found = model_at(model(), given())
    assert [t.init for t in found.thetas] == [0.7, -1.0]
    assert found.omega[0].matrix == ((0.4, 0.05), (0.05, 0.3))
    assert found.omega[1].matrix == ((0.2,),)
    assert found.sigma[0].matrix == ((0.6,),)
    assert found.program == model().program


def test_labels_and_zeros_between_blocks_are_understood():
    values = given({"TVA": 0.9, "IIV_B": 0.25, "OMEGA(3,1)": 0.0, "OMEGA(3,2)": 0.0}, without=("THETA1", "OMEGA(2,2)"))
    found = model_at(model(), values)
    assert found.thetas[0].init == 0.9
    assert found.omega[0].matrix[1][1] == 0.25


def test_what_is_fixed_may_be_left_out_or_repeated():
    fixed = model(fixed_thetas=(2,), fixed_omegas=(3,))
    assert model_at(fixed, given(without=("THETA(2)", "OMEGA(3,3)"))).thetas[1].init == 0.2
    found = model_at(fixed, given({"THETA(2)": 0.2000001, "OMEGA(3,3)": 0.5}))
    assert found.thetas[1].init == 0.2
    assert found.omega[1].matrix == ((0.5,),)


def test_a_repeated_block_takes_the_values_of_the_first():
    base = model()
    twice = replace(base, omega=(base.omega[1], replace(base.omega[1], names=("ETA(9)",), same_as=0)))
    values = given({"OMEGA(1,1)": 0.7}, without=("OMEGA(2,1)", "OMEGA(2,2)", "OMEGA(3,3)"))
    found = model_at(twice, values)
    assert [block.matrix for block in found.omega] == [((0.7,),), ((0.7,),)]


WRONG = {
    "missing": (given(without=("OMEGA(2,1)", "THETA1")), r"does not give THETA\(1\) \(TVA\), OMEGA\(2,1\)"),
    "unknown": (given({"THETA(3)": 1.0, "CL": 2.0}), r"no parameter THETA\(3\), CL"),
    "by name and by label": (given({"TVA": 0.7}), r"gives THETA\(1\) twice"),
    "outside its bounds": (given({"THETA1": 11.0}), "outside its bounds"),
    "not a number": (given({"THETA(2)": float("nan")}), "not a finite number"),
    "no variance": (given({"OMEGA(3,3)": 0.0}), r"OMEGA\(3,3\) in values.csv is not positive definite"),
    "correlation of one": (given({"OMEGA(2,1)": 0.4}), "block OMEGA\\(1,1\\) to OMEGA\\(2,2\\)"),
    "between blocks": (given({"OMEGA(3,1)": 0.1}), "the model has it at 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_values_of_another_model_stop_with_a_sentence(case):
    values, words = WRONG[case]
    with pytest.raises(DataError, match=words) as caught:
        model_at(model(), values)
    assert caught.value.hint


def test_another_value_for_what_is_fixed_stops():
    with pytest.raises(DataError, match="the model fixes it at 0.2"):
        model_at(model(fixed_thetas=(2,)), given())


def test_a_label_of_two_parameters_stops():
    base = model()
    same = replace(base, thetas=(base.thetas[0], replace(base.thetas[1], label="TVA")))
    with pytest.raises(DataError, match="is the label of"):
        model_at(same, given({"TVA": 1.0}, without=("THETA1",)))


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("THETA1", "THETA(1)"),
        ("theta(01)", "THETA(1)"),
        ("OMEGA(1,2)", "OMEGA(2,1)"),
        ("Sigma( 1 , 1 )", "SIGMA(1,1)"),
        (" CL ", "CL"),
        ("THETA_CL", "THETA_CL"),
    ],
)
def test_names_have_one_spelling(name, canonical):
    assert canonical_name(name) == canonical
