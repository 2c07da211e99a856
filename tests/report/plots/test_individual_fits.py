"""Which subjects are shown, and what their panels show."""

import dataclasses

import numpy as np
import pytest

from nlmevae.report.plots.individual_fits import ShownSubject, chosen_subjects, individual_fits_figure
from tests.helpers.diagnostics import make_diagnostics
from tests.helpers.figures import dots, line, panels, texts


def test_all_subjects_are_shown_in_data_order_if_they_are_few():
    chosen = chosen_subjects(np.zeros(5), np.array([3, 0, 2, 1, 4]), 5, seed=1)
    assert chosen == tuple(ShownSubject(index=k) for k in range(5))


def test_best_and_worst_are_by_minus_two_ll_per_observation():
    n_obs = np.array([10, 2, 5, 5, 5, 5, 5, 5, 0, 5])
    score = np.array([0.1, 9.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, np.nan, 2.0])
    chosen = chosen_subjects(np.nan_to_num(score * n_obs), n_obs, 8, seed=1)
    by = {why: [s.index for s in chosen if s.why == why] for why in ("best", "random", "worst")}
    assert by["best"] == [0, 9]
    assert by["worst"] == [7, 1]
    assert by["random"] == sorted(by["random"])
    assert len(by["random"]) == 4
    assert len({s.index for s in chosen}) == 8
    assert 8 not in {s.index for s in chosen}  # has no observations


def test_the_same_seed_shows_the_same_subjects():
    rng = np.random.default_rng(1)
    score, n_obs = rng.normal(size=200), np.full(200, 5)
    assert chosen_subjects(score, n_obs, 24, seed=3) == chosen_subjects(score, n_obs, 24, seed=3)
    assert chosen_subjects(score, n_obs, 24, seed=3) != chosen_subjects(score, n_obs, 24, seed=4)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_any_number_of_subjects_may_be_asked_for(n):
    chosen = chosen_subjects(np.arange(9.0), np.full(9, 4), n, seed=1)
    assert len(chosen) == n


def test_subjects_whose_likelihood_is_unknown_can_be_shown_at_random():
    chosen = chosen_subjects(np.full(30, np.nan), np.full(30, 4), 12, seed=1)
    assert [s.why for s in chosen] == ["random"] * 12


def test_a_panel_shows_the_subjects_own_observations_curves_and_doses():
    diagnostics = make_diagnostics(4, limit=0.35)
    doses = [np.array([0.0, 12.0, 900.0])] * 4  # one after the last observation
    figure = individual_fits_figure(diagnostics, [ShownSubject(index=2, why="worst")], doses=doses)
    (axes,) = panels(figure)
    o = diagnostics.observations
    own = o.subject == 2
    shown = dots(axes)
    np.testing.assert_allclose(sorted(shown[:, 1]), sorted(o.dv[own]))
    np.testing.assert_allclose(sorted(shown[:, 0]), sorted(o.time[own]))
    curve = next(c for c in diagnostics.curves if c.subject == 2)
    np.testing.assert_allclose(line(axes, "IPRED")[:, 1], curve.ipred)
    np.testing.assert_allclose(line(axes, "PRED")[:, 1], curve.pred)
    assert list(line(axes, "dose")[:, 0]) == [0.0, 12.0]
    assert axes.get_xlim()[1] < 30.0
    assert axes.get_ylim()[0] == 0.0
    assert "ID 3 (worst)" in texts(figure)


def test_a_subject_without_observations_of_the_kind_has_a_panel_that_says_so():
    diagnostics = make_diagnostics(3)
    o = diagnostics.observations
    keep = o.subject != 1
    part = dataclasses.replace(o, **{f.name: getattr(o, f.name)[keep] for f in dataclasses.fields(o)})
    empty = dataclasses.replace(diagnostics, observations=part, curves=diagnostics.curves[:1])
    assert "no observation of this kind" in texts(individual_fits_figure(empty, [ShownSubject(index=1)]))
    assert "no subject to show" in texts(individual_fits_figure(empty, []))
