"""Monolix projects as control streams: read back they are the same model and predict the same."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from nlmevae import pipeline
from nlmevae.cli.main import main
from nlmevae.errors import SemanticError
from nlmevae.ir import Assign, Binary, Number, Symbol
from nlmevae_translators.convert import convert
from nlmevae_translators.to_nonmem import to_nonmem
from nlmevae_translators.to_nonmem.code_text import CodeWriter
from tests.helpers.reference_projects import NAMES, stage
from tests.helpers.round_trip import RoundTrip, round_trip

FIXTURES = Path(__file__).parents[2] / "fixtures"
TWINS = sorted(path.parent.name for path in (FIXTURES / "twins").glob("*/project.mlxtran"))
#: Of predictions: rounding of EXP(LOG(x) + s) against x*EXP(s).
ROUNDING = 1e-9


def check(trip: RoundTrip) -> None:
    assert trip.differences() == []
    assert trip.prediction_difference() < ROUNDING
    check_text(trip)


def check_text(trip: RoundTrip) -> None:
    """NM-TRAN's limits, and a place for every entry."""
    assert all(len(line) < 160 for line in trip.text.splitlines())
    assert all(len(name) <= 20 and name == name.upper() for name in trip.data[0])
    lines = {name: text.splitlines() for name, text in trip.files.items()}
    for entry in trip.entries:
        name, number = entry.target.rsplit(":", 1)
        assert 1 <= int(number) <= len(lines[name])
    assert {entry.kind for entry in trip.entries} <= {"lossless", "rule"}


@pytest.mark.parametrize("case", TWINS)
def test_twins_are_the_same_model(case, tmp_path):
    check(round_trip(FIXTURES / "twins" / case / "project.mlxtran", tmp_path))


def test_the_project_fixture_is_the_same_model(tmp_path):
    check(round_trip(FIXTURES / "monolix_project" / "theophylline.mlxtran", tmp_path))


@pytest.mark.parametrize("name", NAMES)
def test_reference_projects_are_the_same_model(name, tmp_path):
    check(round_trip(stage(name, tmp_path).path, tmp_path))


