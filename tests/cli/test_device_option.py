"""`--device` on every verb that predicts: refused with a sentence before anything is computed."""

from pathlib import Path

import pytest
import torch

from nlmevae.cli.main import BAD_INPUT, main

RUN = str(Path(__file__).parents[2] / "fixtures" / "theophylline" / "run_base_des.ctl")
VERBS = {
    "fit": ["fit", RUN],
    "set": ["fit", RUN, "--set", "n_draws=8"],
    "select": ["select", RUN, "--covariates", "WT"],
    "profile": ["profile", RUN, "THETA(1)"],
    "likelihood": ["likelihood", RUN],
    "predict": ["predict", RUN, "--fit", "none.json", "--data", "none.csv"],
    "scm": ["scm", RUN, "--covariates", "WT"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_gpu_that_is_not_there_stops_every_verb(verb, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = [] if verb == "predict" else ["--out", str(tmp_path / "o")]
    assert main([*VERBS[verb], "--device", "cuda", *out]) == BAD_INPUT
    message = capsys.readouterr().err
    assert "device cuda cannot be used" in message
    assert "leave out the device" in message
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "mps"], "no 64-bit floating point numbers"),
        (["--device", "gpu"], "device is 'gpu'"),
        (["--device", "cuda", "--backend", "compiled"], "the compiled back end does not run on device cuda"),
        (["--set", "device=tpu"], "device is 'tpu'"),
    ],
)
def test_an_impossible_device_is_refused_in_words(options, words, capsys):
    assert main(["fit", RUN, *options]) == BAD_INPUT
    assert words in capsys.readouterr().err
