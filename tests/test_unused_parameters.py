"""THETAs, ETAs and EPSs that Y does not depend on change nothing: the same model without them is the oracle."""

import numpy as np
import pytest

import nlmevae
from tests.helpers.cases import FIXTURES

BASE = (FIXTURES / "theophylline" / "run_base.ctl").read_text(encoding="utf-8").partition("$OMEGA")[0]
PLAIN = BASE + "$OMEGA 0.3 ; KA\n$OMEGA 0.05 ; K\n$OMEGA 0.05 ; V\n$SIGMA 0.5 ; ADD\n$ESTIMATION METHOD=1 INTERACTION\n"
IDLE = (
    BASE.replace("EPS(1)", "EPS(2)").replace("(ETA(3))", "(ETA(4))")
    + "$THETA (0, 7)\n$OMEGA 0.3 0.05 0.25 0.05\n$OMEGA BLOCK(2) 0.3 0.1 0.2\n$SIGMA 0.7 0.5\n"
    + "$ESTIMATION METHOD=1 INTERACTION\n"
)
#: Names of the plain model -> those of the other.
SAME = {"OMEGA(3,3)": "OMEGA(4,4)", "SIGMA(1,1)": "SIGMA(2,2)"}
SHORT = {
    "burn_in_iterations": 2,
    "training_iterations": 4,
    "max_outer": 2,
    "final_draws": 256,
    "n_draws": 32,
    "seed": 5,
}


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("idle")
    data = (FIXTURES / "theophylline" / "theophylline.csv").read_text(encoding="utf-8")
    (folder / "theophylline.csv").write_text(data, encoding="utf-8")
    found = []
    for name, text in (("plain", PLAIN), ("idle", IDLE)):
        (folder / f"{name}.ctl").write_text(text, encoding="utf-8")
        found.append(nlmevae.fit(folder / f"{name}.ctl", **SHORT))
    return found


def test_estimates_and_their_errors_are_those_without_them(fits):
    plain, idle = ({e.name: e for e in fit.estimates} for fit in fits)
    for name in ("THETA(1)", "THETA(2)", "THETA(3)", "OMEGA(1,1)", "OMEGA(2,2)", *SAME):
        assert idle[SAME.get(name, name)].value == plain[name].value
        assert idle[SAME.get(name, name)].standard_error == plain[name].standard_error
    assert [e.value for e in fits[1].estimates if e.fixed and e.value] == [7.0, 0.25, 0.3, 0.1, 0.2, 0.7]


def test_likelihood_and_parameter_count_are_those_without_them(fits):
    plain, idle = (fit.likelihood("is") for fit in fits)
    assert (idle.minus_two_ll, idle.aic, idle.bicc) == (plain.minus_two_ll, plain.aic, plain.bicc)


def test_such_effects_are_as_likely_as_before_the_data(fits):
    people = fits[1].individuals
    assert not people.eta_mean[:, [2, 4, 5]].any()
    assert not people.eta_mode[:, [2, 4, 5]].any()
    expected = np.diag([0.25, 0.3, 0.2])
    expected[1, 2] = expected[2, 1] = 0.1
    np.testing.assert_array_equal(people.eta_cov[:, [[2], [4], [5]], [2, 4, 5]], np.broadcast_to(expected, (12, 3, 3)))
    np.testing.assert_allclose(
        fits[1].shrinkage.relative_information[[0, 1, 3]], fits[0].shrinkage.relative_information
    )
    assert np.isnan(fits[1].shrinkage.relative_information[[2, 4, 5]]).all()
