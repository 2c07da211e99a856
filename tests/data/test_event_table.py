from __future__ import annotations

import numpy as np
import pytest

from nlmevae.data import EventKind, event_table, read_dataset
from nlmevae.errors import DataError, UnsupportedError
from tests.helpers.models import data_model


def build(folder, items: str, text: str, **options):
    (folder / "data.csv").write_text(text)
    model = data_model(folder, items, **options)
    return event_table(model, read_dataset(model))


def events(table) -> list[tuple]:
    names = ("ev_time", "ev_kind", "ev_cmt", "ev_amt", "ev_rate")
    return [tuple(float(v) for v in row) for row in zip(*(getattr(table, n) for n in names), strict=True)]


BOLUS, INFUSION, RESET = (float(k) for k in (EventKind.BOLUS, EventKind.INFUSION, EventKind.RESET))


def test_arrays_have_the_types_of_the_contract(tmp_path):
    table = build(tmp_path, "ID TIME AMT DV", "1,0,100,.\n1,1,.,4\n")
    kinds = {"ev_ptr": "int32", "ob_ptr": "int32", "cov_ptr": "int32", "ev_kind": "int8", "ev_cmt": "int16",
             "ob_cmt": "int16", "cov_order": "int32", "ev_order": "int32", "ob_order": "int32",
             "ob_row": "int32"}  # fmt: skip
    for name in table.__slots__:
        value = getattr(table, name)
        if isinstance(value, np.ndarray):
            assert value.flags.c_contiguous, name
            assert value.dtype == kinds.get(name, "float64"), name


def test_bolus_and_observation(tmp_path):
    table = build(tmp_path, "ID TIME AMT DV", "7,0,100,.\n7,1,.,4\n8,2,50,.\n8,3,.,5\n8,4,.,6\n")
    assert events(table) == [(0, BOLUS, 1, 100, 0), (2, BOLUS, 1, 50, 0)]
    assert table.ev_ptr.tolist() == [0, 1, 2]
    assert table.ob_ptr.tolist() == [0, 1, 3]
    assert table.ob_time.tolist() == [1, 3, 4]
    assert table.ob_value.tolist() == [4, 5, 6]
    assert table.ob_row.tolist() == [1, 3, 4]
    assert table.start_time.tolist() == [0, 2]
    assert table.subject_labels == ("7", "8")


def test_infusions_keep_amount_and_rate(tmp_path):
    table = build(tmp_path, "ID TIME AMT RATE DV", "1,0,100,25,.\n1,1,.,.,4\n")
    assert events(table) == [(0, INFUSION, 1, 100, 25)]


def test_additional_doses_are_explicit(tmp_path):
    """The example of NONMEM's help for ADDL: both data sets are the same doses."""
    text = "1,10,15,2,12,.\n1,15,.,.,.,25.7\n1,20,10,0,0,.\n1,36,.,.,.,30.2\n"
    compact = build(tmp_path, "ID TIME AMT ADDL II DV", text)
    written_out = build(
        tmp_path, "ID TIME AMT ADDL II DV",
        "1,10,15,0,0,.\n1,15,.,.,.,25.7\n1,20,10,0,0,.\n1,22,15,0,0,.\n1,34,15,0,0,.\n1,36,.,.,.,30.2\n",
    )  # fmt: skip
    assert events(compact) == events(written_out)
    assert compact.ev_time.tolist() == [10, 20, 22, 34]


def test_an_additional_dose_comes_before_a_record_of_its_time(tmp_path):
    table = build(tmp_path, "ID TIME AMT ADDL II DV", "1,0,15,2,12,.\n1,12,.,.,.,25\n1,24,.,.,.,30\n")
    assert table.ev_time.tolist() == [0, 12, 24]
    assert np.all(table.ev_order[1:] < table.ob_order)


def test_additional_doses_after_the_last_record_are_left_out(tmp_path):
    table = build(tmp_path, "ID TIME AMT ADDL II DV", "1,0,15,999,0.1,.\n1,0.3,.,.,.,25\n2,0,15,.,.,.\n2,5,.,.,.,2\n")
    np.testing.assert_allclose(table.ev_time, [0, 0.1, 0.2, 0.3, 0])


def test_rounding_does_not_move_an_additional_dose_past_a_record_of_its_time(tmp_path):
    table = build(tmp_path, "ID TIME AMT ADDL II DV", "1,0,15,5,0.1,.\n1,0.3,.,.,.,25\n1,0.6,.,.,.,2\n")
    assert 3 * 0.1 > 0.3
    assert table.ev_time[3] == table.ob_time[0]


def test_record_order_decides_at_equal_times(tmp_path):
    table = build(tmp_path, "ID TIME AMT DV", "1,0,100,.\n1,12,.,4\n1,12,100,.\n1,12,.,9\n")
    assert table.ob_order[0] < table.ev_order[1] < table.ob_order[1]


