"""`.shk` has NONMEM's eleven rows."""

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest

from nlmevae.writers.shk import shk_text
from tests.helpers.results import make_result


def table(result) -> pd.DataFrame:
    title, rest = shk_text(result).split("\n", 1)
    assert title.startswith("TABLE NO.     1: Importance Sampling assisted by VAE Estimation: Problem=1")
    return pd.read_csv(io.StringIO(rest), sep=r"\s+").set_index("TYPE")


def test_rows_one_to_eleven_hold_what_nonmem_puts_there():
    found = table(make_result())
    assert list(found.index) == list(range(1, 12))
    assert list(found.columns) == ["SUBPOP", "ETA(1)", "ETA(2)"]
    first = [-0.05, 0.03, 0.11, 12.5, 7.25, 13.0, 1.0, 23.4375, 24.31, 13.974375, 75.0]
    assert found["ETA(1)"].to_numpy() == pytest.approx(first, rel=1e-5)


def test_lines_have_nonmems_widths():
    line = shk_text(make_result()).splitlines()[2]
    assert line == "            1            1 -5.00000E-02  1.00000E-01"


def test_negative_shrinkage_is_written_as_nonmem_writes_it_and_the_second_eps_column_is_zero():
    found = table(make_result())
    assert found.loc[8, "ETA(2)"] == 1e-10
    assert found.loc[[5, 10], "ETA(2)"].tolist() == [0.0, 0.0]


def test_a_random_effect_fixed_at_zero_is_shrunk_completely():
    omega = np.diag([0.09, 0.0])
    found = table(dataclasses.replace(make_result(), omega=omega))
    assert found["ETA(2)"].tolist() == [0.0, 0.0, 1.0, 100.0, 0.0, 100.0, 1.0, 100.0, 100.0, 0.0, 0.0]


def test_a_model_without_random_effects_has_rows_without_values():
    nothing = np.empty((0, 0))
    text = shk_text(dataclasses.replace(make_result(), omega=nothing, shrinkage=no_etas()))
    assert len(text.splitlines()) == 13


def no_etas():
    whole = make_result().shrinkage
    none = dict.fromkeys(("bar", "standard_error", "p_value", "sd", "variance"), np.empty(0))
    means = dataclasses.replace(whole.means, **none)
    empty = dict.fromkeys(("ebv_sd", "ebv_variance", "relative_information"), np.empty(0))
    return dataclasses.replace(whole, means=means, modes=means, **empty)