@pytest.mark.parametrize("case", TWINS)
def test_pharmpy_parses_what_is_written(case, tmp_path):
    pharmpy = pytest.importorskip("pharmpy.model")
    from pharmpy.modeling import has_mu_reference

    trip = round_trip(FIXTURES / "twins" / case / "project.mlxtran", tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = pharmpy.Model.parse_model(tmp_path / "project.ctl")
        assert len(model.dataset) == len(trip.data) - 1
        assert has_mu_reference(model)
    assert len(model.random_variables.etas.names) == len(trip.project.etas)


def test_a_stream_of_the_simplest_project(tmp_path):
    trip = round_trip(FIXTURES / "twins" / "oral_lag" / "project.mlxtran", tmp_path)
    lines = trip.text.splitlines()
    assert "$SUBROUTINES ADVAN2 TRANS2" in lines
    assert "  MU_1 = LOG(THETA(1))" in lines
    assert trip.data[0][:3] == ["ID", "TIME", "DV"]


MODEL = "PK:\nCc = pkmodel(V, Cl)\n\nOUTPUT:\noutput = Cc\n"
INDIVIDUAL = """input = {V_pop, omega_V, Cl_pop, omega_Cl}
DEFINITION:
V = {distribution=logNormal, typical=V_pop, sd=omega_V}
Cl = {distribution=logNormal, typical=Cl_pop, sd=omega_Cl}"""
PARAMETERS = """V_pop = {value=30}
Cl_pop = {value=4}
a = {value=0.3}
omega_V = {value=0.3}
omega_Cl = {value=0.2}"""
CONTENT = """ID = {use=identifier}
TIME = {use=time}
AMT = {use=amount}
Y = {use=observation, name=y, type=continuous}"""


def written(
    folder: Path, rows: list[str], *, header: str = "ID,TIME,AMT,Y", content: str = "", model: str = MODEL,
    names: str = "V, Cl", individual: str = INDIVIDUAL, outcome: str = "normal, prediction=Cc, errorModel=constant(a)",
    parameters: str = "", covariate: str = "", errors: str = "a",
) -> Path:  # fmt: skip
    """A small project and its data."""
    (folder / "data.csv").write_text("\n".join([header, *rows]) + "\n")
    text = (
        f"<DATAFILE>\n[FILEINFO]\nfile='data.csv'\ndelimiter=comma\nheader={{{header.replace(',', ', ')}}}\n"
        f"[CONTENT]\n{CONTENT}\n{content}\n<MODEL>\n{covariate}\n[INDIVIDUAL]\n{individual}\n"
        f"[LONGITUDINAL]\ninput = {{{errors}, {names}}}\n{model}\nDEFINITION:\ny = {{distribution={outcome}}}\n"
        f"<FIT>\ndata=y\nmodel=y\n<PARAMETER>\n{PARAMETERS}\n{parameters}\n"
        "<MONOLIX>\n[TASKS]\npopulationParameters()\n[SETTINGS]\nGLOBAL:\nexportpath='run'\n"
    )
    (folder / "small.mlxtran").write_text(text)
    return folder / "small.mlxtran"


ROWS = ["1,0,100,.", "1,1,.,3.1", "1,6,.,1.9", "2,0,120,.", "2,2,.,3.3", "2,8,.,1.1"]


def test_log_normal_outcomes_are_written_as_logarithms(tmp_path):
    trip = round_trip(written(tmp_path, ROWS, outcome="logNormal, prediction=Cc, errorModel=constant(a)"), tmp_path)
    check(trip)
    assert "$ERROR (ONLY OBSERVATIONS)" in trip.text
    assert float(trip.data[2][2]) == np.log(3.1)


def test_logit_normal_outcomes_are_written_as_logits(tmp_path):
    outcome = "logitNormal, min=-1, max=100, prediction=Cc, errorModel=constant(a)"
    trip = round_trip(written(tmp_path, ROWS, outcome=outcome), tmp_path)
    check(trip)
    assert "$ERROR (ONLY OBSERVATIONS)" in trip.text
    np.testing.assert_allclose(float(trip.data[2][2]), np.log((3.1 + 1.0) / (100.0 - 3.1)), rtol=1e-15)
    reason = next(e.reason for e in trip.entries if e.construct == "outcome y")
    assert reason.endswith("-2LL differs by 2 sum log((y - -1)(100 - y)/(100 - -1))")
    assert convert(tmp_path / "small.mlxtran", to="nonmem").report.proof.holds


def test_names_of_subjects_become_numbers(tmp_path):
    rows = [row.replace("1,", "anna,", 1) if row[0] == "1" else row.replace("2,", "007,", 1) for row in ROWS]
    trip = round_trip(written(tmp_path, rows), tmp_path)
    check(trip)
    assert trip.files["small_ids.csv"].splitlines() == ["ID,LABEL", '1,"anna"', '2,"007"']
    assert [row[0] for row in trip.data[1:]] == ["1", "1", "1", "2", "2", "2"]


def test_names_nonmem_reserves_and_names_that_differ_by_case_are_changed(tmp_path):
    individual = INDIVIDUAL.replace("V_pop", "v_pop", 0) + (
        "\nF = {distribution=normal, typical=F_pop, no-variability}"
        "\nv = {distribution=normal, typical=v_pop, no-variability}"
        "\na_name_that_is_much_too_long_for_it = {distribution=normal, typical=n_pop, no-variability}"
    )
    individual = individual.replace("omega_Cl}", "omega_Cl, F_pop, v_pop, n_pop}", 1)
    model = (
        "EQUATION:\nk = Cl/V\nPK:\ndepot(target=Ac)\nEQUATION:\nddt_Ac = -k*Ac\n"
        "Cc = F*Ac/V + v + a_name_that_is_much_too_long_for_it\nOUTPUT:\noutput = Cc\n"
    )
    path = written(
        tmp_path, ROWS, individual=individual, model=model, names="V, Cl, F, v, a_name_that_is_much_too_long_for_it",
        parameters="F_pop = {value=1}\nv_pop = {value=0.1}\nn_pop = {value=0.2}",
    )  # fmt: skip
    trip = round_trip(path, tmp_path)
    check(trip)
    renamed = {entry.construct for entry in trip.entries if entry.construct.startswith("name ")}
    assert renamed == {"name F", "name v", "name a_name_that_is_much_too_long_for_it"}
    assert "; FX is F" in trip.text


def test_variables_with_names_that_mean_something_in_a_stream(tmp_path):
    names = ("IPRED", "W", "MU_1", "K12", "S1", "D1", "ALAG1", "CENS", "A_0", "PHI", "EXIT", "THEN", "XVID1", "DVID")
    code = "\n".join(f"{name} = {k}" for k, name in enumerate(names, 1))
    model = (
        f"PK:\ndepot(target=Ac)\nEQUATION:\n{code}\nddt_Ac = -Cl/V*Ac\nCc = Ac/V*{'*'.join(names)}\n"
        "OUTPUT:\noutput = Cc\n"
    )
    check(round_trip(written(tmp_path, ROWS, model=model), tmp_path))


CENSORED = ["1,0,100,.,0,.", "1,1,.,3.1,0,.", "1,6,.,1.9,-1,.", "1,9,.,0.5,1,.", "1,12,.,0.5,1,0.1"]
CENSORED += ["2,0,120,.,0,.", "2,2,.,3.3,0,.", "2,8,.,0.5,1,.", "2,9,.,0.7,-1,2"]
CENS = "CENS = {use=censored}\nLIMIT = {use=limit}"


@pytest.mark.parametrize("distribution", ["normal", "logNormal", "logitNormal, min=0, max=50"])
def test_every_kind_of_censoring(distribution, tmp_path):
    outcome = f"{distribution}, prediction=Cc, errorModel=constant(a)"
    path = written(tmp_path, CENSORED, header="ID,TIME,AMT,Y,CENS,LIMIT", content=CENS, outcome=outcome)
    trip = round_trip(path, tmp_path)
    check(trip)
    assert "METHOD=SAEM INTERACTION LAPLACE" in trip.text


def test_occasions_are_effects_with_one_variance(tmp_path):
    individual = INDIVIDUAL.replace("sd=omega_V}", "varlevel={id, id*OCC}, sd={omega_V, gamma_V}}").replace(
        "omega_V,", "omega_V, gamma_V,", 1
    )
    rows = ["1,0,100,.,1", "1,1,.,3.1,1", "1,6,.,1.9,2", "2,0,120,.,1", "2,2,.,3.3,1", "2,8,.,1.1,2"]
    path = written(
        tmp_path, rows, header="ID,TIME,AMT,Y,OCC", content="OCC = {use=occasion}", individual=individual,
        parameters="gamma_V = {value=0.1}",
    )  # fmt: skip
    trip = round_trip(path, tmp_path)
    check(trip)
    assert "$OMEGA BLOCK(1) 0.01 ; gamma_V\n$OMEGA BLOCK(1) SAME ; gamma_V" in trip.text


ONE = "PK:\ncompartment(cmt=1, volume=V, concentration=Cc)\nelimination(cmt=1, Cl)\niv(adm=1, cmt=1)\n"
TWO_WAYS = ["1,0,100,.,1", "1,1,.,3.1,.", "1,6,50,.,2", "1,8,.,2.1,.", "2,0,120,.,1", "2,2,.,3.3,."]
ADM = {"header": "ID,TIME,AMT,Y,ADM", "content": "ADM = {use=administration}"}


@pytest.mark.parametrize(
    ("way", "line"),
    [
        ("iv(adm=2, cmt=1, p=0.5)", "  F1 = 1"),
        ("iv(adm=2, cmt=1, Tlag=V/60)", "  ALAG1 = 0"),
        ("absorption(adm=2, cmt=1, Tk0=3, p=0.5)", "  D1 = TK0"),
        ("absorption(adm=2, cmt=1, Tk0=3, Tlag=0.5)", "  ALAG1 = 0"),
    ],
)
def test_two_ways_into_one_compartment_are_an_item_of_the_data(way, line, tmp_path):
    trip = round_trip(written(tmp_path, TWO_WAYS, model=f"{ONE}{way}\nOUTPUT:\noutput = Cc\n", **ADM), tmp_path)
    check(trip)
    assert line in trip.text.splitlines()
    assert [row[trip.data[0].index("WAY")] for row in trip.data[1:]] == ["0", "0", "2", "0", "0", "0"]


def test_a_fraction_of_one_of_two_ways_with_a_lag_is_refused(tmp_path):
    model = f"{ONE}iv(adm=2, cmt=1, p=0.5, Tlag=1)\nOUTPUT:\noutput = Cc\n"
    files, entries = to_nonmem(pipeline.read_model(written(tmp_path, TWO_WAYS, model=model, **ADM)))
    assert files == {}
    assert [(e.kind, e.construct) for e in entries] == [("refused", "a second way of doses into CENTRAL")]
    assert entries[0].reason.startswith("F1 depends on the way, and doses have a Tlag: together they are not executed.")


EMPTY = (
    "PK:\ncompartment(cmt=1, amount=Ac, volume=V, concentration=Cc)\nelimination(cmt=1, Cl)\n"
    "compartment(cmt=2, amount=Ad)\ntransfer(from=2, to=1, kt=1.5)\niv(adm=1, cmt=2)\n"
    "empty(adm=2, target=Ac)\nOUTPUT:\noutput = Cc\n"
)


def test_emptied_compartments_are_turned_off_and_on(tmp_path):
    rows = ["1,0,100,.,1", "1,1,.,3.1,.", "1,3,1,.,2", "1,4,.,1,.", "2,0,120,.,1", "2,2,.,3.3,."]
    path = written(tmp_path, rows, header="ID,TIME,AMT,Y,ADM", content="ADM = {use=administration}", model=EMPTY)
    trip = round_trip(path, tmp_path)
    check(trip)
    cmt = trip.data[0].index("CMT")
    assert [row[cmt] for row in trip.data[1:6]] == ["2", "0", "-1", "1", "0"]


def test_doses_through_transit_compartments(tmp_path):
    model = "PK:\nCc = pkmodel(ka, Mtt, Ktr, V, Cl)\n\nOUTPUT:\noutput = Cc\n"
    individual = INDIVIDUAL.replace("omega_Cl}", "omega_Cl, ka_pop, Mtt_pop, Ktr_pop}", 1) + "".join(
        f"\n{n} = {{distribution=logNormal, typical={n}_pop, no-variability}}" for n in ("ka", "Mtt", "Ktr")
    )
    path = written(
        tmp_path, ROWS, model=model, individual=individual, names="ka, Mtt, Ktr, V, Cl",
        parameters="ka_pop = {value=1.5}\nMtt_pop = {value=2}\nKtr_pop = {value=3}",
    )  # fmt: skip
    check(round_trip(path, tmp_path))


def test_combined2_and_a_power_of_the_prediction(tmp_path):
    path = written(
        tmp_path, ROWS, outcome="normal, prediction=Cc, errorModel=combined2c(a, b, c)",
        parameters="b = {value=0.2}\nc = {value=0.8}", errors="a, b, c",
    )  # fmt: skip
    check(round_trip(path, tmp_path))


def test_a_project_without_random_effects_is_refused(tmp_path):
    individual = (
        "input={V_pop, Cl_pop}\nDEFINITION:\nV={distribution=logNormal, typical=V_pop, no-variability}\n"
        "Cl={distribution=logNormal, typical=Cl_pop, no-variability}"
    )
    path = written(tmp_path, ROWS, individual=individual)
    path.write_text(path.read_text().replace("omega_V = {value=0.3}\nomega_Cl = {value=0.2}", ""))
    files, entries = to_nonmem(pipeline.read_model(path))
    assert files == {}
    assert [e.construct for e in entries] == ["a project without variability"]


def test_a_reset_that_starts_time_again(tmp_path):
    rows = ["1,0,100,.,1", "1,5,.,3,0", "1,0,100,.,4", "1,4,.,2.5,0", "2,0,90,.,1", "2,3,.,2,0"]
    path = written(tmp_path, rows, header="ID,TIME,AMT,Y,EVID", content="EVID = {use=eventidentifier}")
    trip = round_trip(path, tmp_path)
    check(trip)
    evid = trip.data[0].index("EVID")
    assert "3" in [row[evid] for row in trip.data] or "4" in [row[evid] for row in trip.data]


def test_effects_that_share_a_variance_stand_together(tmp_path):
    individual = INDIVIDUAL.replace("omega_Cl}", "omega_Cl, Q_pop}", 1) + (
        "\nQ = {distribution=logNormal, typical=Q_pop, sd=omega_V}"
    )
    model = MODEL.replace("pkmodel(V, Cl)", "pkmodel(V, Cl, k12=Q, k21=0.3)")
    path = written(tmp_path, ROWS, individual=individual, model=model, names="V, Cl, Q", parameters="Q_pop = {value=1}")
    trip = round_trip(path, tmp_path)
    check(trip)
    assert "$OMEGA BLOCK(1) 0.09 ; omega_V\n$OMEGA BLOCK(1) SAME ; omega_V\n$OMEGA 0.04 ; omega_Cl" in trip.text
    assert "K12 = EXP(MU_3 + ETA(2))" in trip.text


def test_a_linear_system_of_ten_compartments(tmp_path):
    n = 10
    states = "\n".join(f"compartment(cmt={i}, amount=A{i}x)" for i in range(2, n + 1))
    flows = "\n".join(f"transfer(from={i}, to={i + 1}, kt=0.{i}1)" for i in range(1, n))
    model = (
        f"PK:\ncompartment(cmt=1, amount=A1x, volume=V, concentration=Cc)\n{states}\niv(adm=1, cmt=1)\n"
        f"elimination(cmt=1, Cl)\n{flows}\nOUTPUT:\noutput = Cc\n"
    )
    trip = round_trip(written(tmp_path, ROWS, model=model), tmp_path)
    check(trip)
    assert "K9T10 = " in trip.text


def test_code_that_nonmem_writes_otherwise(tmp_path):
    """Conditions, long lines, functions NM-TRAN lacks, whole numbers Fortran would divide."""
    factors = "*".join(f"(1+0.01*exp(-x*{i})+sqrt(V)/100)" for i in range(8))
    model = (
        "PK:\ndepot(target=Ac)\nEQUATION:\nif t<5 & V>3 | !(Cl>2 & V<9)\n kk=1\nelseif t<8\n kk=2\nelse\n kk=3\nend\n"
        f"x=max(0.1, min(V/10, 5))\nddt_Ac=-Cl/V*Ac*kk/2*{factors}\n"
        "Cc=Ac/V + tanh(x) + cosh(x) + sinh(-x) + 1/3 + -2^2/1000 + (-2)^2 + max(x, 0)\nOUTPUT:\noutput=Cc\n"
    )
    trip = round_trip(written(tmp_path, ROWS, model=model), tmp_path)
    check(trip)
    assert "1.0/3.0" in trip.text
    assert "MAX(X, 0.0)" in trip.text


def test_probit_normal_parameters_and_means_on_the_gaussian_scale(tmp_path):
    individual = INDIVIDUAL.replace("omega_Cl}", "omega_Cl, F_pop, oF, G_pop, oG}", 1) + (
        "\nF = {distribution=probitNormal, typical=F_pop, sd=oF}\nG = {distribution=logNormal, mean=G_pop, sd=oG}"
    )
    model = (
        "PK:\ncompartment(cmt=1, amount=Ac)\niv(adm=1, cmt=1, p=F)\nEQUATION:\nddt_Ac=-Cl/V*Ac\nCc=Ac/V+G\n"
        "OUTPUT:\noutput=Cc\n"
    )
    parameters = "F_pop = {value=0.7}\noF = {value=0.2}\nG_pop = {value=-1}\noG = {value=0.2}"
    path = written(
        tmp_path, ROWS, individual=individual, model=model, names="V, Cl, F, G", parameters=parameters
    )  # fmt: skip
    trip = round_trip(path, tmp_path)
    check(trip)
    assert "FX = PHI(MU_3 + ETA(3))" in trip.text
    assert "MU_4 = THETA(4)" in trip.text


def test_a_regressor_holds_its_old_value_up_to_a_record_of_its_own(tmp_path):
    rows = ["1,0,100,.,2", "1,1,.,3.1,3", "1,6,.,1.9,1", "2,0,120,.,1", "2,2,.,3.3,2", "2,8,.,1.1,4"]
    model = "REG = {use=regressor}\nPK:\ndepot(target=Ac)\nEQUATION:\nddt_Ac=-Cl/V*Ac*REG\nCc=Ac/V+REG\n"
    model += "OUTPUT:\noutput=Cc\n"
    path = written(
        tmp_path, rows, header="ID,TIME,AMT,Y,REG", content="REG = {use=regressor}", names="V, Cl, REG", model=model
    )  # fmt: skip
    trip = round_trip(path, tmp_path)
    check(trip)
    assert [(row[1], row[4], row[7]) for row in trip.data[1:4]] == [("0", "1", "2"), ("1", "2", "2"), ("1", "0", "3")]


GOLDEN = FIXTURES / "translate" / "to_nonmem"


@pytest.mark.parametrize("case", TWINS)
def test_what_is_written_does_not_change(case):
    """After a change on purpose: write the new texts there and read them."""
    files, _ = to_nonmem(pipeline.read_model(FIXTURES / "twins" / case / "project.mlxtran"))
    assert files["project.ctl"] == (GOLDEN / f"{case}.ctl").read_text()


@pytest.mark.parametrize("case", ["censored", "zero_order", "parent_metabolite", "direct_effect"])
def test_the_proof_holds(case):
    conversion = convert(FIXTURES / "twins" / case / "project.mlxtran", to="nonmem")
    assert conversion.report.proof.holds
    assert conversion.report.exit_code == 0
    assert conversion.main == "project.ctl"


@pytest.mark.parametrize("distribution", ["normal", "logNormal"])
def test_the_proof_holds_for_logarithms_and_effects_that_start_at_zero(distribution, tmp_path):
    rows = ["1,0,100,.,m", "1,1,.,3.1,m", "2,0,120,.,f", "2,2,.,3.3,f"]
    individual = INDIVIDUAL.replace("omega_Cl}", "omega_Cl, SEX, beta_V_SEX_m}", 1).replace(
        "DEFINITION:", "SEX = {type=categorical, categories={'f', 'm'}}\nDEFINITION:"
    )
    individual = individual.replace("sd=omega_V}", "covariate=SEX, coefficient={0, beta_V_SEX_m}, sd=omega_V}")
    path = written(
        tmp_path, rows, header="ID,TIME,AMT,Y,SEX", content="SEX = {use=covariate, type=categorical}",
        covariate="[COVARIATE]\ninput = SEX\nSEX = {type=categorical, categories={'f', 'm'}}", individual=individual,
        outcome=f"{distribution}, prediction=Cc, errorModel=constant(a)", parameters="beta_V_SEX_m = {value=0}",
    )  # fmt: skip
    conversion = convert(path, to="nonmem")
    assert conversion.report.proof.holds
    assert "; SEX: 0 = f, 1 = m" in conversion.files["small.ctl"]
    assert "0.0001   ; beta_V_SEX_m" in conversion.files["small.ctl"]


def test_the_command_writes_a_stream_that_is_checked_without_notes_on_its_language(tmp_path, capsys):
    project = FIXTURES / "twins" / "oral_lag" / "project.mlxtran"
    assert main(["convert", str(project), "--to", "nonmem", "--out", str(tmp_path)]) == 0
    assert "are the same" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "project.ctl")]) == 0


