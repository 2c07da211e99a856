"""Scattered starts stay near the control stream, differ from each other, and leave a second optimum."""

import dataclasses

import numpy as np
import pytest

import nlmevae
from nlmevae.codegen.latent_form import latent_form
from nlmevae.data.event_table import event_table
from nlmevae.data.read import read_dataset
from nlmevae.decoder.make import make_decoder
from nlmevae.estimation.fit import fit_model
from nlmevae.estimation.problem import make_problem
from nlmevae.estimation.screen import SPREAD, scattered_starts
from nlmevae.estimation.settings import FitSettings
from tests.helpers.cases import FIXTURES


@pytest.fixture(scope="module")
def exchanged():
    """Theophylline with initial estimates that exchange absorption and elimination: KA .3, K .4, V 6."""
    model = nlmevae.read_model(FIXTURES / "theophylline/run_wt.ctl")
    inits = {"KA": 0.3, "K": 0.4, "V": 6.0}
    thetas = tuple(dataclasses.replace(t, init=inits.get(t.label, t.init)) for t in model.thetas)
    return dataclasses.replace(model, thetas=thetas)


@pytest.fixture(scope="module")
def problem(exchanged):
    table = event_table(exchanged, read_dataset(exchanged))
    form = latent_form(exchanged, table)
    return make_problem(exchanged, form, table, make_decoder(form, table))


def test_starts_move_typical_values_only_and_not_too_far(problem):
    for start in scattered_starts(problem, np.random.default_rng(0), keep=4):
        moved = np.log(start.thetas[:3] / problem.initial.thetas[:3])
        assert np.abs(moved).max() <= SPREAD + 1e-12
        np.testing.assert_array_equal(start.thetas[3:], problem.initial.thetas[3:])


def test_starts_differ_from_each_other(problem):
    first, second = scattered_starts(problem, np.random.default_rng(0), keep=2)
    assert np.abs(np.log(first.thetas[:3] / second.thetas[:3])).max() > 0.5


def test_none_are_made_when_none_are_wanted(problem):
    assert scattered_starts(problem, np.random.default_rng(0), keep=0) == []


def test_exchanged_absorption_and_elimination_are_put_right(exchanged):
    """Without scattered starts this control stream ends at -2LL 364.85."""
    dataset = read_dataset(exchanged)
    result = fit_model(exchanged, dataset, event_table(exchanged, dataset), FitSettings(seed=13))
    assert result.minus_two_ll == pytest.approx(331.92, abs=0.3)
