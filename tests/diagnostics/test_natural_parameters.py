"""Population parameters under Monolix's names: the name is true, the value natural, the derivative right."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from nlmevae.diagnostics.fitted import problem_at
from nlmevae.diagnostics.natural_parameters import natural_parameters
from nlmevae.estimation.population import Population
from nlmevae.ir import Transform
from nlmevae.pipeline import prepare
from nlmevae.results.monolix_names import MonolixNames

STREAM = """$PROBLEM names
$INPUT ID TIME AMT DV WT OCC DVID SEX
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
{pk}
S1 = V
$ERROR
{error}
$THETA
{theta}
{omega}
{sigma}
"""
PROPORTIONAL = "Y = F*(1 + EPS(1))"
PLAIN = "CL = THETA(1)*EXP(ETA(1))\nV = THETA(2)*EXP(ETA(2))"
TWO = "(0, 3) ; CL\n(0, 30) ; V"
VARIANCES = "$OMEGA 0.1 0.2"
ERROR = "$SIGMA 0.04"


@pytest.fixture
def listed(tmp_path):
    """From parts of a control stream to its rows at the initial estimates, and to those at other values."""

    def made(pk=PLAIN, theta=TWO, omega=VARIANCES, sigma=ERROR, error=PROPORTIONAL, names=None):
        lines = ["ID,TIME,AMT,DV,WT,OCC,DVID,SEX"]
        for i, wt in enumerate((55, 60, 72, 81), 1):
            lines.append(f"{i},0,100,.,{wt},1,1,{i % 2}")
            lines += [f"{i},{t},.,{3 - t / 5},{wt},{1 + (t > 2)},{1 + t % 2},{i % 2}" for t in (1, 2, 4, 8)]
        (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
        stream = STREAM.format(pk=pk, error=error, theta=theta, omega=omega, sigma=sigma)
        (tmp_path / "run.ctl").write_text(stream)
        run = prepare(tmp_path / "run.ctl")
        problem = problem_at(run.model, run.table, None)
        start = Population.initial(run.model)

        def rows(population=start):
            estimates = [
                SimpleNamespace(name=t.name, value=v) for t, v in zip(run.model.thetas, population.thetas, strict=True)
            ]
            fit = SimpleNamespace(
                thetas=population.thetas, omega=population.omega, sigma=population.sigma, estimates=estimates
            )
            return {p.name: p for p in natural_parameters(problem, fit, names or MonolixNames())}

        check_derivatives(rows, start)
        problem.decoder.close()
        return rows()

    return made


def moved(population, name, by):
    """`name` canonical; a covariance moves on both sides of the diagonal."""
    word, _, inside = name.rstrip(")").partition("(")
    if word == "THETA":
        thetas = population.thetas.copy()
        thetas[int(inside) - 1] += by
        return replace(population, thetas=thetas)
    matrix = getattr(population, word.lower()).copy()
    i, j = (int(x) - 1 for x in inside.split(","))
    matrix[i, j] += by
    matrix[j, i] = matrix[i, j]
    return replace(population, **{word.lower(): matrix})


def check_derivatives(rows, population):
    """By central differences, in all parameters one row depends on."""
    for name, row in rows().items():
        for element, derivative in row.gradient.items():
            step = 1e-6
            high, low = (rows(moved(population, element, s * step))[name].value for s in (1, -1))
            # the error of a central difference with this step is far below
            assert (high - low) / (2 * step) == pytest.approx(derivative, rel=1e-6, abs=1e-8)


def values(rows):
    return {name: pytest.approx(row.value, rel=1e-12) for name, row in rows.items()}


def test_a_plain_model_has_monolix_names(listed):
    rows = listed()
    assert list(rows) == ["CL_pop", "V_pop", "omega_CL", "omega_V", "b"]
    assert values(rows) == {"CL_pop": 3.0, "V_pop": 30.0, "omega_CL": 0.1**0.5, "omega_V": 0.2**0.5, "b": 0.2}
    assert rows["V_pop"].slope == pytest.approx(1 / 30)
    assert rows["omega_V"].cv == pytest.approx(100 * np.sqrt(np.exp(0.2) - 1))
    assert [row.kind for row in rows.values()] == ["fixed effect"] * 2 + ["omega"] * 2 + ["error"]


def test_a_typical_value_on_the_log_scale_is_listed_on_the_natural_one(listed):
    rows = listed(pk="MU_1 = THETA(1)\nCL = EXP(MU_1 + ETA(1))\nV = THETA(2)*EXP(ETA(2))", theta="1.1 ; LCL\n(0, 30)")
    assert rows["CL_pop"].value == pytest.approx(np.exp(1.1))


def test_a_logit_parameter(listed):
    rows = listed(
        pk="CL = 5*EXP(THETA(1) + ETA(1))/(1 + EXP(THETA(1) + ETA(1)))\nV = THETA(2) + ETA(2)",
        theta="0.3 ; CL\n(0, 30) ; V",
        omega="$OMEGA 0.1 2",
    )
    typical = 5 / (1 + np.exp(-0.3))
    assert rows["CL_pop"].value == pytest.approx(typical)
    assert rows["CL_pop"].slope == pytest.approx(5 / (typical * (5 - typical)))
    assert rows["V_pop"].slope == 1.0
    assert np.isnan([rows["omega_CL"].cv, rows["omega_V"].cv]).all()


def test_units_count_where_there_are_no_covariates(listed):
    assert listed(pk=PLAIN.replace("THETA(1)", "60*THETA(1)"), theta="(0, 0.05) ; CL\n(0, 30)")[
        "CL_pop"
    ].value == pytest.approx(3.0)


def test_a_fixed_exponent_leaves_the_users_own_name(listed):
    """Nothing says at which weight CL_pop would be the clearance."""
    rows = listed(pk=PLAIN.replace("THETA(1)", "THETA(1)*(WT/70)**0.75"), theta="(0, 3) ; TV CL (L/h)\n(0, 30) ; V")
    assert list(rows)[:2] == ["TV_CL", "V_pop"]


def test_effects_follow_their_parameter(listed):
    pk = "CL = THETA(1)*(WT/70)**THETA(3)*EXP(ETA(1))\nV = THETA(2)*(WT/70)**THETA(4)*EXP(ETA(2))"
    rows = listed(pk=pk, theta=f"{TWO}\n0.7 ; beta_CL_lw70\n1.1 ; WT on V")
    assert list(rows)[:4] == ["CL_pop", "beta_CL_lw70", "V_pop", "WT_on_V"]
    assert rows["beta_CL_lw70"].effect
    assert not rows["CL_pop"].effect
    assert rows["beta_CL_lw70"].slope == 1.0


def test_a_factor_is_no_coefficient(listed):
    """Without effect at 1: its distance from 0 says nothing."""
    rows = listed(
        pk="TV = THETA(1)\nIF (SEX.EQ.1) TV = THETA(1)*THETA(3)\nCL = TV*EXP(ETA(1))\nV = THETA(2)*EXP(ETA(2))",
        theta=f"{TWO}\n(0, 1.2) ; SEX",
    )
    assert rows["SEX"].value == pytest.approx(1.2)
    assert not rows["SEX"].effect


def test_correlations_and_fixed_rows(listed):
    rows = listed(omega="$OMEGA BLOCK(2) 0.1 0.05 0.2", theta="(0, 3) ; CL\n(30 FIX) ; V")
    assert list(rows) == ["CL_pop", "V", "omega_CL", "omega_V", "corr_V_CL", "b"]
    assert rows["corr_V_CL"].value == pytest.approx(0.05 / np.sqrt(0.02))
    assert [name for name, row in rows.items() if row.fixed] == ["V"]
    rows = listed(omega="$OMEGA 0.1\n$OMEGA 0.2 FIX", sigma="$SIGMA 0.04 FIX")
    assert [name for name, row in rows.items() if row.fixed] == ["omega_V", "b"]


def test_a_random_effect_fixed_at_zero_is_no_variability(listed):
    assert list(listed(omega="$OMEGA 0.1\n$OMEGA 0 FIX")) == ["CL_pop", "V", "omega_CL", "b"]


def test_variability_between_occasions_is_gamma(listed):
    pk = (
        "O1 = 0\nIF (OCC.EQ.1) O1 = 1\nO2 = 1 - O1\nCL = THETA(1)*EXP(ETA(1) + O1*ETA(3) + O2*ETA(4))\n"
        "V = THETA(2)*EXP(ETA(2))"
    )
    rows = listed(pk=pk, omega=f"{VARIANCES}\n$OMEGA BLOCK(1) 0.05 ; gamma_CL\n$OMEGA BLOCK(1) SAME")
    assert list(rows)[2:] == ["omega_CL", "omega_V", "gamma_CL", "b"]
    assert rows["gamma_CL"].value == pytest.approx(0.05**0.5)


@pytest.mark.parametrize(
    ("error", "sigma", "theta", "expected"),
    [
        ("Y = F + EPS(1)", "$SIGMA 0.09", "", {"a": 0.3}),
        ("Y = F + F*EPS(1) + EPS(2)", "$SIGMA 0.04 0.09", "", {"a": 0.3, "b": 0.2}),
        (
            "Y = F + (THETA(3) + THETA(4)*F)*EPS(1)",
            "$SIGMA 1 FIX",
            "(0, 0.3)\n(0, 0.2) ; prop",
            {"a": 0.3, "prop": 0.2},
        ),
        (
            "IF (DVID.EQ.1) THEN\nY = F + EPS(1)\nELSE\nY = F + F*EPS(2)\nENDIF",
            "$SIGMA 0.09 0.04",
            "",
            {"a1": 0.3, "b2": 0.2},
        ),
    ],
    ids=["additive", "combined", "standard deviations as THETA", "two endpoints"],
)
def test_error_parameters_are_standard_deviations(listed, error, sigma, theta, expected):
    rows = listed(error=error, sigma=sigma, theta=f"{TWO}\n{theta}" if theta else TWO)
    assert {n: r.value for n, r in rows.items() if r.kind == "error"} == pytest.approx(expected)


def test_the_projects_own_names_come_first(listed):
    names = MonolixNames(
        shown={"CL": "Cl", "OMEGA(2,1)": "corr_Cl_V", "EPS(1)": "b_conc"}, transforms={"V": Transform(kind="log")}
    )
    rows = listed(omega="$OMEGA BLOCK(2) 0.1 0.05 0.2", names=names)
    assert list(rows) == ["Cl_pop", "V_pop", "omega_Cl", "omega_V", "corr_Cl_V", "b_conc"]


def test_a_parameter_without_variability_has_its_label_and_scale(listed):
    names = MonolixNames(transforms={"V": Transform(kind="log")})
    rows = listed(
        pk="CL = THETA(1)*EXP(ETA(1))\nV = THETA(2)",
        theta="(0, 3) ; CL_pop\n(0, 30) ; V_pop",
        omega="$OMEGA 0.1",
        names=names,
    )
    assert list(rows) == ["CL_pop", "V_pop", "omega_CL", "b"]
    assert rows["V_pop"].slope == pytest.approx(1 / 30)


def test_two_labels_that_are_one_word_stay_apart(listed):
    pk = "CL = THETA(1)*(WT/70)**0.75*EXP(ETA(1))\nV = THETA(2)*(WT/70)*EXP(ETA(2))"
    assert list(listed(pk=pk, theta="(0, 3) ; T-V\n(0, 30) ; T V"))[:2] == ["T_V", "T_V_2"]