def test_a_refused_project_writes_nothing(tmp_path, capsys):
    path = written(tmp_path, ROWS)
    text = path.read_text()
    for size in ("sd=omega_V", "sd=omega_Cl"):
        text = text.replace(size, "no-variability")
    path.write_text(text.replace("omega_V, ", "").replace(", omega_Cl", ""))
    assert main(["convert", str(path), "--to", "nonmem", "--out", str(tmp_path / "new")]) == 2
    assert "nothing is written" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()


def test_long_names_are_labels_of_their_own(tmp_path):
    """The reader takes no longer comment for a name."""
    long = ["effect_of_the_dialysis_filter_on_clearance", "effect_of_the_dialysis_membrane_on_clearance"]
    effect = f"typical=Cl_pop, covariate={{SEX, AGE}}, coefficient={{{', '.join(long)}}},"
    individual = INDIVIDUAL.replace("typical=Cl_pop,", effect)
    individual = individual.replace("omega_Cl}\nDEF", f"omega_Cl, SEX, AGE, {', '.join(long)}}}\nDEF")
    path = written(
        tmp_path,
        [f"{row},{k % 2},{k}" for k, row in zip((1, 1, 1, 2, 2, 2), ROWS, strict=True)],
        header="ID,TIME,AMT,Y,SEX,AGE",
        content="SEX = {use=covariate, type=continuous}\nAGE = {use=covariate, type=continuous}",
        covariate="[COVARIATE]\ninput = {SEX, AGE}",
        individual=individual,
        parameters="\n".join(f"{name} = {{value=0.1}}" for name in long),
    )
    trip = round_trip(path, tmp_path)
    check(trip)
    assert [t.label for t in trip.stream.thetas[2:4]] == ["effect_of_t_on_clearance", "effect_of__n_clearance_2"]


