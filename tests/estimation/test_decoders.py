import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.estimation import decoders
from nlmevae.estimation.settings import FitSettings
from tests.helpers.analytic_decoder import OralDecoder, theophylline_model, theophylline_table


class Tolerances:
    rtol = 1e-9


@pytest.mark.parametrize(
    ("backend", "settings", "rtols"),
    [
        ("compiled", FitSettings(), [None, 1e-7, 1e-5]),
        ("compiled", FitSettings(rtol=1e-9), [1e-9]),
        ("compiled", FitSettings(method="vae"), [None]),
        ("closed_form", FitSettings(), [None]),
    ],
)
def test_what_is_not_reported_is_integrated_roughly_unless_the_user_chose_a_tolerance(
    monkeypatch, backend, settings, rtols
):
    made = []

    def make(form, table, **options):
        made.append(options["rtol"])
        decoder = OralDecoder(form, table)
        decoder.backend, decoder.tolerances = backend, Tolerances()
        return decoder

    monkeypatch.setattr(decoders, "make_decoder", make)
    table = theophylline_table()
    found = decoders.Decoders.of(latent_form(theophylline_model(), table), table, settings)
    assert made == rtols
    assert len({id(d) for d in (found.exact, found.draws, found.rough)}) == len(rtols)
