"""Text of the command line becomes typed settings, or a message that helps."""

import typing

import pytest

from nlmevae.cli import run_arguments
from nlmevae.cli.options import settings_from_text
from nlmevae.errors import SettingsError
from nlmevae.estimation import settings as settings_module


def test_values_get_the_type_of_their_field():
    settings = settings_from_text(
        ["n_draws=512", "rtol=1e-8", "hidden = 20", "sd0=none"], {"seed": "7", "method": "vae"}
    )
    assert (settings.n_draws, settings.rtol, settings.hidden, settings.sd0) == (512, 1e-8, 20, None)
    assert (settings.seed, settings.method) == (7, "vae")


def test_nothing_given_means_the_defaults():
    assert settings_from_text([], {}) == settings_module.FitSettings()


@pytest.mark.parametrize(
    ("pairs", "named", "message", "hint"),
    [
        (["n_draw=5"], {}, "no setting 'n_draw'", "did you mean n_draws?"),
        (["zzz=5"], {}, "no setting 'zzz'", "known settings:"),
        (["n_draws"], {}, "is not NAME=VALUE", "--set n_draws=512"),
        (["n_draws=many"], {}, "n_draws is 'many'", "whole number"),
        (["rtol=tight"], {}, "rtol is 'tight'", "a number"),
        ([], {"seed": "1.5"}, "seed is '1.5'", "whole number"),
        (["seed=2"], {"seed": "1"}, "seed is given twice", "once"),
        (["method=saem"], {}, "method is 'saem'", "vae"),
        (["n_draws=0"], {}, "n_draws is 0", "1 or more"),
    ],
)
def test_a_wrong_setting_says_what_to_write_instead(pairs, named, message, hint):
    with pytest.raises(SettingsError) as caught:
        settings_from_text(pairs, named)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_the_choices_of_the_command_line_are_those_of_the_settings():
    assert typing.get_args(settings_module.Method) == run_arguments.METHODS
    assert typing.get_args(settings_module.Backend) == run_arguments.BACKENDS
