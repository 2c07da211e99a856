from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import sqrtm

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.diagnostics.diagnose import diagnose
from nlmevae.diagnostics.record_tables import record_tables
from nlmevae.estimation.at_estimates import AtEstimates, at_estimates
from nlmevae.estimation.problem import make_problem
from nlmevae.fitted_run import at_fit
from nlmevae.ir import TableRequest
from nlmevae.pipeline import prepare
from tests.helpers.pheno import nonmem_table, pheno_at_nonmems_estimates, pheno_run

STREAM = """$PROBLEM one compartment
$INPUT ID TIME AMT CONC=DV WT CMT
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN2 TRANS2
$PK
TVCL = THETA(1)*(WT/70)
CL = TVCL*EXP(ETA(1))
V = THETA(2)*EXP(ETA(2))
KA = THETA(3)
S2 = V
IF (AMT.GT.0) TDOS = TIME
TAD = TIME - TDOS
$ERROR
IPRED = F
W = SQRT(THETA(4)**2 + (0.1*IPRED)**2)
IRES = CONC - IPRED
IWRES = IRES/W
AUC = 100/CL
DEPOT = A(1)
VARS = SIGMA(1,1) + 10*OMEGA(2,2) + 100*OMEGA(1,2)
Y = IPRED + W*EPS(1)
$THETA (0, 2) (0, 20) (0, 1.5) (0, 0.3)
$OMEGA 0.09 0.04
$SIGMA 1 FIX
$EST METHOD=1 INTER
$TABLE ID TIME CONC TAD CL WT IPRED IWRES ETAS(1:LAST) MDV DEPOT FILE=sdtab1 ONEHEADER NOPRINT
$TABLE ID CL V KA AUC NOAPPEND FIRSTONLY FILE=patab1 NOPRINT
"""
DATA = """ID,TIME,AMT,CONC,WT,CMT
1,-1,.,0.1,70,2
1,0,100,.,70,1
1,1,.,3.2,70,2
1,4,.,4.0,70,2
1,12,50,.,70,1
1,13,.,4.1,70,2
2,0,100,.,55,1
2,2,.,4.5,55,2
2,24,.,0.4,55,2
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    (folder / "run1.ctl").write_text(STREAM)
    (folder / "data.csv").write_text(DATA)
    return prepare(folder / "run1.ctl")


@pytest.fixture(scope="module")
def at(run):
    form = latent_form(run.model, run.table)
    problem = make_problem(run.model, form, run.table, make_decoder(form, run.table))
    return at_estimates(problem, problem.initial, rng=np.random.default_rng(0))


def asking(at: AtEstimates, *columns: str, **fields) -> AtEstimates:
    request = TableRequest(file="t", columns=tuple((c, c) for c in columns), append=False, **fields)
    return replace(at, problem=replace(at.problem, model=replace(at.problem.model, tables=(request,))))


def columns(table) -> dict[str, np.ndarray]:
    return dict(zip(table.labels, table.values.T, strict=True))


def test_of_phenobarbital_every_cell_is_nonmems_to_its_five_digits():
    (table,) = record_tables(pheno_at_nonmems_estimates(), pheno_run().dataset)
    theirs = nonmem_table()
    assert list(table.labels) == list(theirs)
    assert table.values.shape == (744, 7)
    for name, values in columns(table).items():
        # RES is a difference of numbers near 50; CWRES depends on the fifth digit of all of them
        assert values == pytest.approx(theirs[name], rel=6e-5, abs={"RES": 1e-3, "CWRES": 6e-5}.get(name, 1e-9))
    assert table.warnings == ()


def test_variables_of_the_code_have_their_values_at_every_record(run, at):
    first = columns(record_tables(at, run.dataset)[0])
    cl = 2 * run.dataset.column("WT") / 70 * np.exp(first["ETA1"])
    assert first["CL"] == pytest.approx(cl)
    assert list(first["TAD"][1:]) == [0, 1, 4, 0, 1, 0, 2, 24]
    assert list(first["MDV"]) == [0, 1, 0, 0, 1, 0, 1, 0, 0]
    w = np.sqrt(0.3**2 + (0.1 * first["IPRED"]) ** 2)
    assert first["IWRES"] == pytest.approx((first["CONC"] - first["IPRED"]) / w)
    assert first["DEPOT"][1] == 100  # after its dose
    assert first["DEPOT"][4] == pytest.approx(50 + 100 * np.exp(-1.5 * 12))


def test_variances_have_their_values_at_the_estimates(run, at):
    moved = replace(at.population, omega=np.diag([0.09, 0.07]))
    asked = replace(asking(at, "VARS"), population=moved)
    assert columns(record_tables(asked, run.dataset)[0])["VARS"] == pytest.approx(1 + 10 * 0.07)


def test_a_value_that_is_not_assigned_yet_is_nan_and_said(run, at):
    table = record_tables(at, run.dataset)[0]
    assert np.isnan(columns(table)["TAD"][0])
    assert table.undefined == {"TAD": 1}
    assert "TAD has no value in 1 of 9 rows" in table.warnings[0]


def test_appended_columns_and_their_zeros_on_dose_records(run, at):
    table = record_tables(at, run.dataset)[0]
    assert table.labels[-4:] == ("DV", "PRED", "RES", "WRES")
    appended = columns(table)
    dose = run.dataset.mdv == 1
    assert not appended["RES"][dose].any()
    assert not appended["WRES"][dose].any()
    assert appended["RES"][~dose] == pytest.approx((appended["DV"] - appended["PRED"])[~dose])


def test_on_dose_records_the_prediction_is_that_of_the_default_compartment(run, at):
    """The dose goes into compartment 1 (CMT = 1); PRED is the concentration in compartment 2."""
    table = columns(record_tables(asking(at, "IPRED", "PRED"), run.dataset)[0])
    assert table["IPRED"][1] == 0
    assert 0 < table["IPRED"][4] < 5


def test_one_line_per_subject_where_it_is_asked_for(run, at):
    table = record_tables(at, run.dataset)[1]
    assert columns(table)["ID"] == pytest.approx([1, 2])
    for records, rows in (("last", [5, 8]), ("first_last", [0, 5, 6, 8])):
        found = record_tables(asking(at, "TIME", records=records), run.dataset)[0]
        assert list(found.values[:, 0]) == list(run.dataset.column("TIME")[rows])


def test_what_cannot_be_computed_is_nan_and_named(run, at):
    table = record_tables(asking(at, "ID", "OBJI", "EIPRED", "NOSUCH"), run.dataset)[0]
    assert set(table.missing) == {"OBJI", "EIPRED", "NOSUCH"}
    assert np.isnan(table.values[:, 1:]).all()
    assert np.isfinite(table.values[:, 0]).all()
    assert len(table.warnings) == 3


def test_simulated_items_are_those_of_the_diagnostics(run, at):
    here = asking(at, "NPDE", "NPD", "EPRED", "ERES", "EWRES", samples=50, seed=3)
    table = columns(record_tables(here, run.dataset)[0])
    found = diagnose(at, run.dataset, n_simulations=50, seed=3, checks=()).observations
    for label, expected in {"NPDE": found.npde, "NPD": found.npd, "EPRED": found.epred, "EWRES": found.ewres}.items():
        assert np.array_equal(table[label][found.row], expected)
    assert np.array_equal(table["ERES"][found.row], found.dv - found.epred)


def test_weighted_residuals_by_cholesky_have_the_same_sum_of_squares(run, at):
    by_root, by_cholesky = (
        columns(record_tables(asking(at, "WRES", "CWRES", cholesky=flag), run.dataset)[0]) for flag in (False, True)
    )
    first = slice(0, 6)
    for name in ("WRES", "CWRES"):
        assert (by_cholesky[name][first] ** 2).sum() == pytest.approx((by_root[name][first] ** 2).sum())
        assert not np.allclose(by_cholesky[name][first], by_root[name][first])


def test_tables_without_a_file_and_omitted_ones_are_not_made(run, at):
    assert record_tables(asking(at, "ID", omitted=True), run.dataset) == ()


LINEAR = """$PROBLEM random size of the residual error
$INPUT ID TIME DV
$DATA data.csv IGNORE=@
$PRED
BASE = THETA(1) + ETA(1)
Y = BASE + BASE*EPS(1) + EPS(2)
$THETA (0, 10)
$OMEGA 4
$SIGMA 0.09 0.25
$EST METHOD=1 {option}
$TABLE ID WRES NWRES WRESI CWRES CWRESI PREDI RESI CIPREDI NOAPPEND FILE=sdtab
"""
LINEAR_DATA = "ID,TIME,DV\n1,0,9\n1,1,12.5\n1,2,14\n2,0,8\n2,1,6.2\n"


def whitened_by_hand(between: float, within: float) -> np.ndarray:
    """V = within I + between 1 1' has the roots of 1 and of what is orthogonal to it."""
    found = []
    for y in (np.array([9, 12.5, 14.0]), np.array([8, 6.2])):
        mean, n = y.mean(), len(y)
        found += list((y - mean) / np.sqrt(within) + (mean - 10.0) / np.sqrt(within + n * between))
    return np.array(found)


