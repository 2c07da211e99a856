"""From files to files: simulate, vpc and tables at given parameters."""

import numpy as np
import pandas as pd
import pytest

import nlmevae
from nlmevae.errors import DataError, OutputError, SettingsError

STREAM = """$PROBLEM one compartment
$INPUT ID TIME AMT DV SEX NOTE=DROP
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
CL = THETA(1)*EXP(ETA(1))
V = THETA(2)*EXP(ETA(2))
S1 = V
$ERROR
Y = F*(1 + EPS(1))
$THETA (0, 2) (0, 20)
$OMEGA 0.09 0.04
$SIGMA 0.01
$SIMULATION (77) ONLYSIM SUBPROBLEMS=4
$TABLE ID TIME CL V FILE=sdtab1 NOPRINT ONEHEADER
"""
DATA = "ID,TIME,AMT,DV,SEX,NOTE\n" + "".join(
    f"{i},0,100,.,{i % 2},a\n{i},1,.,4,{i % 2},b\n{i},8,.,2.{i % 10},{i % 2},c\n" for i in range(1, 41)
)
DESIGN = "ID,TIME,AMT,DV,SEX,NOTE\n1,0,500,.,1,x\n1,2,.,.,1,y\n"


@pytest.fixture
def stream(tmp_path):
    (tmp_path / "run1.ctl").write_text(STREAM)
    (tmp_path / "data.csv").write_text(DATA)
    return tmp_path / "run1.ctl"


def read(path):
    return pd.read_csv(path, na_values=".")


def test_a_simulated_data_set_has_the_design_of_the_data(stream, tmp_path):
    found = nlmevae.simulate(stream, tmp_path / "sim.csv", n=2, seed=1)
    frame = read(found.path)
    assert list(frame.columns) == ["ID", "TIME", "AMT", "DV", "SEX", "NOTE", "REP", "IPRED", "PRED", "CL", "V"]
    data = read(tmp_path / "data.csv")
    for name in ("ID", "TIME", "AMT", "SEX"):
        assert frame[name].to_numpy() == pytest.approx(np.tile(data[name], 2), nan_ok=True)
    observed = frame["IPRED"].notna()
    assert (observed == (frame["AMT"].isna())).all()
    exact = 100 / frame["V"] * np.exp(-frame["CL"] / frame["V"] * frame["TIME"])
    assert frame["IPRED"][observed].to_numpy() == pytest.approx(exact[observed].to_numpy(), rel=1e-6)
    assert frame["PRED"][observed].to_numpy() == pytest.approx(
        (5 * np.exp(-0.1 * frame["TIME"]))[observed].to_numpy(), rel=1e-6
    )


def test_the_control_stream_says_seed_and_number(stream, tmp_path):
    by_default = nlmevae.simulate(stream, tmp_path / "a.csv")
    assert (by_default.n, by_default.seed) == (4, 77)
    nlmevae.simulate(stream, tmp_path / "b.csv", n=4, seed=77, threads=3)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_design_needs_no_values(stream, tmp_path):
    (tmp_path / "design.csv").write_text(DESIGN)
    found = nlmevae.simulate(stream, tmp_path / "sim.csv", data=tmp_path / "design.csv", n=500, residual=False)
    frame = read(found.path).dropna(subset=["IPRED"])
    assert len(frame) == 500
    assert np.log(frame["CL"]).std() == pytest.approx(0.3, rel=0.13)  # 4 / sqrt(2 * 500)
    assert (frame["DV"] == frame["IPRED"]).all()


def test_typical_subjects_have_no_variability(stream, tmp_path):
    frame = read(nlmevae.simulate(stream, tmp_path / "sim.csv", n=3, iiv=False).path)
    assert frame["CL"].unique() == pytest.approx([2.0])
    assert frame["IPRED"].equals(frame["PRED"])


def test_parameter_values_may_be_given(stream, tmp_path):
    values = {"THETA1": 1, "THETA2": 10, "OMEGA(1,1)": 0.09, "OMEGA(2,2)": 0.04, "SIGMA(1,1)": 0.01}
    frame = read(nlmevae.simulate(stream, tmp_path / "sim.csv", params=values, iiv=False).path)
    assert frame["CL"].unique() == pytest.approx([1.0])


def test_impossible_wishes_are_refused_before_anything_is_written(stream, tmp_path):
    target = tmp_path / "sim.csv"
    with pytest.raises(SettingsError, match="n is 0"):
        nlmevae.simulate(stream, target, n=0)
    with pytest.raises(SettingsError, match="no covariance"):
        nlmevae.simulate(stream, target, uncertainty=True)
    with pytest.raises(OutputError, match="input"):
        nlmevae.simulate(stream, tmp_path / "data.csv", overwrite=True)
    (tmp_path / "doses.csv").write_text("ID,TIME,AMT,DV,SEX,NOTE\n1,0,500,.,1,x\n")
    with pytest.raises(DataError, match="no observations"):
        nlmevae.simulate(stream, target, data=tmp_path / "doses.csv")
    assert not target.exists()


