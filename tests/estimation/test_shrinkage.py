"""Shrinkage equals, to every digit printed, what NONMEM 7.5 prints for its own estimates."""

import re
from dataclasses import replace

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.at_estimates import at_estimates
from nlmevae.estimation.problem import make_problem
from nlmevae.estimation.shrinkage import eta_statistics, shrinkage
from nlmevae.pipeline import prepare
from tests.helpers.cases import stage
from tests.helpers.pharmpy_wheel import wheel_file

PRINTED = 6e-5  # relative, half a unit of the fifth digit
#: pheno.ext, final row
THETAS, OMEGA, SIGMA = [4.69555e-03, 9.84258e-01, 1.58920e-01], [2.93508e-02, 2.79060e-02], 1.32410e-02


def printed(listing: str, name: str) -> list[float]:
    """Numbers behind a name in a NONMEM listing."""
    line = re.search(rf"^ *{re.escape(name)}\s+(.*)$", wheel_file(listing).read_text(), re.MULTILINE)
    return [float(x) for x in line[1].split()]


def conditional(name: str) -> tuple[np.ndarray, np.ndarray]:
    """ETA (N, 2) and ETC (N, 2, 2) of a `.phi` file."""
    rows = np.array([line.split() for line in wheel_file(name).read_text().splitlines()[2:]], dtype=float)
    return rows[:, 2:4], rows[:, [4, 5, 5, 6]].reshape(-1, 2, 2)


def of_phi(name: str, omega: np.ndarray, residuals: np.ndarray):
    eta, cov = conditional(name)
    return shrinkage(
        mean=eta, mode=eta, cov=cov, omega=omega, seen=np.ones(len(eta), dtype=bool), weighted_residuals=(residuals,)
    )


def individual_weighted_residuals() -> np.ndarray:
    """(DV - IPRED) / (IPRED sqrt(SIGMA)) of NONMEM's own table, observations only."""
    rows = np.array([line.split() for line in wheel_file("pheno.tab").read_text().splitlines()[2:]], dtype=float)
    dv, ipred, cwres = rows[:, 2], rows[:, 3], rows[:, 6]
    return ((dv - ipred) / (ipred * np.sqrt(SIGMA)))[cwres != 0.0]


@pytest.mark.parametrize(
    ("listed", "value"),
    [
        ("ETABAR:", lambda s: s.modes.bar),
        ("SE:", lambda s: s.modes.standard_error),
        ("P VAL.:", lambda s: s.modes.p_value),
        ("ETASHRINKSD(%)", lambda s: s.modes.sd),
        ("ETASHRINKVR(%)", lambda s: s.modes.variance),
        ("EBVSHRINKSD(%)", lambda s: s.ebv_sd),
        ("EBVSHRINKVR(%)", lambda s: s.ebv_variance),
        ("RELATIVEINF(%)", lambda s: s.relative_information),
        ("EPSSHRINKSD(%)", lambda s: s.eps_sd),
        ("EPSSHRINKVR(%)", lambda s: s.eps_variance),
        ("N:", lambda s: [s.n_subjects] * 2),
    ],
)
def test_every_statistic_is_the_printed_one(listed, value):
    found = of_phi("pheno.phi", np.diag(OMEGA), individual_weighted_residuals())
    # the etas themselves have six digits, ETABAR is a mean of numbers a hundred times larger
    assert value(found) == pytest.approx(printed("pheno.lst", listed), rel=PRINTED, abs=1e-6)


@pytest.mark.parametrize("listed", ["EBVSHRINKSD(%)", "EBVSHRINKVR(%)", "RELATIVEINF(%)"])
def test_a_second_listing_agrees(listed):
    found = of_phi("pheno_linear.phi", np.diag([2.96829e-02, 2.90280e-02]), np.empty(0))
    values = {"EBVSHRINKSD(%)": found.ebv_sd, "EBVSHRINKVR(%)": found.ebv_variance}
    assert values.get(listed, found.relative_information) == pytest.approx(
        printed("pheno_linear.lst", listed), rel=PRINTED
    )


def test_our_own_modes_at_nonmems_estimates_give_nonmems_shrinkage(tmp_path):
    """The whole path: data, model, modes and residuals are ours, the parameters NONMEM's FOCEI estimates."""
    stream, _ = stage("phenobarbital_real", tmp_path)
    run = prepare(stream)
    form = latent_form(run.model, run.table)
    problem = make_problem(run.model, form, run.table, make_decoder(form, run.table))
    population = replace(problem.initial, thetas=np.array(THETAS), omega=np.diag(OMEGA), sigma=np.array([[SIGMA]]))
    here = at_estimates(problem, population, rng=np.random.default_rng(0))
    prediction = here.joint.predict(here.mode)
    residual = (problem.y - prediction) / here.joint.sd(prediction, here.mode)
    laplace = here.modes.chol @ np.swapaxes(here.modes.chol, 1, 2)
    found = shrinkage(
        mean=here.eta_mode, mode=here.eta_mode, cov=laplace, omega=np.diag(OMEGA),
        seen=np.ones(problem.n_subjects, dtype=bool), weighted_residuals=(residual,),
    )  # fmt: skip
    # NONMEM stops its searches for modes at about three digits; its parameters are given with six
    assert found.modes.sd == pytest.approx(printed("pheno.lst", "ETASHRINKSD(%)"), rel=1e-3)
    assert found.modes.variance == pytest.approx(printed("pheno.lst", "ETASHRINKVR(%)"), rel=1e-3)
    assert found.ebv_variance == pytest.approx(printed("pheno.lst", "EBVSHRINKVR(%)"), rel=1e-3)
    assert found.eps_sd == pytest.approx(printed("pheno.lst", "EPSSHRINKSD(%)"), rel=1e-3)


def test_a_random_effect_without_variance_and_a_single_subject_have_no_shrinkage():
    eta = np.array([[0.1, 0.0], [-0.2, 0.0]])
    found = eta_statistics(eta, np.diag([0.04, 0.0]))
    assert np.isnan(found.sd[1])
    assert found.p_value[1] == 1.0
    assert np.isnan(eta_statistics(eta[:1], np.diag([0.04, 0.04])).sd).all()


def test_unknown_results_give_unknown_shrinkage_without_a_warning(recwarn):
    nothing = np.full((3, 2), np.nan)
    found = shrinkage(
        mean=nothing, mode=nothing, cov=np.full((3, 2, 2), np.nan), omega=np.eye(2),
        seen=np.array([True, True, False]), weighted_residuals=(np.empty(0),),
    )  # fmt: skip
    for values in (found.means.sd, found.ebv_sd, found.relative_information, found.eps_sd):
        assert np.isnan(values).all()
    assert len(recwarn) == 0


def test_data_without_information_leave_none():
    cov = np.broadcast_to(np.diag([0.04, 0.09]), (5, 2, 2))
    found = shrinkage(
        mean=np.zeros((5, 2)), mode=np.zeros((5, 2)), cov=cov, omega=np.diag([0.04, 0.09]),
        seen=np.ones(5, dtype=bool), weighted_residuals=(),
    )  # fmt: skip
    assert found.ebv_sd == pytest.approx([100.0, 100.0])
    assert found.means.sd == pytest.approx([100.0, 100.0])
    assert np.isnan(found.relative_information).all()
