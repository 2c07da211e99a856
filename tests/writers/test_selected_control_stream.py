"""The written control stream states the selected model and differs from the user's only where it must.

What it states is checked along another way than the writer's own check: the generated functions of the latent
form, mu and psi, of both models.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from pathlib import Path

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.codegen.print_numpy import link_numpy
from nlmevae.data.events import EventTable
from nlmevae.errors import ModelError, SemanticError, UnsupportedError
from nlmevae.frontends.nonmem.read import parse_control_stream, read_control_stream
from nlmevae.ir import Candidate, CandidateColumn, Model, names_read
from nlmevae.writers import effect_styles
from nlmevae.writers import selected_control_stream as writer
from nlmevae.writers.selected_control_stream import (
    SelectedEffect,
    SelectedText,
    check_can_be_written,
    selected_control_stream,
)
from nlmevae.writers.selected_model_check import WrittenEffect, difference
from tests.helpers.pharmpy_wheel import wheel_file

FIXTURES = Path(__file__).parents[2] / "fixtures"
ACCEPTED = FIXTURES / "syntax" / "nonmem" / "accepted"
CASES = sorted(FIXTURES.glob("*/*.ctl"))
#: Streams that state models of their own, and some of the other spellings.
SPELLINGS = [p for p in sorted(ACCEPTED.glob("*.ctl")) if p.read_bytes().startswith(b"; SAME AS")]
#: Covariates written into this one are those of first records: refused, see below.
ONCE = ACCEPTED / "once_per_individual.ctl"
FORMS = [p for p in sorted(ACCEPTED.glob("*.ctl")) if p not in (*SPELLINGS, ONCE)] + SPELLINGS[::12]

#: Accepted streams whose random effects or residual error recognition refuses.
NOT_READ = {"crlf", "des_compartments", "functions", "if_blocks", "omega_forms", "several_problems", "theta_forms"}


# effects ------------------------------------------------------------------------------------------
def power(parameter: str, covariate: str, centre: float = 70.0, missing: float | None = None, beta: float = 0.31):
    column = CandidateColumn(name=f"{parameter}_{covariate}", shape="log", centre=centre)
    return _effect(parameter, covariate, "power", (column,), missing, (beta,))


def exponential(parameter: str, covariate: str, centre: float = 40.0, missing: float | None = None, beta: float = 0.02):
    column = CandidateColumn(name=f"{parameter}_{covariate}", shape="linear", centre=centre)
    return _effect(parameter, covariate, "exponential", (column,), missing, (beta,))


def categorical(parameter: str, covariate: str, *levels: float, missing: float | None = None):
    columns = tuple(
        CandidateColumn(name=f"{parameter}_{covariate}_{level:g}", shape="indicator", level=level) for level in levels
    )
    beta = tuple(0.2 * (j + 1) for j in range(len(levels)))
    return _effect(parameter, covariate, "categorical", columns, missing, beta)


def _effect(parameter, covariate, form, columns, missing, beta) -> SelectedEffect:
    candidate = Candidate(
        name=f"{parameter}~{covariate}", parameter=parameter, covariate=covariate, form=form, columns=columns,
        missing_code=missing,
    )  # fmt: skip
    return SelectedEffect(candidate=candidate, beta=beta)


# oracle -------------------------------------------------------------------------------------------
def event_table(model: Model) -> EventTable:
    """One subject with one observation; all a latent form wants to know is the names."""
    covariates = tuple(c.name for c in model.data.columns if c.role in ("covariate", "derived"))
    read = names_read(model.program.error) & model.data_items - set(covariates)
    items = tuple(sorted(read))
    nothing, one = np.zeros(0), np.zeros(1)
    whole = np.array([0, 1], dtype=np.int32)
    return EventTable(
        ev_ptr=np.zeros(2, dtype=np.int32), ev_time=nothing, ev_kind=nothing.astype(np.int8),
        ev_cmt=nothing.astype(np.int16), ev_amt=nothing, ev_rate=nothing, ev_ii=nothing,
        ev_order=nothing.astype(np.int32), ob_ptr=whole, ob_time=one, ob_value=one, ob_cmt=np.ones(1, dtype=np.int16),
        ob_row=np.zeros(1, dtype=np.int32), ob_order=np.zeros(1, dtype=np.int32), start_time=one,
        covariate_names=covariates, cov_ptr=whole, cov_time=one, cov_order=np.zeros(1, dtype=np.int32),
        cov=np.ones((1, len(covariates))),
        record_names=items, ob_data=np.ones((1, len(items))), subject_labels=("1",),
    )  # fmt: skip


def points(names, model: Model, effects, rng) -> dict[str, np.ndarray]:
    """60 values of every name; covariates around 50, at the effects' levels and where they are missing."""
    init = {t.name: t.init for t in model.thetas}
    drawn = {
        n: init[n] * np.exp(0.2 * rng.standard_normal(60)) if n in init else 20 + 60 * rng.random(60) for n in names
    }
    drawn.update({n: 0.3 * rng.standard_normal(60) for n in names if n.startswith("Z(")})
    items = [n for n in names if n in model.data_items]
    drawn.update({n: np.where(rng.random(60) < 0.4, rng.integers(1, 3, 60), drawn[n]) for n in items})
    for effect in effects:
        item, candidate = effect.candidate.covariate, effect.candidate
        item = next(c.name for c in model.data.columns if item in (c.name, c.synonym))
        special = [c.level for c in candidate.columns if c.level is not None] + [candidate.missing_code]
        for value in special:
            if value is not None:
                drawn[item] = np.where(rng.random(60) < 0.3, value, drawn[item])
    return drawn


