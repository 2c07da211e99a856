"""Logarithms of amounts that fall by many decades, against the closed form."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tests.decoder.test_compiled import log_normal
from tests.helpers.forms import bolus, make_form, make_table, op

from nlmevae.decoder.compiled import CompiledDecoder
from nlmevae.decoder.logarithms import predicts_logarithms
from nlmevae.decoder.ode_torch import TorchodeDecoder
from nlmevae.ir import StructuralModel

NAMES = ["DELTA", "C", "P"]
#: Per day: death of infected cells, clearance of virus; production.
VALUES = (1.9, 12.0, 5.0)
TIMES = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 16.0])
CELLS, VIRUS = 1e5, 5e9


def form(*, logarithm: bool = True):
    """Infected cells make virus; most of it is there at the beginning and is cleared soon."""
    made = make_form(
        latents=NAMES,
        parameters=NAMES,
        individual=log_normal(*NAMES),
        n_compartments=2,
        observed=[2],
        initial=lambda v: [CELLS, 0.0],
        rhs=lambda v: [-v["DELTA"] * v["A1"], v["P"] * v["A1"] - v["C"] * v["A2"]],
        output=lambda v: [op("log", v["A2"]) if logarithm else v["A2"]],
    )
    return replace(made, model=SimpleNamespace(name="virus", structural=StructuralModel()))


def exact() -> np.ndarray:
    delta, c, p = VALUES
    made = p * CELLS / (c - delta) * (np.exp(-delta * TIMES) - np.exp(-c * TIMES))
    return np.log(made + VIRUS * np.exp(-c * TIMES))


#: torchode interpolates within steps that are longer than a decade late in time: fewer times, fewer digits.
BACK_ENDS = [
    (lambda f, t: CompiledDecoder(f, t), 7, 1e-5),
    (lambda f, t: CompiledDecoder(f, t, method="rosenbrock"), 7, 1e-5),
    (TorchodeDecoder, 5, 1e-4),
]


@pytest.mark.parametrize(("back_end", "n_times", "close"), BACK_ENDS)
def test_every_decade_of_a_logarithm_is_right(back_end, n_times, close):
    observations = [(t, 2) for t in TIMES[:n_times]]
    table = make_table([{"events": [bolus(0, VIRUS, 2)], "observations": observations}])
    decoder = back_end(form(), table)
    found = decoder.predict(np.log([VALUES])).prediction
    decoder.close()
    # a relative error of 1e-8 a step becomes one of this size over some hundred steps
    np.testing.assert_allclose(found, exact()[:n_times], rtol=0.0, atol=close)


def test_only_logarithms_of_amounts_count():
    assert predicts_logarithms(form())
    assert not predicts_logarithms(form(logarithm=False))