def test_reset_and_reset_with_dose(tmp_path):
    text = "1,0,100,.,1\n1,5,.,4,0\n1,6,.,.,3\n1,7,50,.,4\n1,8,.,3,0\n"
    table = build(tmp_path, "ID TIME AMT DV EVID", text)
    assert [(t, k) for t, k, *_ in events(table)] == [(0, BOLUS), (6, RESET), (7, RESET), (7, BOLUS)]
    assert table.ev_order[2] < table.ev_order[3] < table.ob_order[1]


def test_a_reset_cancels_additional_doses(tmp_path):
    text = "1,0,100,9,10,.,1\n1,15,.,.,.,4,0\n1,30,50,0,0,.,4\n1,55,.,.,.,4,0\n"
    table = build(tmp_path, "ID TIME AMT ADDL II DV EVID", text)
    before = [(0, BOLUS), (10, BOLUS), (20, BOLUS), (30, BOLUS)]
    assert [(t, k) for t, k, *_ in events(table)] == [*before, (30, RESET), (30, BOLUS)]


def test_an_observation_before_a_reset_of_its_time_sees_the_additional_dose_of_that_time(tmp_path):
    text = "1,0,100,1,10,.,1\n1,10,.,.,.,4,0\n1,10,.,.,.,.,3\n1,15,.,.,.,4,0\n"
    table = build(tmp_path, "ID TIME AMT ADDL II DV EVID", text)
    assert events(table)[1][:2] == (10, BOLUS)
    assert table.ev_order[1] < table.ob_order[0] < table.ev_order[2]


def test_steady_state_is_an_event_before_its_dose_and_cancels_additional_doses(tmp_path):
    text = "1,0,100,5,10,0,.,1\n1,25,80,1,12,1,.,1\n1,40,.,.,.,.,4,0\n"
    table = build(tmp_path, "ID TIME AMT ADDL II SS DV EVID", text)
    kinds = [(t, k) for t, k, *_ in events(table)]
    steady = float(EventKind.STEADY_STATE)
    assert kinds == [(0, BOLUS), (10, BOLUS), (20, BOLUS), (25, steady), (25, BOLUS), (37, BOLUS)]
    assert table.ev_ii.tolist() == [0, 0, 0, 12, 0, 0]
    added = build(tmp_path, "ID TIME AMT ADDL II SS DV EVID", text.replace("12,1", "12,2"))
    assert [t for t, *_ in events(added)] == [0, 10, 20, 25, 25, 30, 37, 40]


def test_time_goes_on_where_a_reset_sets_it_back(tmp_path):
    text = "1,1,100,.,1\n1,9,.,4,0\n1,0,100,.,4\n1,9,.,5,0\n1,2,100,.,4\n1,3,.,5,0\n2,0,100,.,1\n2,4,.,3,0\n"
    table = build(tmp_path, "ID TIME AMT DV EVID", text, error="Y = F + EPS(1) + 0*TIME")
    assert table.ob_time.tolist() == [9, 18, 19, 4]
    assert table.ev_time.tolist() == [1, 9, 9, 18, 18, 0]
    assert table.ob_data[:, table.record_names.index("TIME")].tolist() == [9, 9, 3, 4]


def test_time_set_back_is_refused_when_the_model_reads_the_clock(tmp_path):
    text = "1,0,100,.,1\n1,9,.,4,0\n1,0,100,.,4\n1,9,.,5,0\n"
    with pytest.raises(UnsupportedError, match="reads TIME") as caught:
        build(tmp_path, "ID TIME AMT DV EVID", text, pk="CL = THETA(1)*EXP(ETA(1))*TIME")
    assert caught.value.location.line == 3


def test_compartments_default_to_the_models(tmp_path):
    text = "1,0,100,.,0\n1,0,50,.,2\n1,1,.,4,.\n1,2,.,3,1\n"
    table = build(tmp_path, "ID TIME AMT DV CMT", text, n_compartments=2)
    assert table.ev_cmt.tolist() == [1, 2]
    assert table.ob_cmt.tolist() == [2, 1]


def test_static_covariates_have_one_row_per_subject(tmp_path):
    text = "1,0,100,.,70\n1,1,.,4,70\n2,0,100,.,80\n2,1,.,4,80\n"
    table = build(tmp_path, "ID TIME AMT DV WT", text, pk="CL = THETA(1)*WT*EXP(ETA(1))")
    assert table.static
    assert table.covariate_names == ("WT",)
    assert table.cov.tolist() == [[70], [80]]


def test_changing_covariates_hold_up_to_the_record_that_has_them(tmp_path):
    """NONMEM: the value of a record holds on the interval that ends there."""
    text = "1,0,100,.,70\n1,1,.,4,70\n1,4,.,4,75\n1,6,.,3,75\n1,9,.,3,80\n2,0,100,.,60\n2,3,.,3,60\n"
    table = build(tmp_path, "ID TIME AMT DV WT", text, pk="CL = THETA(1)*WT*EXP(ETA(1))")
    assert not table.static
    assert table.cov_ptr.tolist() == [0, 3, 4]
    assert table.cov[:, 0].tolist() == [70, 75, 80, 60]
    assert table.cov_time.tolist() == [1, 6, 9, 3]


