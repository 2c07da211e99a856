"""The encoder for new subjects: near the exact posterior of subjects it has never seen, refused where it is not."""

import dataclasses

import numpy as np
import pytest
import torch

import nlmevae
from nlmevae.errors import DataError
from nlmevae.estimation.amortised import encode, negative_log_density, train_encoder
from nlmevae.estimation.posterior import Posterior
from tests.helpers.known_posteriors import known_posteriors
from tests.helpers.line_stream import evaluated, exact_line, line_problem, write_line


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """400 steps are enough for a line."""
    stream = write_line(tmp_path_factory.mktemp("line"))
    problem = line_problem(stream)
    return stream, problem, train_encoder(problem, problem.initial, seed=1, steps=400)


def test_subjects_it_has_never_seen_get_nearly_the_exact_posterior(trained, tmp_path):
    """Median over 40 subjects with other designs; limits of the amortisation, not of chance."""
    _, _, saved = trained
    fresh = line_problem(write_line(tmp_path, n_subjects=40, seed=9))
    q = encode(saved, fresh, fresh.initial)
    mean_off, sd_off = [], []
    for i in range(40):
        rows = slice(*fresh.table.ob_ptr[i : i + 2])
        x = fresh.table.cov[i, fresh.table.covariate_names.index("X")]
        mean, cov = exact_line(fresh.table.ob_time[rows], fresh.y[rows], x)
        sd = np.sqrt(cov.diagonal())
        mean_off.append(np.abs((q.mean[i] - mean) / sd).max())
        sd_off.append(np.abs(np.sqrt(q.cov[i].diagonal()) / sd - 1.0).max())
    assert np.median(mean_off) < 0.2
    assert np.median(sd_off) < 0.1


def test_training_lowers_the_loss_where_the_model_bends(tmp_path):
    """Theophylline: the linearised posterior it starts from is improved by more than .1 per subject in 150 steps."""
    case = known_posteriors("theophylline", tmp_path, (0,))
    history = train_encoder(case.problem, case.population, seed=1, steps=150).history
    assert history[-1, 0] == 150
    assert history[-5:, 1].mean() < history[:2, 1].mean() - 0.1


def test_untrained_it_has_the_exact_posterior_of_a_linear_model(trained):
    """Within what keeps the linearised mean near the prior: tanh, 2 % at one prior standard deviation."""
    _, problem, saved = trained
    zero = dataclasses.replace(saved, weights=np.zeros_like(saved.weights))
    q = encode(zero, problem, problem.initial)
    for i in range(problem.n_subjects):
        rows = slice(*problem.table.ob_ptr[i : i + 2])
        x = problem.table.cov[i, problem.table.covariate_names.index("X")]
        mean, cov = exact_line(problem.table.ob_time[rows], problem.y[rows], x)
        typical = problem.mean.mean(problem.initial.thetas)[i]
        assert q.mean[i] - typical == pytest.approx(mean - typical, rel=0.2, abs=0.01)
        assert q.cov[i] == pytest.approx(cov, rel=1e-6)


def test_a_subject_without_observations_has_exactly_the_prior(trained, tmp_path):
    stream, _, saved = trained
    path = tmp_path / "none.csv"
    path.write_text("ID,TIME,DV,MDV,X\n1,1.0,.,1,1.0\n2,1.0,2.0,0,1.0\n")
    found = nlmevae.predict(
        stream, fit=dataclasses.replace(evaluated(stream), encoder=saved), data=path, route="encoder"
    ).individuals
    np.testing.assert_array_equal(found.eta_mean[0], 0.0)
    assert found.eta_sd[0] == pytest.approx(np.sqrt([0.5, 0.3]))
    assert found.eta_sd[1][0] < np.sqrt(0.5)


def test_training_is_reproducible(trained):
    _, problem, _ = trained
    first, second = (train_encoder(problem, problem.initial, seed=2, steps=3) for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)


def test_predictions_say_for_whom_the_encoder_differs(trained, tmp_path):
    stream, _, saved = trained
    path = tmp_path / "new.csv"
    path.write_text("ID,TIME,DV,MDV,X\n1,0.5,0.9,0,1.0\n1,1.0,0.6,0,1.0\n2,0.5,60,0,1.0\n2,1.0,90,0,1.0\n")
    fit = dataclasses.replace(evaluated(stream), encoder=saved)
    check = nlmevae.predict(stream, fit=fit, data=path).encoder_check
    assert check.differs[1]
    assert check.mean_difference[1] > check.mean_difference[0]


def test_an_encoder_of_another_fit_or_model_is_refused(trained):
    _, problem, saved = trained
    other = dataclasses.replace(problem.initial, thetas=problem.initial.thetas * 1.001)
    with pytest.raises(DataError, match="another fit"):
        encode(saved, problem, other)
    with pytest.raises(DataError, match="another model"):
        encode(dataclasses.replace(saved, fingerprint="0"), problem, problem.initial)


def test_subjects_simulated_at_absurd_parameters_do_not_spoil_the_training(tmp_path):
    """CL = THETA (1 + ETA) with a standard deviation of 1: every sixth simulated clearance is negative, and exp(t)
    overflows."""
    (tmp_path / "run1.ctl").write_text(
        "$PROBLEM x\n$INPUT ID TIME DV\n$DATA data.csv IGNORE=@\n$PRED\nK = THETA(1)*(1 + ETA(1))\n"
        "Y = 10*EXP(-K*TIME) + EPS(1)\n$THETA (0, 1)\n$OMEGA 1\n$SIGMA 0.1\n"
    )
    (tmp_path / "data.csv").write_text("ID,TIME,DV\n1,1,4\n1,900,0.1\n2,1,3\n2,900,0.1\n")
    problem = line_problem(tmp_path / "run1.ctl")
    saved = train_encoder(problem, problem.initial, seed=1, steps=20)
    assert np.isfinite(saved.weights).all()
    assert np.isfinite(saved.history).all()


def test_the_loss_and_its_gradient_are_torchs():
    """To 1e-12; a subject whose share is 0 has none."""
    rng = np.random.default_rng(0)
    loc, z = rng.normal(size=(2, 6, 3))
    tril = np.tril(rng.normal(size=(6, 3, 3)), -1) + np.eye(3) * rng.uniform(0.5, 2.0, (6, 3, 1))
    share = np.array([0.2, 0.2, 0.2, 0.2, 0.2, 0.0])
    z[5] = np.inf
    own = negative_log_density(Posterior(mean=loc, chol=tril, kind="encoder", ok=np.ones(6, dtype=bool)), z, share)
    leaves = [torch.tensor(value, requires_grad=True) for value in (loc, tril)]
    q = torch.distributions.MultivariateNormal(leaves[0][:5], scale_tril=leaves[1][:5])
    constant = 1.5 * np.log(2.0 * np.pi)
    loss = -(torch.as_tensor(share[:5]) * (q.log_prob(torch.as_tensor(z[:5])) + constant)).sum()
    loss.backward()
    assert own.value == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(own.by_loc, leaves[0].grad, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(own.by_tril, np.tril(leaves[1].grad), rtol=1e-12, atol=1e-12)