def test_a_predictive_check_by_stratum_is_written(stream, tmp_path):
    found = nlmevae.vpc(stream, n=30, stratify="sex", out=tmp_path / "vpc")
    table = pd.read_csv(tmp_path / "vpc" / "run1.vpc.csv")
    assert sorted(table["stratum"].unique()) == ["SEX = 0", "SEX = 1"]
    assert table[table["level"] == 0.5].groupby("stratum")["count"].sum().tolist() == [40, 40]
    assert (table["low"] <= table["median"]).all()
    assert [c.stratum for c in found.checks.vpcs] == ["SEX = 0", "SEX = 1"]


def test_checks_against_time_after_dose_leave_out_what_is_before_it(tmp_path, stream):
    text = DATA.replace("1,0,100,.,1,a\n", "1,-1,.,0.1,1,a\n1,0,100,.,1,a\n", 1)
    (tmp_path / "data.csv").write_text(text)
    found = nlmevae.vpc(stream, n=5, against="TAD")
    assert "1 observations before the first dose" in found.checks.warnings[0]
    assert sum(v.count.sum() for v in found.checks.vpcs) == 80


@pytest.mark.parametrize(
    "options",
    [{"stratify": "AGE"}, {"against": "AGE"}, {"levels": (2.0,)}, {"bins": "x"}, {"confidence": 1.0}, {"n": 0}],
)
def test_impossible_checks_are_refused(stream, options):
    with pytest.raises(SettingsError):
        nlmevae.vpc(stream, **{"n": 5, **options})


def test_tables_are_written_at_the_values_given_and_protected(stream, tmp_path):
    written = nlmevae.tables(stream)
    assert [p.name for p in written.paths] == ["sdtab1", "run1.tables.json"]
    lines = (tmp_path / "sdtab1").read_text().splitlines()
    assert lines[0] == "TABLE NO.  1"
    assert len(lines) == 122
    (tmp_path / "sdtab1").write_text("NONMEM's")
    with pytest.raises(OutputError, match="not written by nlmevae"):
        nlmevae.tables(stream)


def test_a_fit_writes_its_tables(stream, tmp_path):
    settings = {"burn_in_iterations": 2, "training_iterations": 2, "max_outer": 1, "final_draws": 64, "n_draws": 32}
    result = nlmevae.fit(stream, out=tmp_path / "out", n_alternatives=0, **settings)
    table = np.loadtxt(tmp_path / "out" / "sdtab1", skiprows=2)
    cl = result.thetas[0] * np.exp(result.individuals.eta_mode[:, 0])
    assert table[::3, 2] == pytest.approx(cl, rel=1e-3)
    first = (tmp_path / "out" / "sdtab1").read_bytes()
    written = nlmevae.tables(stream, fit=result, out=tmp_path / "out")
    assert written.paths[0].read_bytes() == first


def test_pharmpy_reads_the_tables_of_a_run(stream, tmp_path):
    pytest.importorskip("pharmpy")
    from pharmpy.tools import read_modelfit_results

    stream = tmp_path / "run3.mod"
    text = STREAM.replace("ID TIME CL V", "ID TIME CIPREDI CWRES CL")
    stream.write_text(text.replace("$SIMULATION (77) ONLYSIM SUBPROBLEMS=4", "$ESTIMATION METHOD=1 INTERACTION"))
    settings = {"burn_in_iterations": 2, "training_iterations": 2, "max_outer": 1, "final_draws": 64, "n_draws": 32}
    result = nlmevae.fit(stream, write=True, n_alternatives=0, **settings)
    read = read_modelfit_results(stream)
    found = nlmevae.diagnose(stream, fit=result, n_simulations=0).observations
    predictions = read.predictions.reset_index(drop=True)
    assert predictions["PRED"].to_numpy()[found.row] == pytest.approx(found.pred, rel=1e-4)
    assert predictions["CIPREDI"].to_numpy()[found.row] == pytest.approx(found.ipred, rel=1e-4)
    assert read.residuals["CWRES"].to_numpy() == pytest.approx(found.cwres, rel=1e-3, abs=1e-3)


def test_a_fit_of_another_model_is_refused(stream, tmp_path):
    settings = {"burn_in_iterations": 2, "training_iterations": 2, "max_outer": 1, "final_draws": 64, "n_draws": 32}
    result = nlmevae.fit(stream, n_alternatives=0, **settings)
    other = tmp_path / "run2.ctl"
    other.write_text(STREAM.replace("V = THETA(2)*EXP(ETA(2))", "V = THETA(2)").replace("0.09 0.04", "0.09"))
    with pytest.raises(DataError, match="not the fit of this model"):
        nlmevae.tables(other, fit=result)