def test_records_without_observation_change_covariates(tmp_path):
    text = "1,0,100,.,70,1\n1,4,.,.,75,2\n1,9,.,3,75,0\n"
    table = build(tmp_path, "ID TIME AMT DV WT EVID", text, pk="CL = THETA(1)*WT*EXP(ETA(1))")
    assert table.cov_time.tolist() == [0, 9]
    assert events(table) == [(0, BOLUS, 1, 100, 0)]


def test_records_of_one_time_may_have_different_covariates(tmp_path):
    """A trough of occasion 1 and the dose of occasion 2; EVID 4 ranks as two."""
    text = "1,0,100,.,1,1\n1,24,.,4,0,1\n1,24,100,.,4,2\n1,30,.,3,0,2\n"
    table = build(tmp_path, "ID TIME AMT DV EVID OCC", text, pk="CL = THETA(1)*OCC*EXP(ETA(1))")
    assert table.cov_time.tolist() == [24, 30]
    assert table.cov_order.tolist() == [1, 4]
    assert table.ob_order.tolist() == [1, 4]
    assert table.ev_order.tolist() == [0, 2, 3]


def test_a_reset_that_sets_time_back_is_at_the_very_time_of_the_record_before(tmp_path):
    """In floating point -320 + (8.833333 + 320) is below 8.833333: the reset would come before the observation."""
    text = "1,0,100,.,1\n1,8.833333,.,4,0\n1,-320,100,.,4\n1,-319,.,3,0\n"
    table = build(tmp_path, "ID TIME AMT DV EVID", text)
    assert table.ob_time[0] == table.ev_time[1] == table.ev_time[2] == 8.833333
    assert table.ob_time[1] == pytest.approx(9.833333)


def test_time_read_by_pk_changes_with_every_record(tmp_path):
    text = "1,0,100,.\n1,1,.,4\n1,4,.,4\n"
    table = build(tmp_path, "ID TIME AMT DV", text, pk="CL = THETA(1)*EXP(ETA(1))*TIME")
    assert table.covariate_names == ("TIME",)
    assert table.cov[:, 0].tolist() == [0, 1, 4]


def test_items_of_error_belong_to_the_record(tmp_path):
    text = "1,0,100,.,1\n1,1,.,4,2\n1,4,.,3,5\n"
    table = build(tmp_path, "ID TIME AMT DV FLAG", text, error="Y = F + FLAG*EPS(1) + 0*TIME")
    assert table.record_names == ("TIME", "FLAG")
    assert table.covariate_names == ()
    assert table.ob_data.tolist() == [[1, 2], [4, 5]]


def test_programs_may_use_the_synonym(tmp_path):
    table = build(tmp_path, "ID TIME AMT DV WT=WGT", "1,0,100,.,70\n1,1,.,4,70\n", pk="CL = THETA(1)*WGT*EXP(ETA(1))")
    assert table.covariate_names == ("WGT",)


def test_formula_models_split_constant_and_varying_items(tmp_path):
    text = "1,0,4,70,1\n1,1,4,70,2\n2,0,3,80,1\n2,5,3,80,1\n"
    error = "Y = THETA(1)*EXP(ETA(1))*WT*X + 0*TIME + EPS(1)"
    table = build(tmp_path, "ID TIME DV WT X", text, n_compartments=0, error=error)
    assert table.covariate_names == ("WT",)
    assert table.cov.tolist() == [[70], [80]]
    assert table.record_names == ("TIME", "X")
    assert table.ob_data.tolist() == [[0, 1], [1, 2], [0, 1], [5, 1]]
    assert len(table.ev_time) == 0
    assert set(table.ob_cmt) == {0}


def test_formula_models_look_at_observations_only(tmp_path):
    text = "1,0,4,0,70\n1,1,.,1,99\n2,0,.,1,50\n"
    error = "Y = THETA(1)*EXP(ETA(1))*WT + EPS(1)"
    table = build(tmp_path, "ID TIME DV MDV WT", text, n_compartments=0, error=error)
    assert table.covariate_names == ("WT",)
    assert table.cov.tolist() == [[70], [50]]
    assert np.diff(table.ob_ptr).tolist() == [1, 0]


def test_subjects_without_observations_stay(tmp_path):
    table = build(tmp_path, "ID TIME AMT DV", "1,0,100,.\n2,0,100,.\n2,1,.,4\n")
    assert table.n_subjects == 2
    assert table.ob_ptr.tolist() == [0, 0, 1]


def test_data_of_another_model_are_refused(tmp_path):
    (tmp_path / "data.csv").write_text("1,0,100,.,70\n1,1,.,4,70\n")
    dataset = read_dataset(data_model(tmp_path, "ID TIME AMT DV WT"))
    with pytest.raises(DataError, match="not those of this model"):
        event_table(data_model(tmp_path, "ID TIME AMT DV AGE"), dataset)
