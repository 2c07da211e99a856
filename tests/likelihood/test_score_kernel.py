"""The moments of scores against sums over one draw, one observation and one pair of numbers at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nlmevae.decoder.residual_kernels import ErrorNumbers, Observed
from nlmevae.likelihood import score_kernel
from nlmevae.likelihood.score_kernel import OmegaDirections, score_moments
from nlmevae.threads import shared_by
from tests.helpers.linear_gaussian import random_intercept_and_slope
from tests.helpers.observed import FORMS, residual_model
from tests.likelihood.test_kernels import several

N_DRAWS = 150  # more than a run has
STEP, TOLERANCE = 1e-6, 1e-6  # of central differences of log densities; relative to the largest number of a kind


def joint_of(name):
    problem = random_intercept_and_slope(block=True)
    joint = problem.joint(problem.initial)
    if name == "several":
        residual, coefficients, observed = several(problem)
        return replace(joint, residual=residual, coefficients=coefficients, observed=observed)
    residual, coefficients = residual_model(name)
    return replace(joint, residual=residual, coefficients=coefficients)


class Given:
    """Draws of a joint density with weights, some of them 0 and some predictions not finite, and one direction along
    which predictions move."""

    def __init__(self, name: str) -> None:
        rng = np.random.default_rng(3)
        self.joint = joint = joint_of(name)
        self.z = joint.mean + 0.3 * rng.normal(size=(N_DRAWS, *joint.mean.shape))
        self.prediction = 0.5 + np.abs(joint.predict(self.z))  # near 0 differences of a proportional error say little
        self.weight = rng.random(self.z.shape[:2])
        self.weight[::3] = 0.0
        self.prediction[0, :] = np.nan  # of weight 0
        self.jacobian = rng.normal(size=(*self.prediction.shape, 1))
        self.basis = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])

    def moments(self):
        joint = self.joint
        errors = joint.residual.numbers(joint.coefficients)
        return score_moments(
            self.z,
            self.prediction,
            self.weight,
            self.jacobian,
            (joint.mean, joint.whiten, OmegaDirections.of(self.basis)),
            (joint.observed, joint.decoder.table.ob_ptr),
            [(error, joint.residual.slot_map(e)) for e, error in enumerate(errors)],
        )

    def numbers(self) -> np.ndarray:
        """(K, N, F) u, the directions of Omega, the derivatives in the coordinates of the coefficients and along the
        direction, by central differences of log p(y | z)."""
        joint = self.joint
        seen = np.where(np.isfinite(self.prediction), self.prediction, 1.0)
        u = (self.z - joint.mean) @ joint.whiten.T
        omega = [0.5 * (np.einsum("kna,ab,knb->kn", u, b, u) - np.trace(b)) for b in self.basis]
        columns = [u, *(o[..., None] for o in omega)]
        for q, part in enumerate(joint.residual.parts):
            moved = [replace(joint, coefficients=self._moved(q, part, s)) for s in (STEP, -STEP)]
            up, down = (j.log_likelihood(seen, self.z) for j in moved)
            columns.append(((up - down) / (2 * STEP))[..., None])
        along = self.jacobian[..., 0]
        up, down = (joint.log_likelihood(seen + s * along, self.z) for s in (STEP, -STEP))
        columns.append(((up - down) / (2 * STEP))[..., None])
        return np.where(self.weight[..., None] > 0, np.concatenate(columns, axis=2), 0.0)

    def _moved(self, q, part, step):
        """Coefficients are on a log scale, powers and correlations on their own, atanh for the latter."""
        found = self.joint.coefficients.copy()
        if part.kind == "correlation":
            found[q] = np.tanh(np.arctanh(found[q]) + step)
        else:
            found[q] = found[q] + step if part.kind == "power" else found[q] * np.exp(step)
        return found


@pytest.mark.parametrize("name", [*FORMS, "several"])
def test_moments_are_sums_over_draws(name):
    given = Given(name)
    found, v, w = given.moments(), given.numbers(), given.weight
    expected = {
        "first": np.einsum("kn,knf->nf", w, v),
        "second": np.einsum("kn,knf,kng->nfg", w, v, v),
        "first_square": np.einsum("kn,knf->nf", w**2, v),
        "second_square": np.einsum("kn,knf,kng->nfg", w**2, v, v),
    }
    for what, value in expected.items():
        scale = np.abs(value).max()
        assert getattr(found, what) / scale == pytest.approx(value / scale, abs=TOLERANCE), what


def test_the_expected_information_is_that_of_slopes():
    given = Given("several")
    slopes = given.joint.slopes(given.z, given.prediction, given.jacobian, of_inputs=False)
    information = np.where(given.weight[..., None, None] > 0, slopes.information, 0.0)
    expected = np.einsum("kn,knst->nst", given.weight, information)
    assert given.moments().structural == pytest.approx(expected, rel=1e-10)


def test_expected_information_of_two_coefficients():
    """Known values, sd = a + b f: E[-l''] in (log a, log b) is 2 s s' with s = (a, b f) / sd."""
    n_draws, f = 140, 2.5
    error = ErrorNumbers(-1, 2, 0.4, 0.2, 1.0, 0.0, False, False, 0.0, False, -1, 0.0)
    observed, ptr = Observed.of(np.array([3.0, 2.0])), np.array([0, 2], dtype=np.int32)
    z, weight = np.zeros((n_draws, 1, 1)), np.full((n_draws, 1), 1.0 / n_draws)
    found = score_moments(
        z, np.full((n_draws, 2), f), weight, np.zeros((0, 0, 0)),
        (np.zeros((1, 1)), np.eye(1), OmegaDirections.of(np.zeros((0, 1, 1)))), (observed, ptr),
        [(error, np.eye(4)[:, :2])],
    )  # fmt: skip
    slope = np.array([0.4, 0.2 * f]) / (0.4 + 0.2 * f)
    assert found.residual[0] == pytest.approx(2 * 2 * np.outer(slope, slope), rel=1e-12)


def test_threads_do_not_change_a_digit(monkeypatch):
    monkeypatch.setattr(score_kernel, "_SUBJECTS", 3)
    given = Given("several")
    alone = given.moments()
    with shared_by(2):
        shared = given.moments()
    for one, other in zip(alone, shared, strict=True):
        assert (one == other).all()
