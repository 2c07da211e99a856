import pytest

from nlmevae.likelihood.criteria import ParameterCount, information_criteria


def test_bicc_of_a_published_monolix_run_is_reproduced():
    """Six-endpoint joint model, Monolix 2023R1: 34 subjects, 1731 observations, 17 fixed and 14 random."""
    count = ParameterCount(random_part=14, fixed_part=17)
    criteria = information_criteria(1982.293144, count, n_subjects=34, n_obs_total=1731)
    assert criteria.bicc == pytest.approx(2158.421919, abs=1e-3)


def test_theophylline_bicc_of_the_paper():
    """Rohleff et al. table 1: -2LL 332.2, two covariate effects; 12 subjects, 120 observations."""
    count = ParameterCount(random_part=5, fixed_part=4)
    criteria = information_criteria(332.2, count, n_subjects=12, n_obs_total=120)
    assert criteria.bicc == pytest.approx(363.8, abs=0.05)


def test_aic_and_bic_count_every_parameter():
    criteria = information_criteria(100.0, ParameterCount(random_part=2, fixed_part=3), n_subjects=10, n_obs_total=1000)
    assert criteria.aic == pytest.approx(110.0)
    assert criteria.bic == pytest.approx(100.0 + 5 * 2.302585092994046)