@pytest.mark.parametrize("option", ["INTER", "NOINTER"])
def test_weighted_residuals_with_interaction_have_the_exact_variance_of_a_model_linear_in_its_effects(tmp_path, option):
    """y = (10 + eta)(1 + eps1) + eps2: Var = 4 + 0.09 (100 + 4) + 0.25, Cov = 4, as products of independent normal
    variables have it."""
    (tmp_path / "run.ctl").write_text(LINEAR.format(option=option))
    (tmp_path / "data.csv").write_text(LINEAR_DATA)
    run = prepare(tmp_path / "run.ctl")
    with at_fit(run, None) as here:
        table = columns(record_tables(here, run.dataset)[0])
    exact, without = whitened_by_hand(4.0, 0.09 * 104 + 0.25), whitened_by_hand(4.0, 0.09 * 100 + 0.25)
    assert table["WRESI"] == pytest.approx(exact, rel=1e-6)
    assert table["CWRESI"] == pytest.approx(exact, rel=1e-6)
    assert table["NWRES"] == pytest.approx(without, rel=1e-9)
    assert table["PREDI"] == pytest.approx(np.full(5, 10.0))
    assert table["RESI"] == pytest.approx(run.dataset.column("DV") - 10.0)
    if option == "INTER":
        assert table["WRES"] == pytest.approx(exact, rel=1e-6)
        variance = 4.0 * np.ones((3, 3)) + np.diag(0.09 * table["CIPREDI"][:3] ** 2 + 0.25)
        by_hand = np.linalg.solve(np.real(sqrtm(variance)), np.array([9, 12.5, 14.0]) - 10.0)
        assert table["CWRES"][:3] == pytest.approx(by_hand, rel=1e-9)
    else:
        assert table["WRES"] == pytest.approx(without, rel=1e-9)
        assert table["CWRES"] == pytest.approx(without, rel=1e-9)
