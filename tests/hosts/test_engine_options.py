"""Settings in comments of a control stream and in the environment."""

import pytest

from nlmevae.errors import SettingsError
from nlmevae.hosts.engine_options import engine_options


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("$PROBLEM x\n", "", {}),
        (";; nlmevae: seed=7 method=vae\n$PROBLEM x\n", "", {"seed": "7", "method": "vae"}),
        ("$PROBLEM x ; NLMEVAE: n_draws=64\r\n", "", {"n_draws": "64"}),
        (";; nlmevae: seed=7\n", "seed=8", {"seed": "8"}),
        (";; nlmevae: seed=7\n;; nlmevae: seed=7 steps=3\n", "", {"seed": "7", "steps": "3"}),
        ("", "likelihoods='laplace,fo'", {"likelihoods": "laplace,fo"}),
        ("; made with nlmevae\n", "", {}),
    ],
)
def test_comments_and_the_environment_are_read_and_the_environment_wins(text, environment, expected):
    assert engine_options(text, {"NLMEVAE_OPTIONS": environment}) == expected


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        (";; nlmevae: seed 7\n", "", "'seed' in the comment"),
        (";; nlmevae: =7\n", "", "not NAME=VALUE"),
        (";; nlmevae: seed=7\n;; nlmevae: seed=8\n", "", "seed is 7 in one comment and 8"),
        ("", "seed=1 seed=2", "given twice in the environment variable NLMEVAE_OPTIONS"),
        ("", "seed='1", "open quotation mark"),
    ],
)
def test_what_is_no_setting_is_refused_by_name(text, environment, said):
    with pytest.raises(SettingsError, match=said):
        engine_options(text, {"NLMEVAE_OPTIONS": environment})
