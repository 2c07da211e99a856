"""Variable names and numbers of effect code."""

import pytest

from nlmevae.writers.effect_code import FreeNames, Spelling, number_text


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("CL", "WT"), "CLWT"),
        (("K", "A"), "K_A"),  # KA is the absorption rate of ADVAN2
        (("V", "2"), "V_2"),
        (("C", "L"), "C_L"),
        (("A_0(1)", "WT"), "A_01WT"),
        (("LOG", "10"), "LOG_10"),
        (("MU", "_1"), "MU__1"),
        (("CLEARANCEOFDRUG", "BODYWEIGHT"), "CLEARANCEOFDRUGBODYW"),
    ],
)
def test_a_name_is_parameter_and_covariate_unless_that_means_something(parts, name):
    assert FreeNames("").take(*parts) == name


def test_every_name_is_given_once_and_has_at_most_twenty_characters():
    names = FreeNames("CL = THETA(1) ; CLWT in a comment is free\nclage = 1")
    taken = [names.take("CL", "WT"), names.take("CL", "WT"), names.take("CL", "WT"), names.take("CL", "AGE")]
    assert taken == ["CLWT", "CL_WT", "CL_WT_2", "CL_AGE"]
    long = [names.take("ABSORPTIONRATE", "CREATININE") for _ in range(12)]
    assert len(set(long)) == 12
    assert max(map(len, long)) == 20


def test_numbers_are_short_and_exact():
    assert [number_text(v) for v in (70.0, -99.0, 69.58, 1e-7, 1e22)] == ["70", "-99", "69.58", "1E-07", "1E+22"]
    assert all(float(number_text(v)) == v for v in (0.1 + 0.2, 1 / 3, 6.02e23))


def test_spelling_is_taken_from_the_statement():
    spelling = Spelling.of("cl=tvcl*exp(eta(1))", "\ncl=tvcl*exp(eta(1))\nif (sex==1) x=1")
    assert spelling == Spelling(lower=True, spaced=False, plus="+", dotted=False)
    assert Spelling.of("CL = A+B", "IF (SEX.EQ.1) X = 1 ; ==") == Spelling(plus="+")