IDLE = INDIVIDUAL.replace("omega_Cl}\nDEF", "omega_Cl, ka_pop, omega_ka}\nDEF") + (
    "\nka = {distribution=logNormal, typical=ka_pop, sd=omega_ka}"
)
IDLE_VALUES = "ka_pop = {value=1.5}\nomega_ka = {value=0.5}"


def test_a_parameter_that_nothing_reads_stays_and_is_named(tmp_path):
    trip = round_trip(written(tmp_path, ROWS, individual=IDLE, names="V, Cl, ka", parameters=IDLE_VALUES), tmp_path)
    check(trip)
    found = [d.message for d in trip.project.diagnostics if d.code == "unused-parameter"]
    assert found == [
        "no prediction depends on ka: omega_ka stays at 0.5",
        "no prediction depends on ka_pop: it stays at 1.5",
    ]
    assert [t.fixed for t in trip.project.thetas if t.label == "ka_pop"] == [True]
    assert trip.project.zero_etas == {"ETA(3)"}


def test_a_parameter_that_nothing_reads_but_is_correlated_is_refused_by_its_name(tmp_path):
    individual = IDLE.replace("omega_ka}\nDEF", "omega_ka, corr_V_ka}\nDEF")
    path = written(
        tmp_path, ROWS, individual=individual + "\ncorrelation = {level=id, r(V, ka)=corr_V_ka}", names="V, Cl, ka",
        parameters=IDLE_VALUES + "\ncorr_V_ka = {value=0.2}",
    )  # fmt: skip
    with pytest.raises(SemanticError, match="no prediction depends on ka, which is correlated") as error:
        pipeline.read_model(path)
    assert "correlation={...}" in error.value.hint


def test_long_polynomials_are_written_in_one_pass():
    """A sum on the left at every level: 200 levels would take 2**200 steps if a level were written twice."""
    value = Symbol("X")
    for k in range(200):
        value = Binary("+", Binary("*", value, Symbol("Y")), Number(float(k + 1)))
    assert "".join(CodeWriter(names={}, fresh=str).statements((Assign("Z", value),))).count("*Y") == 200
