"""The simulator itself against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from nlmevae.data.events import EventKind, EventTable
from tests.helpers.code_models import make_model
from tests.helpers.oracle import simulate_subject

K, V = 0.1, 20.0
PK = "CL=THETA(1)*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2))\nS1=V\n"


def table(events, times, *, cov=((0.0, 70.0),), kinds=None) -> EventTable:
    """events: (time, order, kind, amount, rate, ii); times: (time, order)."""
    e = np.array(events, dtype=float).reshape(-1, 6)
    o = np.array(times, dtype=float).reshape(-1, 2)
    c = np.array(cov, dtype=float)
    return EventTable(
        ev_ptr=np.array([0, len(e)], np.int32), ev_time=e[:, 0], ev_kind=e[:, 2].astype(np.int8),
        ev_cmt=np.ones(len(e), np.int16), ev_amt=e[:, 3], ev_rate=e[:, 4], ev_ii=e[:, 5],
        ev_order=e[:, 1].astype(np.int32),
        ob_ptr=np.array([0, len(o)], np.int32), ob_time=o[:, 0], ob_value=np.zeros(len(o)),
        ob_cmt=np.ones(len(o), np.int16), ob_row=np.arange(len(o), dtype=np.int32), ob_order=o[:, 1].astype(np.int32),
        start_time=np.zeros(1), covariate_names=("WT",), cov_ptr=np.array([0, len(c)], np.int32),
        cov_time=c[:, 0], cov_order=np.full(len(c), 2**30),
        cov=c[:, 1:], record_names=("TIME",), ob_data=o[:, :1], subject_labels=("1",),
    )  # fmt: skip


def one_compartment(pk: str = PK, **compartment):
    from dataclasses import replace

    model = make_model(pk=pk, scale="S1")
    central = replace(model.structural.compartments[0], **compartment)
    return replace(model, structural=replace(model.structural, compartments=(central,)))


def simulate(model, events, times, **options):
    return simulate_subject(model, [K * V, V], [0.0, 0.0], table(events, times, **options), 0)


def test_a_bolus_decays_exponentially():
    t = np.array([0.5, 3.0, 24.0])
    found = simulate(one_compartment(), [(0, 0, EventKind.BOLUS, 100, 0, 0)], [(x, 9) for x in t])
    np.testing.assert_allclose(found, 100 / V * np.exp(-K * t), rtol=1e-8)


def test_an_infusion_rises_and_falls():
    found = simulate(one_compartment(), [(0, 0, EventKind.INFUSION, 100, 20, 0)], [(3, 9), (5, 9), (9, 9)])
    rising = lambda t: 20 / K * (1 - np.exp(-K * t)) / V  # noqa: E731
    expected = [rising(3), rising(5), rising(5) * np.exp(-K * 4)]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize(("order", "seen"), [(0, 100 / V), (2, 0.0)])
def test_order_decides_at_equal_times(order, seen):
    found = simulate(one_compartment(), [(1, order, EventKind.BOLUS, 100, 0, 0)], [(1, 1)])
    np.testing.assert_allclose(found, [seen])


def test_lag_and_bioavailability_move_and_scale_the_dose():
    model = one_compartment(PK + "ALAG1=2\nF1=0.5\n", lag="ALAG1", bioavailability="F1")
    found = simulate(model, [(0, 0, EventKind.BOLUS, 100, 0, 0)], [(1.9, 9), (4, 9)])
    np.testing.assert_allclose(found, [0.0, 50 / V * np.exp(-K * 2)], rtol=1e-8)


def test_bioavailability_changes_the_duration_of_an_infusion_not_its_rate():
    model = one_compartment(PK + "F1=0.5\n", bioavailability="F1")
    found = simulate(model, [(0, 0, EventKind.INFUSION, 100, 20, 0)], [(2.5, 9), (5, 9)])
    peak = 20 / K * (1 - np.exp(-K * 2.5)) / V
    np.testing.assert_allclose(found, [peak, peak * np.exp(-K * 2.5)], rtol=1e-8)


def test_a_reset_restores_the_initial_amount_and_cancels_what_is_under_way():
    model = one_compartment(PK + "ALAG1=2\nA0=7\n", lag="ALAG1", initial="A0")
    events = [
        (0, 0, EventKind.BOLUS, 100, 0, 0),  # would arrive at 2
        (1, 1, EventKind.RESET, 0, 0, 0),
        (3, 2, EventKind.BOLUS, 50, 0, 0),  # arrives at 5
    ]
    found = simulate(model, events, [(0.5, 9), (4, 9), (5, 9)])
    expected = [7 * np.exp(-K * 0.5), 7 * np.exp(-K * 3), 7 * np.exp(-K * 4) + 50]
    np.testing.assert_allclose(found, np.array(expected) / V, rtol=1e-8)


def test_covariate_rows_apply_up_to_their_time():
    model = one_compartment("CL=THETA(1)*WT/70*EXP(ETA(1))\nV=THETA(2)*EXP(ETA(2))\nS1=V\n")
    found = simulate(model, [(0, 0, EventKind.BOLUS, 100, 0, 0)], [(4, 9), (10, 9)], cov=((4.0, 70.0), (6.0, 140.0)))
    np.testing.assert_allclose(found, 100 / V * np.exp([-K * 4, -K * 4 - 2 * K * 6]), rtol=1e-8)


def test_steady_state_equals_the_geometric_series():
    found = simulate(one_compartment(), [(0, 0, EventKind.STEADY_STATE, 100, 0, 12)], [(3, 9)])
    np.testing.assert_allclose(found, 100 / V * np.exp(-K * 3) / (1 - np.exp(-K * 12)), rtol=1e-7)


def test_duration_and_rate_parameters_set_the_infusion():
    by_duration = one_compartment(PK + "D1=5\n", duration="D1")
    by_rate = one_compartment(PK + "R1=20\n", rate="R1")
    a = simulate(by_duration, [(0, 0, EventKind.INFUSION_DURATION, 100, -2, 0)], [(3, 9), (9, 9)])
    b = simulate(by_rate, [(0, 0, EventKind.INFUSION_RATE, 100, -1, 0)], [(3, 9), (9, 9)])
    c = simulate(one_compartment(), [(0, 0, EventKind.INFUSION, 100, 20, 0)], [(3, 9), (9, 9)])
    np.testing.assert_allclose(a, c, rtol=1e-8)
    np.testing.assert_allclose(b, c, rtol=1e-8)


def test_a_formula_model_reads_the_items_of_each_record():
    model = make_model(error="A=THETA(1)*EXP(ETA(1))\nB=THETA(2)+ETA(2)\nY=A*EXP(-B*TIME)+WT*0+EPS(1)")
    found = simulate_subject(model, [3.0, 0.5], [0.1, 0.2], table([], [(1, 0), (2, 1)]), 0)
    np.testing.assert_allclose(found, 3 * np.exp(0.1) * np.exp(-0.7 * np.array([1.0, 2.0])))
