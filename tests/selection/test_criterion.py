"""Criteria against their published formulas."""

import numpy as np
import pytest
from scipy.stats import chi2

from nlmevae.errors import SettingsError
from nlmevae.selection.criterion import parse_criterion

N, N_TOT, P = 120, 960, 24
NUMBERS = {"n_subjects": N, "n_obs_total": N_TOT, "n_candidates": P, "n_on_parameter": np.array([10, 10, 4])}


def penalties(name, coefficients=(1, 2, 1), random_effect=(True, True, False), **numbers):
    return parse_criterion(name).penalties(
        n_coefficients=np.array(coefficients), random_effect=np.array(random_effect), **{**NUMBERS, **numbers}
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bicc", [np.log(N), 2 * np.log(N), np.log(N_TOT)]),
        ("bic", [np.log(N), 2 * np.log(N), np.log(N)]),
        ("aic", [2, 4, 2]),
        ("lrt:0.01", chi2.isf(0.01, [1, 2, 1])),
        ("lrt:1e-3", chi2.isf(0.001, [1, 2, 1])),
        ("ebic", [np.log(N) + 2 * np.log(P), 2 * np.log(N) + 2 * np.log(P), np.log(N) + 2 * np.log(P)]),
        ("mbic", [np.log(N) + 2 * np.log(5), 2 * np.log(N) + 2 * np.log(5), np.log(N_TOT) + 2 * np.log(2)]),
    ],
)
def test_penalties_are_those_of_the_literature(name, expected):
    np.testing.assert_allclose(penalties(name), expected, rtol=1e-12)


def test_few_candidates_never_make_an_effect_cheaper_than_bic():
    np.testing.assert_allclose(penalties("mbic", n_on_parameter=np.array([1, 2, 2])), penalties("bicc"))
    np.testing.assert_allclose(penalties("ebic", n_candidates=1), penalties("bic"))


@pytest.mark.parametrize("name", ["BICc", " ebic ", "LRT:0.05"])
def test_capitals_and_blanks_do_not_matter(name):
    assert parse_criterion(name).name == name.strip().lower()


@pytest.mark.parametrize(
    "text", ["bicx", "", "lrt", "lrt:", "lrt:0", "lrt:1", "lrt:-0.1", "lrt:x", "bic:0.1", "lrt:nan"]
)
def test_other_texts_are_refused_with_a_hint(text):
    with pytest.raises(SettingsError) as caught:
        parse_criterion(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("bicc", ["log(120) = 4.79", "log(960) = 6.87"]),
        ("bic", ["log(120) = 4.79"]),
        ("aic", ["2 per coefficient"]),
        ("lrt:0.01", ["6.63", "9.21"]),
        ("ebic", ["log(120) = 4.79", "2 log(24) = 6.36"]),
        ("mbic", ["log(120) = 4.79", "2 log(10/2) = 3.22", "less where there are fewer"]),
    ],
)
def test_the_sentence_has_the_numbers(name, numbers):
    sentence = parse_criterion(name).sentence(**NUMBERS)
    assert sentence.endswith(".")
    assert all(number in sentence for number in numbers)
