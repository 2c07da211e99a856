import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import kstest

from nlmevae.diagnostics.weighted_residuals import linearised_at, weighted_residuals, whitened
from nlmevae.estimation.at_estimates import at_estimates
from tests.helpers.linear_gaussian import random_intercept_and_slope
from tests.helpers.pheno import nonmem_table, pheno_at_nonmems_estimates, pheno_run

FIVE_DIGITS = 6e-5  # NONMEM's table has five digits


def all_of(joint):
    return np.ones(len(joint.y), dtype=bool)


@pytest.fixture(scope="module")
def linear():
    problem = random_intercept_and_slope(n_subjects=30, block=True, empty_subject=True)
    return at_estimates(problem, problem.initial, rng=np.random.default_rng(0))


def test_predictions_and_weighted_residuals_of_phenobarbital_are_nonmems():
    """PRED, CIPREDI, RES and CWRES (FOCE with interaction) at NONMEM's estimates."""
    at, table = pheno_at_nonmems_estimates(), nonmem_table()
    theirs = {name: values[pheno_run().table.ob_row] for name, values in table.items()}
    typical, individual = linearised_at(at.joint, at.joint.mean), linearised_at(at.joint, at.mode)
    assert typical.prediction == pytest.approx(theirs["PRED"], rel=FIVE_DIGITS)
    assert individual.prediction == pytest.approx(theirs["CIPREDI"], rel=FIVE_DIGITS)
    # of a difference of numbers near 50, printed to five digits
    assert at.joint.y - typical.prediction == pytest.approx(theirs["RES"], rel=FIVE_DIGITS, abs=1e-3)
    cwres = weighted_residuals(at.joint, individual, all_of(at.joint))
    assert cwres == pytest.approx(theirs["CWRES"], rel=FIVE_DIGITS, abs=FIVE_DIGITS)


def test_of_a_linear_model_wres_and_cwres_are_the_exact_marginal_residuals(linear):
    joint, ptr = linear.joint, linear.problem.table.ob_ptr
    typical, individual = linearised_at(joint, joint.mean), linearised_at(joint, linear.mode)
    wres = weighted_residuals(joint, typical, all_of(joint))
    assert weighted_residuals(joint, individual, all_of(joint)) == pytest.approx(wres, abs=1e-10)
    design = linear.problem.decoder.design
    for i in range(joint.n_subjects):
        rows = slice(ptr[i], ptr[i + 1])
        if ptr[i] < ptr[i + 1]:
            h = design[rows]
            covariance = h @ joint.omega @ h.T + joint.coefficients[0] ** 2 * np.eye(len(h))
            exact = np.linalg.solve(np.real(sqrtm(covariance)), joint.y[rows] - h @ joint.mean[i])
            assert wres[rows] == pytest.approx(exact, rel=1e-9)


def test_residuals_of_data_simulated_from_the_model_are_standard_normal(linear):
    joint = linear.joint
    rng = np.random.default_rng(3)
    found = []
    for _ in range(20):
        z = joint.mean + rng.standard_normal(joint.mean.shape) @ np.linalg.cholesky(joint.omega).T
        y = joint.simulate(z, joint.predict(z), rng)
        other = joint.__class__(**{n: getattr(joint, n) for n in joint.__dataclass_fields__} | {"y": y})
        found.append(weighted_residuals(other, linearised_at(other, other.mean), all_of(other)))
    assert kstest(np.concatenate(found), "norm").pvalue > 0.01


def test_observations_that_are_not_usable_are_left_out_of_the_covariance(linear):
    """What remains has the residuals of a data set without them."""
    joint = linear.joint
    typical = linearised_at(joint, joint.mean)
    usable = all_of(joint)
    usable[0] = False
    wres = weighted_residuals(joint, typical, usable)
    assert np.isnan(wres[0])
    rows = slice(1, linear.problem.table.ob_ptr[1])
    h = linear.problem.decoder.design[rows]
    covariance = h @ joint.omega @ h.T + joint.coefficients[0] ** 2 * np.eye(len(h))
    assert wres[rows] == pytest.approx(whitened(covariance, joint.y[rows] - h @ joint.mean[0]))


def test_both_roots_have_the_inverse_variance_as_square_and_a_singular_one_has_none():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    variance, deviation = root @ root.T, rng.normal(size=4)
    exact = deviation @ np.linalg.solve(variance, deviation)
    for cholesky in (True, False):
        white = whitened(variance, deviation, cholesky=cholesky)
        assert white @ white == pytest.approx(exact)
        assert np.isnan(whitened(np.zeros((2, 2)), np.ones(2), cholesky=cholesky)).all()
