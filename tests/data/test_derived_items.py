"""Values that code keeps between records: every number by hand, predictions against a loop over the records."""

import numpy as np
import pytest
from scipy.integrate import quad

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import DataError
from nlmevae.estimation.problem import make_problem
from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.ir import names_assigned
from nlmevae.pipeline import prepare
from tests.helpers.control_streams import lower

DATA = """ID,TIME,AMT,DV,EVID
1,0,100,.,1
1,1,.,3.1,0
1,4,.,2.0,0
1,6,50,.,1
1,7,.,3.0,0
2,0,200,.,1
2,1,.,5.9,0
2,8,.,2.1,0
"""
PK = """IF (NEWIND.NE.2) THEN
  TDOS = 0
  CUM = 0
  NOBS = 0
ENDIF
IF (EVID.EQ.1) THEN
  TDOS = TIME
  DOSE = AMT
ENDIF
CUM = CUM + AMT
IF (EVID.EQ.0) NOBS = NOBS + 1
TAD = TIME - TDOS
CL = THETA(1)*EXP(ETA(1))*(DOSE/100)**THETA(3)*(1 + 0.001*CUM + 0.01*NOBS)
V = THETA(2)
S1 = V
"""
ERROR = """IF (NEWIND.NE.2) THEN
  OLDT = 0
  PDV = 0
ENDIF
DT = TIME - OLDT
IPRED = F*(1 + 0.01*TAD + 0.005*DT + 0.02*PDV)
Y = IPRED + IPRED*EPS(1)
OLDT = TIME
PDV = DV
"""
STREAM = """$PROBLEM kept values
$INPUT ID TIME AMT DV EVID
$DATA data.csv IGNORE=@
{structure}
$PK
{pk}{des}$ERROR
{error}
$THETA (0, 4) (0, 30) (-1, 0.2, 1)
$OMEGA 0.1
$SIGMA 0.01
"""
CLOSED = {"structure": "$SUBROUTINES ADVAN1 TRANS2", "des": ""}
EQUATIONS = {
    "structure": "$SUBROUTINES ADVAN13 TOL=10\n$MODEL COMP=(CENTRAL)", "des": "$DES\nDADT(1) = -CL/V*A(1)\n",
}  # fmt: skip


def run(folder, *, structure=CLOSED, pk=PK, error=ERROR, data=DATA):
    (folder / "run1.ctl").write_text(STREAM.format(pk=pk, error=error, **structure))
    (folder / "data.csv").write_text(data)
    return prepare(folder / "run1.ctl")


def column(prepared, name):
    return prepared.dataset.column(name).tolist()


def predictions(prepared, etas, *, backend="auto"):
    """What the fit predicts at the initial estimates for one ETA of each subject."""
    form = latent_form(prepared.model, prepared.table)
    problem = make_problem(prepared.model, form, prepared.table, make_decoder(form, prepared.table, backend=backend))
    joint = problem.joint(problem.initial)
    return joint.predict(joint.mean + np.array(etas)[:, None])


def by_hand(eta: float, subject: str) -> list[float]:
    """The user's code as a loop over the records of NONMEM."""
    found, amount, before = [], 0.0, 0.0
    tdos = dose = cum = nobs = oldt = pdv = 0.0
    for line in DATA.splitlines()[1:]:
        who, time, amt, dv, evid = line.split(",")
        if who != subject:
            continue
        time, amt, dv = (
            float(time),
            float(amt.replace(".", "0") if amt == "." else amt),
            0.0 if dv == "." else float(dv),
        )
        if evid == "1":
            tdos, dose = time, amt
        cum += amt
        nobs += evid == "0"
        cl = 4.0 * np.exp(eta) * (dose / 100) ** 0.2 * (1 + 0.001 * cum + 0.01 * nobs)
        amount = amount * np.exp(-cl / 30.0 * (time - before)) + amt
        if evid == "0":
            found.append(amount / 30.0 * (1 + 0.01 * (time - tdos) + 0.005 * (time - oldt) + 0.02 * pdv))
        before = oldt = time
        pdv = dv
    return found


def test_items_are_those_of_the_records(tmp_path):
    prepared = run(tmp_path)
    assert column(prepared, "DOSE") == [100, 100, 100, 50, 50, 200, 200, 200]
    assert column(prepared, "TDOS") == [0, 0, 0, 6, 6, 0, 0, 0]
    assert column(prepared, "TAD") == [0, 1, 4, 0, 1, 0, 1, 8]
    assert column(prepared, "CUM") == [100, 100, 100, 150, 150, 200, 200, 200]
    assert column(prepared, "NOBS") == [0, 1, 2, 2, 3, 0, 1, 2]
    assert column(prepared, "DT") == [0, 1, 3, 2, 1, 0, 1, 7]
    assert column(prepared, "OLDT") == [0, 1, 4, 6, 7, 0, 1, 8]
    assert column(prepared, "PDV #1") == [0, 0, 3.1, 2.0, 0, 0, 0, 5.9]
    assert not names_assigned(prepared.model.program.pk) & {"DOSE", "TDOS", "TAD", "CUM", "NOBS", "DT"}
    warning = next(d for d in prepared.model.diagnostics if d.code == "derived-from-observations")
    assert warning.message.startswith("PDV: ")


