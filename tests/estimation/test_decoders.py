from pathlib import Path

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.estimation.decoders import Decoders
from nlmevae.estimation.problem import make_problem
from nlmevae.estimation.settings import FitSettings
from nlmevae.likelihood.importance import draw, mixture, restrict, weigh
from nlmevae.pipeline import prepare

FIXTURES = Path(__file__).parents[2] / "fixtures"
INTEGRATED, EXACT = "neonates/run_covariates.ctl", "theophylline/run_wt.ctl"


@pytest.fixture
def parts():
    """Of a control stream with settings: its decoders and the problem with the exact one."""
    opened = []

    def of(stream, settings):
        run = prepare(FIXTURES / stream)
        form = latent_form(run.model, run.table)
        decoders = Decoders.of(form, run.table, settings)
        opened.append(decoders)
        return decoders, make_problem(run.model, form, run.table, decoders.exact)

    yield of
    for decoders in opened:
        decoders.close()


@pytest.mark.parametrize(
    ("settings", "exact", "draws", "rough"),
    [
        (FitSettings(), 1e-9, 1e-6, 1e-5),  # the control stream has TOL=9
        (FitSettings(rtol=1e-7), 1e-7, 1e-7, 1e-7),
        (FitSettings(method="vae"), 1e-9, 1e-9, 1e-9),
    ],
)
def test_what_is_not_reported_is_integrated_roughly_unless_the_user_chose_a_tolerance(
    parts, settings, exact, draws, rough
):
    decoders, _ = parts(INTEGRATED, settings)
    found = [d.tolerances.rtol for d in (decoders.exact, decoders.draws, decoders.rough)]
    assert found == [exact, draws, rough]


@pytest.mark.parametrize(("settings", "rtol"), [(FitSettings(method="vae"), 1e-6), (FitSettings(rtol=1e-7), 1e-7)])
def test_draws_are_integrated_as_accurately_as_weights_need_unless_the_user_chose_a_tolerance(parts, settings, rtol):
    _, problem = parts(INTEGRATED, settings)
    assert problem.joint(problem.initial).for_draws.decoder.tolerances.rtol == rtol


def test_an_exact_back_end_has_one_decoder_for_everything(parts):
    decoders, problem = parts(EXACT, FitSettings())
    assert decoders.draws is decoders.exact
    assert decoders.rough is decoders.exact
    assert problem.decoder.for_draws is problem.decoder


def test_the_tolerance_of_draws_changes_the_likelihood_by_far_less_than_its_error(parts):
    """Of 40 neonates, whose predictions have the highest demands of all fixtures (an error of 1 %); measured 1e-3 of an
    error of 1.3."""
    _, problem = parts(INTEGRATED, FitSettings())
    joint = restrict(problem.joint(problem.initial), np.arange(40))
    chol = np.broadcast_to(np.linalg.cholesky(joint.omega) / 3, (40, joint.n_latents, joint.n_latents))
    proposal = mixture(joint, joint.mean, chol)
    rough = draw(joint, proposal, 256, np.random.default_rng(1))
    exact = weigh(joint, type(rough)(z=rough.z, prediction=joint.predict(rough.z), log_q=rough.log_q))
    assert 0.0 < abs(weigh(joint, rough).total - exact.total) < 0.01 * exact.mc_se
