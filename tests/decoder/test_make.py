"""make_decoder takes the exact back end where there is one, and says why when the one asked for cannot run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.helpers.forms import bolus, make_form, make_table, op
from tests.helpers.linear_forms import linear_form
from tests.helpers.pk_models import event_table, oral_model

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.errors import SettingsError

SUBJECT = {"events": [bolus(0.0, 100.0)], "observations": [(1.0, 2), (5.0, 2)]}


def linear():
    return linear_form("one_absorption", observed=[2])


def formula():
    return make_form(
        latents=["E0"],
        parameters=["E0"],
        individual=lambda v: {"E0": op("exp", v["Z1"])},
        output=lambda v: [v["E0"] * op("exp", -v["TIME"])],
        record_items=["TIME"],
    )


def formula_table():
    observations = [(t, 0, (t,)) for t in (0.0, 1.0, 2.0)]
    return make_table([{"observations": observations}, {"observations": observations[1:]}], record_names=["TIME"])


def moving_table():
    return make_table([SUBJECT | {"covariates": [(0.0, (1.0,)), (3.0, (2.0,))]}], covariate_names=["WT"])


@pytest.mark.parametrize(
    ("form", "table", "backend"),
    [
        (formula(), formula_table(), "formula"),
        (linear(), make_table([SUBJECT]), "closed_form"),
        (replace(linear(), linear=None), make_table([SUBJECT]), "compiled"),
        (linear(), moving_table(), "closed_form"),
    ],
    ids=["formula", "linear", "differential equations", "moving covariates"],
)
def test_auto_takes_the_exact_back_end_where_there_is_one(form, table, backend):
    assert make_decoder(form, table).backend == backend


def chain(n: int):
    """Compartment k empties into k + 1 with rate K."""
    return make_form(
        latents=["K"],
        parameters=["K"],
        individual=lambda v: {"K": op("exp", v["Z1"])},
        rhs=lambda v: [v["K"] * ((v[f"A{k}"] if k else 0.0) - v[f"A{k + 1}"]) for k in range(n)],
        output=lambda v: [v[f"A{n}"]],
        n_compartments=n,
        observed=[n],
    )


def test_many_compartments_are_integrated_unless_the_closed_form_is_asked_for():
    table = make_table([{"events": [bolus(0.0, 100.0)], "observations": [(5.0, 11), (20.0, 11)]}])
    form, x = chain(11), np.array([[0.3]])
    assert form.automatic_backend(table) == make_decoder(form, table).backend == "compiled"
    assert chain(10).automatic_backend(table) == "closed_form"
    found = make_decoder(form, table, backend="closed_form").predict(x).prediction
    kt = np.exp(0.3) * np.array([5.0, 20.0])
    np.testing.assert_allclose(found, 100.0 * kt**10 / 3628800.0 * np.exp(-kt), rtol=1e-12)  # Poisson, 10! below


def test_the_back_ends_agree():
    table, x = make_table([SUBJECT]), np.log([[1.2, 0.2, 10.0]])
    closed = make_decoder(linear(), table).linearise(x)
    compiled = make_decoder(linear(), table, backend="compiled", rtol=1e-10).linearise(x)
    np.testing.assert_allclose(compiled.prediction, closed.prediction, rtol=1e-8)
    np.testing.assert_allclose(compiled.jacobian, closed.jacobian, rtol=1e-6, atol=1e-8)


def test_a_program_with_lag_and_bioavailability_runs_in_closed_form_as_it_does_integrated():
    """From the program's own text: K and KA are log-normal, ALAG1 = KA / 10, F1 = K / 0.1."""
    model = oral_model(lag=True, bioavailability=True)
    structural = replace(model.structural, closed_form="one_absorption", rate_constants=("KA", "K"))
    doses = ((0.0, 1, 1, 300.0, 0.0), (3.0, 2, 1, 200.0, 100.0), (6.0, 2, 2, 300.0, 150.0), (7.0, 5, 0, 0.0, 0.0))
    table = event_table(doses=(*doses, (7.0, 1, 1, 100.0, 0.0)))
    form = latent_form(replace(model, structural=structural), table)
    x = np.log([[1.5, 0.08, 32.0], [0.4, 0.2, 20.0], [5.0, 0.1, 50.0]])
    closed, compiled = make_decoder(form, table), make_decoder(form, table, backend="compiled", rtol=1e-10)
    assert closed.backend == "closed_form"
    found, reference = closed.linearise(x), compiled.linearise(x)
    np.testing.assert_allclose(found.prediction, reference.prediction, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.jacobian, reference.jacobian, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("form", "table", "backend", "why"),
    [
        (linear(), make_table([SUBJECT]), "fastest", "use one of auto, formula"),
        (linear(), make_table([SUBJECT]), "formula", "it has compartments"),
        (formula(), formula_table(), "closed_form", "it has no compartments"),
        (formula(), formula_table(), "torchode", "it has no compartments"),
        (replace(linear(), linear=None), make_table([SUBJECT]), "closed_form", "not linear in the amounts"),
    ],
)
def test_an_impossible_back_end_is_refused_with_the_reason(form, table, backend, why):
    with pytest.raises(SettingsError, match=why):
        make_decoder(form, table, backend=backend)


def test_formula_models_predict_and_differentiate_each_observation():
    decoder = make_decoder(formula(), formula_table())
    x = np.array([[0.3], [1.0]])
    found = decoder.linearise(x)
    expected = np.concatenate([np.exp(0.3 - np.arange(3.0)), np.exp(1.0 - np.arange(1.0, 3.0))])
    np.testing.assert_allclose(found.prediction, expected, rtol=1e-14)
    np.testing.assert_allclose(found.jacobian[:, 0], expected, rtol=1e-14)
    rows = np.array([1, 1, 0])
    again = decoder.predict(np.array([[1.0], [np.nan], [0.3]]), rows)
    np.testing.assert_allclose(again.prediction, [*expected[3:], np.nan, np.nan, *expected[:3]], rtol=1e-14)
    assert again.status.tolist() == [0, 2, 0]
    with pytest.raises(ValueError, match="shape"):
        decoder.predict(x[:1])