def expected_shift(effect: SelectedEffect, thetas, values, item: str) -> np.ndarray:
    """beta x by the definition of CandidateColumn."""
    total = np.zeros(60)
    for column, theta in zip(effect.candidate.columns, thetas, strict=True):
        for i, w in enumerate(values[item]):
            if w == effect.candidate.missing_code:
                continue
            match column.shape:
                case "log":
                    x = math.log(w / column.centre) if w > 0.0 else (-math.inf if w == 0.0 else math.nan)
                case "linear":
                    x = w - column.centre
                case _:
                    x = float(w == column.level)
            total[i] += values[theta][i] * x
    return total


def assert_states_selected_model(old: Model, written: SelectedText, effects) -> None:
    new = parse_control_stream(written.text, old.source.path)
    assert new == dataclasses.replace(written.model, source=new.source)
    table = event_table(old)
    before, after = latent_form(old, table), latent_form(new, table)
    assert after.latents == before.latents
    assert (after.structural, new.structural.rate_constants, after.dosing) == (
        before.structural, old.structural.rate_constants, before.dosing,
    )  # fmt: skip
    assert (after.linear is None) == (before.linear is None)
    rng = np.random.default_rng(7)
    names = dict.fromkeys((*after.mu.inputs, *after.individual.inputs, *before.mu.inputs))
    values = points(names, new, effects, rng)
    mu_before, mu_after = _run(before.mu, values), _run(after.mu, values)
    index = {latent.name: k for k, latent in enumerate(before.latents)}
    for effect, thetas in zip(effects, written.thetas, strict=True):
        covariate = effect.candidate.covariate
        item = next(c.name for c in old.data.columns if covariate in (c.name, c.synonym))
        mu_before[:, index[effect.candidate.parameter]] += expected_shift(effect, thetas, values, item)
    assert np.isfinite(mu_after).any(axis=0).all()
    np.testing.assert_allclose(mu_after, mu_before, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(_run(after.individual, values), _run(before.individual, values), rtol=1e-12)
    roles = {t.name: t.role for t in new.thetas}
    assert {roles[t] for group in written.thetas for t in group} <= {"covariate_effect"}


def _run(function, values) -> np.ndarray:
    return link_numpy(function)(*(values[n] for n in function.inputs))[0].copy()


def changed_lines(old: str, new: str) -> tuple[list[str], list[str]]:
    lines = [line for line in difflib.ndiff(old.splitlines(), new.splitlines()) if line[0] in "+-"]
    return [x[2:] for x in lines if x[0] == "-"], [x[2:] for x in lines if x[0] == "+"]


def is_subsequence(short: str, long: str) -> bool:
    rest = iter(long)
    return all(character in rest for character in short)


def read(code: str, **records: str) -> Model:
    """A one-compartment model; `code` is $PK up to V and S1."""
    parts = {
        "INPUT": "ID TIME AMT DV WT SEX AGE RACE",
        "DATA": "data.csv IGNORE=@",
        "PK": f"\n{code}\nV = THETA(2)*EXP(ETA(2))\nS1 = V",
        "THETA": "(0, 4) (0, 30)",
        **records,
    }
    text = (
        f"$PROBLEM test\n$INPUT {parts['INPUT']}\n$DATA {parts['DATA']}\n$SUBROUTINES ADVAN1 TRANS2\n$PK{parts['PK']}\n"
        f"$ERROR\nY = F + F*EPS(1)\n$THETA {parts['THETA']}\n$OMEGA 0.1 0.2\n$SIGMA 0.04\n"
    )
    return parse_control_stream(text, "folder/run1.ctl")


# every fixture ------------------------------------------------------------------------------------
def with_covariates(path: Path) -> Model | None:
    """The fixture with the data items BSA and RAC, which no fixture has; None if it cannot be read."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    text = re.sub(r"(?m)^(\$INPUT[ \t]+ID)", r"\1 BSA RAC", text, count=1, flags=re.IGNORECASE)
    try:
        return parse_control_stream(text, str(path))
    except ModelError:
        assert path.stem in NOT_READ, f"{path.stem} is read elsewhere"
        return None


@pytest.mark.parametrize("path", [*CASES, *FORMS], ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_stream_gets_effects_on_every_parameter_and_changes_nowhere_else(path):
    model = with_covariates(path)
    if model is None:
        pytest.skip("recognition refuses this stream")
    effects = []
    for p in model.individual_parameters:
        effects += [power(p.name, "BSA", 1.73, missing=-99.0), categorical(p.name, "RAC", 2.0, 3.0)]
    written = selected_control_stream(model, effects)
    assert_states_selected_model(model, written, effects)
    assert set(written.styles) <= {"mu", "factor", "summand"}
    assert_only_expected_lines_change(model, written)


def test_a_stream_whose_code_runs_once_per_individual_is_refused_before_the_search():
    model = with_covariates(ONCE)
    with pytest.raises(UnsupportedError, match="cannot be written into the control stream: it changes the data"):
        selected_control_stream(model, [power("CL", "BSA", 1.73)])


def assert_only_expected_lines_change(model: Model, written: SelectedText) -> None:
    """Lines that change only get something inserted, and what is new is an effect or a THETA."""
    end = "\r\n" if "\r\n" in model.source.text else "\n"
    assert written.text.count(end) == written.text.count("\n")
    removed, added = changed_lines(model.source.text, written.text)
    assert len(removed) <= 2 * len(model.individual_parameters)
    for line in removed:
        match = next(x for x in added if is_subsequence(line, x))
        added.remove(match)
    code = re.compile(r"\s*(IF\s*\((BSA|RAC)\S+\)\s*)?\w+\s*=\s*\S+", re.IGNORECASE)
    theta = re.compile(r"(\$THETA)?\s*0\.\d+ *; [\w()]+_(BSA|RAC)(_\d)?", re.IGNORECASE)
    assert [x for x in added if not code.fullmatch(x) and not theta.fullmatch(x)] == []


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_candidate_of_a_fixture_alone_can_be_written(path):
    model = read_control_stream(path)
    covariates = [c.name for c in model.data.columns if c.role == "covariate"]
    flags = {item for o in model.observations for c in o.censoring for item, _ in c.stand_in}  # of censored records
    pairs = [(p, w) for p in model.individual_parameters for w in covariates if w not in {*p.covariates, *flags}]
    check_can_be_written(model, [power(p.name, w, 1.5, missing=-99.0).candidate for p, w in pairs])


def test_no_effect_gives_the_users_text():
    model = read_control_stream(FIXTURES / "theophylline" / "run_base.ctl")
    assert selected_control_stream(model, []).text == model.source.text


# what it looks like -------------------------------------------------------------------------------
def test_effects_are_written_as_a_modeller_would():
    model = read_control_stream(FIXTURES / "theophylline" / "run_base.ctl")
    effects = [
        power("KA", "WT", 69.58),
        exponential("V", "WT", 69.58, -99.0, -0.0123456789),
        categorical("KA", "SEX", 1),
    ]
    written = selected_control_stream(model, effects)
    assert_states_selected_model(model, written, effects)
    assert written.thetas == (("THETA(4)",), ("THETA(5)",), ("THETA(6)",))
    removed, added = changed_lines(model.source.text, written.text)
    assert removed == ["  KA = THETA(1)*EXP(ETA(1))", "  V  = THETA(3)*EXP(ETA(3))"]
    assert added == [
        "  KAWT = (WT/69.58)**THETA(4)",
        "  KASEX = 1",
        "  IF (SEX.EQ.1) KASEX = EXP(THETA(6))",
        "  KA = THETA(1)*KAWT*KASEX*EXP(ETA(1))",
        "  VWT = 1",
        "  IF (WT.NE.-99) VWT = EXP(THETA(5)*(WT-69.58))",
        "  V  = THETA(3)*VWT*EXP(ETA(3))",
        "  0.31       ; KA_WT",
        "  -0.0123457 ; V_WT",
        "  0.2        ; KA_SEX_1",
    ]


def test_mu_referenced_models_stay_mu_referenced():
    model = read_control_stream(ACCEPTED / "mu_referenced.ctl")
    effects = [power("CL", "WT", 60.0), power("V", "WT", 60.0, missing=0.0)]
    written = selected_control_stream(model, effects)
    assert_states_selected_model(model, written, effects)
    assert changed_lines(model.source.text, written.text)[1] == [
        "MU_1 = THETA(1) + THETA(3)*LOG(WT/70) + THETA(4)*LOG(WT/60)",
        "VWT = 0",
        "IF (WT.NE.0) VWT = LOG(WT/60)",
        "MU_2 = THETA(2) + THETA(5)*VWT",
        "$THETA 0.31 ; CL_WT",
        "$THETA 0.31 ; V_WT",
    ]


def test_lower_case_code_gets_lower_case_effects():
    model = read_control_stream(ACCEPTED / "lower_case.ctl")
    effects = [power("CL", "WT"), exponential("V", "BWT", missing=-99.0)]
    written = selected_control_stream(model, effects)
    assert_states_selected_model(model, written, effects)
    added = changed_lines(model.source.text, written.text)[1]
    assert added[:2] == [" clwt = (wt/70)**theta(4)", " cl = tvcl*clwt*exp(eta(1))"]
    assert added[3:5] == [" if (bwt.ne.-99) vbwt = exp(theta(5)*(bwt-40))", " v = theta(2)*vbwt*dexp(eta(2))"]
    assert added[5] == "$theta 0.31 ; CL_WT"


WAYS = {
    "typical value on a line of its own": ("TVCL=THETA(1)\nCL=TVCL*EXP(ETA(1))", "factor", "CL=TVCL*CLWT*EXP(ETA(1))"),
    "exponential first": ("CL = EXP(ETA(1))*THETA(1)/2", "factor", "CL = CLWT*EXP(ETA(1))*THETA(1)/2"),
    "carrier": ("ECL = EXP(ETA(1))\nCL = THETA(1)*ECL", "factor", "CL = THETA(1)*ECL*CLWT"),
    "random effect by name": ("IIV = ETA(1)\nCL = THETA(1)*EXP(IIV)", "factor", "CL = THETA(1)*EXP(IIV)*CLWT"),
    "sum": ("E = EXP(ETA(1))\nCL = THETA(1)*E + 2*E", "factor", "CL = (THETA(1)*E + 2*E)*CLWT"),
    "inside": ("CL = EXP(LOG(THETA(1)) + ETA(1))", "factor", "CL = EXP(LOG(THETA(1)) + ETA(1))*CLWT"),
    "second assignment": ("CL = THETA(1)\nCL = CL*EXP(ETA(1))", "factor", "CL = CL*CLWT*EXP(ETA(1))"),
    "changed later": (
        "CL = THETA(1)*EXP(ETA(1))\nIF (SEX.EQ.1) CL = CL*0.8",
        "factor",
        "CL = THETA(1)*CLWT*EXP(ETA(1))\nIF (SEX.EQ.1) CL = CL*0.8",
    ),
    "shifted": ("CL = 0.5 + THETA(1)*EXP(ETA(1))", "factor", "CL = 0.5 + THETA(1)*CLWT*EXP(ETA(1))"),
    "if block": (
        "IF (SEX.EQ.1) THEN\n  CL = THETA(1)*EXP(ETA(1))\nELSE\n  CL = THETA(3)*EXP(ETA(1))\nENDIF",
        "factor",
        "IF (SEX.EQ.1) THEN\n  CL = THETA(1)*CLWT*EXP(ETA(1))\nELSE\n  CL = THETA(3)*CLWT*EXP(ETA(1))\nENDIF",
    ),
    "continued": (
        "CL = THETA(1) & ; typical\n\n   *EXP(ETA(1)) ; random",
        "factor",
        "CL = THETA(1) & ; typical\n\n   *CLWT*EXP(ETA(1)) ; random",
    ),
    "comment": ("CL = THETA(1)*EXP(ETA(1)) ; =ETA(1)", "factor", "CL = THETA(1)*CLWT*EXP(ETA(1)) ; =ETA(1)"),
    "normal": ("CL = THETA(1) + ETA(1)", "summand", "CL = THETA(1) + CLWT + ETA(1)"),
    "normal, ETA first": ("CL = ETA(1)+THETA(1)", "summand", "CL = CLWT+ETA(1)+THETA(1)"),
    "normal by name": ("E = ETA(1)\nCL = E + THETA(1)", "summand", "CL = E + THETA(1) + CLWT"),
    "logit": (
        "CL = 1/(1+EXP(-THETA(1)-ETA(1)))",
        "beside",
        "CL = 1/(1+EXP(-THETA(1)-(ETA(1)+CLWT)))",
    ),
    "logit of a sum": (
        "PHI = THETA(1) + ETA(1)\nCL = EXP(PHI)/(1 + EXP(PHI))",
        "beside",
        "PHI = THETA(1) + ETA(1) + CLWT\nCL = EXP(PHI)/(1 + EXP(PHI))",
    ),
    "logit by name": (
        "E = ETA(1)\nCL = 1/(1 + EXP(-THETA(1) - E))",
        "beside_carrier",
        "CL = 1/(1 + EXP(-THETA(1) - (E + CLWT)))",
    ),
    "MU_": ("MU_1 = LOG(THETA(1))\nCL = EXP(MU_1 + ETA(1))", "mu", "MU_1 = LOG(THETA(1)) + THETA(4)*LOG(WT/70)"),
    "MU_ in two steps": (
        "MU_1 = LOG(THETA(1))\nMU_1 = MU_1 + 0.75*LOG(AGE)\nCL = EXP(MU_1 + ETA(1))",
        "mu",
        "MU_1 = LOG(THETA(1)) + THETA(4)*LOG(WT/70)\nMU_1 = MU_1 + 0.75*LOG(AGE)",
    ),
    "MU_ for NONMEM's use only": (
        "CL = THETA(1)*EXP(ETA(1))\nMU_1 = LOG(THETA(1))",
        "mu",
        "CL = THETA(1)*EXP(ETA(1) + THETA(4)*LOG(WT/70))\nMU_1 = LOG(THETA(1)) + THETA(4)*LOG(WT/70)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_effect_goes_where_the_parameter_is_defined(way):
    code, style, expected = WAYS[way]
    model = read(f"X = THETA(3)\n{code}", THETA="(0, 0.5) (0, 30) (0, 3)")
    model = model if "THETA(3)" in code else read(code + "\nX = THETA(3)", THETA="(0, 0.5) (0, 30) (0, 3)")
    effects = [power("CL", "WT")]
    written = selected_control_stream(model, effects)
    assert written.styles == (style,)
    assert expected in written.text
    assert_states_selected_model(model, written, effects)


@pytest.mark.parametrize("way", WAYS)
def test_several_effects_on_one_parameter_add_up(way):
    code, style, _ = WAYS[way]
    model = read(code + "\nX = THETA(3)", THETA="(0, 0.5) (0, 30) (0, 3)")
    effects = [
        power("CL", "WT", 71.3, missing=-99.0),
        exponential("V", "AGE"),
        exponential("CL", "AGE", 41.25, missing=0.0),
        categorical("CL", "RACE", 2.0, 3.0, missing=-99.0),
    ]
    written = selected_control_stream(model, effects)
    assert written.styles == (style, "factor", style, style)
    assert written.thetas == (("THETA(4)",), ("THETA(5)",), ("THETA(6)",), ("THETA(7)", "THETA(8)"))
    assert_states_selected_model(model, written, effects)


def test_two_effects_of_one_covariate_get_variables_of_their_own():
    model = read("CL = THETA(1)*EXP(ETA(1))")
    effects = [power("CL", "WT"), exponential("CL", "WT", 70.0)]
    written = selected_control_stream(model, effects)
    assert "CL = THETA(1)*CLWT*CL_WT*EXP(ETA(1))" in written.text
    assert_states_selected_model(model, written, effects)


def test_effect_variables_take_no_name_that_has_a_meaning():
    model = read("CLWT = THETA(1)\nCL = CLWT*EXP(ETA(1)) ; not CL_WT")
    written = selected_control_stream(model, [power("CL", "WT")])
    assert "CL_WT = (WT/70)**THETA(3)" in written.text
    model = read("CL = THETA(1)*EXP(ETA(1))\nK = CL/V0\nV0 = 1".replace("CL/V0", "CL"), INPUT="ID TIME AMT DV A=WT")
    written = selected_control_stream(model, [power("V", "A")])  # VA is free
    assert "VA = (A/70)**THETA(3)" in written.text


def test_a_long_line_is_continued_within_nm_tran_limits():
    items = [f"COVARIATE{letter}" for letter in "ABCDEFGHIJ"]
    code = "MU_1 = LOG(THETA(1)) ; typical value of clearance\nCL = EXP(MU_1 + ETA(1))"
    model = read(code, INPUT=f"ID TIME AMT DV {' '.join(items)}")
    effects = [power(p, item, 12.34567, missing=-99.0, beta=0.1) for p in ("CL", "V") for item in items]
    written = selected_control_stream(model, effects)
    assert max(map(len, written.text.splitlines())) <= 160
    assert written.text.count("&\n") == 1
    assert_states_selected_model(model, written, effects)


def test_code_on_the_line_of_its_record_moves_to_the_next():
    text = read("CL = THETA(1)*EXP(ETA(1))").source.text.replace("$PK\n", "$PK ")
    model = parse_control_stream(text, "run1.ctl")
    written = selected_control_stream(model, [power("CL", "WT")])
    assert "$PK \nCLWT = (WT/70)**THETA(3)\nCL = THETA(1)*CLWT*EXP(ETA(1))\n" in written.text


def test_symbols_in_conditions_follow_the_users():
    model = read("CL = THETA(1)*EXP(ETA(1))\nIF (AGE == 1) X = 1")
    written = selected_control_stream(model, [categorical("CL", "SEX", 1.0), power("CL", "WT", missing=-99.0)])
    assert "IF (SEX==1) CLSEX = EXP(THETA(3))" in written.text
    assert "IF (WT/=-99) CLWT = (WT/70)**THETA(4)" in written.text


# THETA --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(0, 4) (0, 30)", "(0, 4) (0, 30)\n$THETA 0.31 ; CL_WT"),
        ("(0, 4)\n$THETA (0, 30) ; V", "(0, 4)\n$THETA (0, 30) ; V\n$THETA 0.31    ; CL_WT"),
        ("\n  (0, 4)   ; CL\n  (0, 30)  ; V", "\n  (0, 4)   ; CL\n  (0, 30)  ; V\n  0.31     ; CL_WT"),
        ("CL=(0,4)\n (0,30,\n 40) FIX ; V\n; end", "CL=(0,4)\n (0,30,\n 40) FIX ; V\n 0.31    ; CL_WT\n; end"),
        ("(0,4) ; CL_WT\n 30", "(0,4) ; CL_WT\n 30\n 0.31 ; CL_WT_2"),
    ],
)
def test_initial_estimates_follow_the_last_theta(before, after):
    model = read("CL = THETA(1)*EXP(ETA(1))", THETA=before)
    effects = [power("CL", "WT")]
    written = selected_control_stream(model, effects)
    assert f"$THETA {after}\n$OMEGA" in written.text
    assert_states_selected_model(model, written, effects)
    assert [t.label for t in written.model.thetas[:2]] == [t.label for t in model.thetas]


def test_theta_at_the_end_of_a_file_without_newline():
    text = re.sub(r"(\$THETA .*)\n((?:.*\n)*)", r"\2\1", read("CL = THETA(1)*EXP(ETA(1))").source.text)
    model = parse_control_stream(text.replace("\n", "\r\n"), "run1.ctl")
    written = selected_control_stream(model, [power("CL", "WT")])
    assert written.text.endswith("$THETA (0, 4) (0, 30)\r\n$THETA 0.31 ; CL_WT")


def test_a_coefficient_of_zero_starts_beside_zero_and_others_with_six_digits():
    model = read("CL = THETA(1)*EXP(ETA(1))")
    written = selected_control_stream(model, [power("CL", "WT", beta=0.0), power("V", "WT", beta=-1.23456789e-5)])
    assert [t.init for t in written.model.thetas[2:]] == [0.001, -1.23457e-05]


# files --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "folder", "expected"),
    [
        ("data.csv", "run", "data.csv"),
        ("data.csv", "run/out", "../data.csv"),
        ("'my data.csv'", "run/out", "'../my data.csv'"),
        ("data.csv", "other", "../run/data.csv"),
        ("../in/data.csv", "run/out", "../../in/data.csv"),
        ("data.csv", "out put/a", "../../run/data.csv"),
        ("/abs/data.csv", "run/out", "/abs/data.csv"),
    ],
)
def test_the_data_path_leads_to_the_same_file_from_the_new_folder(tmp_path, data, folder, expected):
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "run1.ctl"
    path.write_text(read("CL = THETA(1)*EXP(ETA(1))", DATA=f"{data} IGNORE=@").source.text)
    written = selected_control_stream(read_control_stream(path), [], folder=tmp_path / folder)
    assert f"$DATA {expected} IGNORE=@\n" in written.text


def test_a_folder_with_a_blank_is_quoted(tmp_path):
    folder = tmp_path / "a run"
    folder.mkdir()
    (folder / "run1.ctl").write_text(read("CL = THETA(1)*EXP(ETA(1))").source.text)
    written = selected_control_stream(read_control_stream(folder / "run1.ctl"), [], folder=tmp_path / "out")
    assert "$DATA '../a run/data.csv' IGNORE=@\n" in written.text
    assert written.model.data.path == "../a run/data.csv"


def test_bytes_that_are_not_utf8_survive():
    model = read_control_stream(ACCEPTED / "latin1.ctl")
    written = selected_control_stream(model, [power("CL", "WT")])
    assert written.content.startswith(b"$PROBLEM Gr\xf6\xdfe" if b"\xf6" in written.content else b"$PROBLEM Gr")
    original = (ACCEPTED / "latin1.ctl").read_bytes()
    assert [line for line in original.splitlines() if line not in written.content.splitlines()] == [
        b"CL = THETA(1)*EXP(ETA(1))"
    ]


def test_a_run_to_continue_is_noted():
    model = read_control_stream(ACCEPTED / "kept_records.ctl")
    text = model.source.text.replace("$INPUT ID", "$INPUT ID WT")
    written = selected_control_stream(parse_control_stream(text, "run1.ctl"), [power("CL", "WT")])
    assert "$MSFI" in written.notes[0]


# refusals -----------------------------------------------------------------------------------------
def test_effects_that_do_not_fit_the_model_are_refused():
    model = read("CL = THETA(1)*EXP(ETA(1))", INPUT="ID TIME AMT DV WT SEX=DROP AGE RACE")
    for effect, message in (
        (power("KA", "WT"), "KA is not an individual parameter"),
        (power("CL", "TIME"), "TIME is no covariate"),
        (power("CL", "BMI"), "BMI is no covariate"),
        (categorical("CL", "SEX", 1.0), "SEX is dropped"),
        (categorical("CL", "RACE", 2.0, -99.0, missing=-99.0), "level -99 of RACE is the code of missing values"),
    ):
        with pytest.raises(SemanticError, match=message):
            selected_control_stream(model, [effect])


def test_an_effect_no_way_of_writing_passes_its_check_with_is_refused_with_the_code_to_write(monkeypatch):
    monkeypatch.setattr(writer, "difference", lambda *_: "the mean reads THETA(4) elsewhere")
    code = "IF (SEX.EQ.1) CL = THETA(1)*EXP(ETA(1))\nIF (SEX.NE.1) CL = THETA(3)*EXP(ETA(1))"
    model = read(code, THETA="(0, 4) (0, 30) (0, 3)")
    with pytest.raises(UnsupportedError, match=r"effects on CL cannot be written.*THETA\(4\)") as refused:
        selected_control_stream(model, [categorical("CL", "SEX", 1.0)])
    for line in (
        "CLSEX = 0",
        "IF (SEX.EQ.1) CLSEX = THETA(4)",
        "(ETA(1) + CLSEX) in place of ETA(1)",
        "0.2 ; CL_SEX_1",
    ):
        assert line in refused.value.hint
    with pytest.raises(UnsupportedError):
        check_can_be_written(model, [power("CL", "WT").candidate, categorical("CL", "SEX", 1.0).candidate])


def test_a_way_of_writing_that_fails_its_check_gives_place_to_the_next(monkeypatch):
    def misplaced(place, effects, names):
        edits = effect_styles.multiply(place, effects, names)
        return [dataclasses.replace(e, text=e.text.replace("CLWT*", "CLWT*CLWT*")) for e in edits]

    styles = {"misplaced": misplaced, **effect_styles.STYLES}
    monkeypatch.setattr(writer, "STYLES", styles)
    model = read("CL = THETA(1)*EXP(ETA(1))")
    effects = [power("V", "WT"), power("CL", "WT")]
    written = selected_control_stream(model, effects)
    assert written.styles == ("misplaced", "factor")  # on V the replacement changes nothing
    assert_states_selected_model(model, written, effects)


# the check ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("find", "replace", "reason"),
    [
        ("(WT/70)**THETA(3)", "(WT/71)**THETA(3)", "CL does not get"),
        ("(WT/70)**THETA(3)", "1 + THETA(3)*(WT/70)", "CL"),
        ("CLWT = (WT/70)**THETA(3)", "IF (WT.NE.50) CLWT = (WT/70)**THETA(3)", "CL"),
        ("S1 = V", "S1 = V*CLWT", "S1"),
        ("F*EPS(1)", "EPS(1)", r"\$ERROR"),
        ("$OMEGA 0.1", "$OMEGA 0.11", r"\$OMEGA"),
        ("(0, 4)", "(0, 5)", r"THETA\(1\)"),
        ("IGNORE=@", "IGNORE=@ IGNORE=(AGE.GT.5)", "the data"),
    ],
)
def test_a_text_that_states_another_model_is_told_apart(find, replace, reason):
    model = read("CL = THETA(1)*EXP(ETA(1))")
    effect = power("CL", "WT")
    good = selected_control_stream(model, [effect]).text
    written = [WrittenEffect(candidate=effect.candidate, thetas=("THETA(3)",))]
    assert difference(model, parse_control_stream(good, "run1.ctl"), written) == ""
    assert find in good
    bad = parse_control_stream(good.replace(find, replace), "run1.ctl")
    assert re.search(reason, difference(model, bad, written))


# pharmpy ------------------------------------------------------------------------------------------
def test_pharmpy_reads_the_same_effects(tmp_path):
    modeling = pytest.importorskip("pharmpy.modeling")
    folder = tmp_path / "out"
    folder.mkdir()
    cases = [
        (
            FIXTURES / "theophylline" / "run_base.ctl",
            [power("KA", "WT", 69.58), exponential("V", "WT", 69.58, missing=-99.0), categorical("KA", "SEX", 1.0)],
        ),
        (wheel_file("pheno.mod"), [power("CL", "WGT", 1.5, missing=-99.0)]),
    ]
    for source, effects in cases:
        model = read_control_stream(source)
        written = selected_control_stream(model, effects, folder=folder)
        path = folder / f"{source.stem}_selected.mod"
        path.write_bytes(written.content)
        foreign = modeling.read_model(path)
        selected = {(e.candidate.parameter, e.candidate.covariate) for e in effects}
        for p in model.individual_parameters:
            for covariate in ("WT", "SEX") if "theo" in str(source) else ("WGT",):
                expected = (p.name, covariate) in selected or covariate in p.covariates
                assert modeling.has_covariate_effect(foreign, p.name, covariate) == expected
        assert len(foreign.parameters) == len(model.thetas) + len(model.etas) + len(model.epsilons) + sum(
            len(e.beta) for e in effects
        )
        assert len(foreign.dataset) > 100