@pytest.mark.parametrize(
    ("structure", "backend"), [(CLOSED, "closed_form"), (EQUATIONS, "closed_form"), (EQUATIONS, "compiled")]
)
def test_predictions_are_those_of_a_loop_over_the_records(tmp_path, structure, backend):
    prepared = run(tmp_path, structure=structure)
    predicted = predictions(prepared, [0.3, -0.2], backend=backend)
    expected = by_hand(0.3, "1") + by_hand(-0.2, "2")
    # 1e-10: closed form to rounding; 1e-7: the integrator's tolerance of 1e-10 over a few steps
    assert predicted == pytest.approx(expected, rel=1e-7 if backend == "compiled" else 1e-10)


def test_the_typical_value_is_still_recognised_with_its_effects(tmp_path):
    (parameter,) = run(tmp_path).model.individual_parameters
    assert (parameter.name, parameter.eta, parameter.transform.kind) == ("CL", "ETA(1)", "log")


def test_a_mixed_block_keeps_what_depends_on_parameters(tmp_path):
    pk = "IF (AMT.GT.0) THEN\n TDOS = TIME\n F1 = THETA(3)\nENDIF\nTAD = TIME - TDOS\nCL = THETA(1)*EXP(ETA(1))\n"
    prepared = run(tmp_path, pk=pk + "V = THETA(2)\nS1 = V\n", error="Y = F*(1 + 0.1*TAD)*(1 + EPS(1))\n")
    assert column(prepared, "TAD") == [0, 1, 4, 0, 1, 0, 1, 8]
    predicted = predictions(prepared, [0.0, 0.0])
    k = 4.0 / 30.0
    assert predicted[3:] == pytest.approx([200 / 30 * 0.2 * np.exp(-k * t) * (1 + 0.1 * t) for t in (1.0, 8.0)])


def test_newind_tells_the_first_record_of_the_data_from_those_of_other_subjects(tmp_path):
    prepared = run(tmp_path, pk=PK + "N = NEWIND\n", error="Y = F*(1+EPS(1)) + 0*N*THETA(3)\n")
    assert column(prepared, "NEWIND") == [0, 2, 2, 2, 2, 1, 2, 2]


def test_a_record_without_a_value_stops_with_its_line(tmp_path):
    early = DATA.replace("1,0,100,.,1\n", "1,-1,.,0.1,0\n1,0,100,.,1\n")
    pk = PK.replace("  TDOS = 0\n", "")
    with pytest.raises(DataError, match="TAD has no value on line 2") as caught:
        run(tmp_path, pk=pk, data=early)
    assert caught.value.location.line == 2
    assert "a value to DOSE and TDOS where IF (NEWIND.NE.2)" in caught.value.hint


def test_a_value_of_a_flagged_record_is_kept():
    model = lower(PRED="\nIF (SEX.EQ.1) BASE = DV\nY = THETA(1) + 0.1*BASE + ETA(1) + EPS(1)\n")
    assert model.data.derived.variables == {"BASE": "BASE"}
    assert model.data.derived.partial == {"BASE"}


def test_complementary_conditions_on_a_covariate_stay_code():
    model = lower(PRED="\nIF (SEX.EQ.1) X = 1\nIF (SEX.EQ.0) X = 2\nY = THETA(1)*X + ETA(1) + EPS(1)\n")
    assert model.data.derived is None


def test_the_text_reads_back_as_the_same_model():
    text = STREAM.format(pk=PK, error=ERROR, **CLOSED)
    first = parse_control_stream(text, "run1.ctl")
    again = parse_control_stream(first.source.text, "run1.ctl")
    assert again == first


