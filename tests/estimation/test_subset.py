import numpy as np
import pytest

from nlmevae.estimation.subset import decoder_of, restricted, spread_subjects
from tests.helpers.cases import stage


@pytest.fixture(scope="module", params=["theophylline", "phenobarbital"])
def table_and_decoder(request, tmp_path_factory):
    from nlmevae.codegen.latent_form import latent_form
    from nlmevae.decoder.make import make_decoder
    from nlmevae.pipeline import prepare

    stream, _ = stage(request.param, tmp_path_factory.mktemp("case"))
    run = prepare(stream)
    decoder = make_decoder(latent_form(run.model, run.table), run.table)
    yield run.table, decoder
    decoder.close()


def test_predictions_of_a_subset_are_those_of_its_subjects(table_and_decoder):
    table, decoder = table_and_decoder
    subjects = np.array([7, 2, 11])
    part = decoder_of(decoder, restricted(table, subjects))
    x = np.full((3, decoder.n_inputs), -1.0)
    whole = decoder.predict(x, subjects.astype(np.int32))
    assert part.predict(x).prediction == pytest.approx(whole.prediction, abs=0.0)
    assert part.table.subject_labels == tuple(table.subject_labels[i] for i in subjects)
    part.close()


def test_all_subjects_in_order_are_the_table_itself(table_and_decoder):
    table, _ = table_and_decoder
    same = restricted(table, np.arange(table.n_subjects))
    for name in ("ev_ptr", "ev_time", "ev_amt", "ob_ptr", "ob_value", "ob_data", "cov_ptr", "cov", "start_time"):
        assert (getattr(same, name) == getattr(table, name)).all()
        assert getattr(same, name).dtype == getattr(table, name).dtype


def test_chosen_subjects_are_spread_over_the_data_and_have_observations(table_and_decoder):
    table, _ = table_and_decoder
    chosen = spread_subjects(table, 6)
    assert len(set(chosen.tolist())) == 6
    assert chosen[0] == 0
    assert chosen[-1] == table.n_subjects - 1
    assert (np.diff(table.ob_ptr)[chosen] > 0).all()
    assert len(spread_subjects(table, 10_000)) == table.n_subjects