def test_covariates_interpolated_between_records(tmp_path):
    """The idiom of NONMEM's help: $ERROR keeps the covariate of a record for $PK of the next."""
    pk = (
        "IF (NEWIND.NE.2) THEN\nOCOV = WT\nOTIM = TIME\nENDIF\nSLOPE = 0\n"
        "IF (TIME.GT.OTIM) SLOPE = (WT-OCOV)/(TIME-OTIM)\nCL = THETA(1)*EXP(ETA(1))\nV = THETA(2)\nS1 = V\n"
    )
    des = "$DES\nWTT = OCOV + SLOPE*(T-OTIM)\nDADT(1) = -CL/V*(WTT/70)**THETA(3)*A(1)\n"
    data = "ID,TIME,AMT,DV,EVID,WT\n1,0,100,.,1,60\n1,2,.,3.1,0,80\n1,6,.,2.0,0,70\n"
    error = "Y = F*(1+EPS(1))\nOCOV = WT\nOTIM = TIME\n"
    (tmp_path / "run1.ctl").write_text(
        STREAM.replace("DV EVID", "DV EVID WT").format(pk=pk, error=error, structure=EQUATIONS["structure"], des=des)
    )
    (tmp_path / "data.csv").write_text(data)
    prepared = prepare(tmp_path / "run1.ctl")
    predicted = predictions(prepared, [0.0])

    def rate(t):
        weight = 60 + 10 * t if t <= 2 else 80 - 2.5 * (t - 2)
        return 4 / 30 * (weight / 70) ** 0.2

    expected = [100 / 30 * np.exp(-quad(rate, 0, t, points=[2.0], epsabs=1e-13)[0]) for t in (2.0, 6.0)]
    assert predicted == pytest.approx(expected, rel=1e-7)  # the integrator's tolerance of 1e-10 over a few steps


@pytest.mark.parametrize("condition", ["EVID.EQ.0", "AMT.EQ.0", "EVID.NE.1", "AMT.LE.0.AND.EVID.EQ.0"])
def test_what_every_observation_computes_needs_no_earlier_record(tmp_path, condition):
    error = f"IF ({condition}) THEN\nIPRED = F\nW = 0.1*IPRED\nENDIF\nY = IPRED + W*EPS(1)\n"
    pk = "CL = THETA(1)*EXP(ETA(1))*(1+THETA(3))\nV = THETA(2)\nS1 = V\n"
    prepared = run(tmp_path, pk=pk, error=error)
    assert prepared.model.data.derived is None
    k = 4.0 * 1.2 / 30.0
    assert predictions(prepared, [0.0, 0.0])[3:] == pytest.approx([200 / 30 * np.exp(-k * t) for t in (1.0, 8.0)])


def test_what_dose_records_assign_in_error_is_kept(tmp_path):
    error = "IF (EVID.EQ.1) THEN\nTD = TIME\nELSE\nIPRED = F*(1+0.1*(TIME-TD))\nENDIF\nY = IPRED*(1+EPS(1))\n"
    pk = "CL = THETA(1)*EXP(ETA(1))*(1+THETA(3))\nV = THETA(2)\nS1 = V\n"
    prepared = run(tmp_path, pk=pk, error=error)
    k = 4.0 * 1.2 / 30.0
    before = 100 / 30 * np.exp(-k * 6) + 50 / 30
    expected = [before * np.exp(-k) * 1.1, *(200 / 30 * np.exp(-k * t) * (1 + 0.1 * t) for t in (1.0, 8.0))]
    assert predictions(prepared, [0.0, 0.0])[2:] == pytest.approx(expected)


def test_individuals_and_their_records_are_numbered(tmp_path):
    code = "IF (NDREC.EQ.1) WT0 = AMT\nX = NIREC + 10*NDREC\n"
    prepared = run(tmp_path, pk=PK + code, error="Y = F*(1+EPS(1)) + 0*X*WT0*THETA(3)\n")
    assert column(prepared, "NIREC") == [1] * 5 + [2] * 3
    assert column(prepared, "NDREC") == [1, 2, 3, 4, 5, 1, 2, 3]
    assert column(prepared, "WT0") == [100] * 5 + [200] * 3


def test_pk_once_per_individual_reads_the_first_record(tmp_path):
    """CALLFL=1: weight and time of the first record, at all records; by hand, with a constant clearance per subject."""
    data = "ID,TIME,AMT,DV,WT\n1,0,100,.,80\n1,1,.,3.1,0\n1,4,.,2.0,50\n2,2,200,.,60\n2,3,.,5.9,90\n"
    text = STREAM.replace("DV EVID", "DV WT").replace("{pk}", "CALLFL=1\n{pk}")
    pk = "CL = THETA(1)*WT/70*EXP(ETA(1)) + 0.1*TIME + 0*THETA(3)\nV = THETA(2)\nS1 = V\n"
    (tmp_path / "run1.ctl").write_text(text.format(pk=pk, error="Y = F*(1 + EPS(1))*WT\n", **CLOSED))
    (tmp_path / "data.csv").write_text(data)
    prepared = prepare(tmp_path / "run1.ctl")
    first, second = (4 * 80 / 70 * np.exp(0.3)) / 30, (4 * 60 / 70 * np.exp(-0.2) + 0.2) / 30
    expected = [100 / 30 * np.exp(-first) * 0, 100 / 30 * np.exp(-first * 4) * 50, 200 / 30 * np.exp(-second) * 90]
    assert predictions(prepared, [0.3, -0.2]) == pytest.approx(expected, rel=1e-10)
