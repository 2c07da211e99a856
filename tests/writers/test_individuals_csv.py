"""`.individuals.csv` and `.ets`: what is known of every subject, at full precision."""

import io

import pandas as pd
import pytest

from nlmevae.writers.ets import ets_text
from nlmevae.writers.individuals_csv import individuals_csv_text
from tests.helpers.results import make_result

PEOPLE = make_result().individuals


def test_one_row_per_subject_gives_back_every_bit():
    table = pd.read_csv(io.StringIO(individuals_csv_text(PEOPLE)))
    assert table["ID"].tolist() == [1, 7]
    assert table["n_obs"].tolist() == [20, 0]
    assert table["ETA(2)_MODE"].tolist() == pytest.approx(PEOPLE.eta_mode[:, 1], rel=1e-14)
    assert table["ETA(1)_SD"].tolist() == (PEOPLE.eta_cov[:, 0, 0] ** 0.5).tolist()
    assert table["CL"].tolist() == PEOPLE.psi[:, 0].tolist()
    assert table["CL_MEDIAN"].tolist() == PEOPLE.psi_quantiles[3, :, 0].tolist()
    assert table["MINUS_TWO_LL"].tolist() == PEOPLE.minus_two_ll.tolist()


def test_what_is_unknown_is_left_empty():
    last = individuals_csv_text(PEOPLE).splitlines()[-1].split(",")
    assert last[-1] == ""


def test_further_columns_follow():
    assert individuals_csv_text(PEOPLE, {"DIFFERS": [True, False]}).splitlines()[0].endswith(",DIFFERS")


def test_samples_have_one_line_each_in_nonmems_layout():
    lines = ets_text(PEOPLE).splitlines()
    assert " ".join(lines[1].split()) == "SUBJECT_NO ID SAMPLE ETA(1) ETA(2)"
    assert len(lines) == 2 + 2 * 2
    assert [float(x) for x in lines[-1].split()] == pytest.approx([2, 7, 2, 0.5, 0.33333], abs=1e-5)
    assert lines[2] == "            1            1            1 -2.00000E-01  1.00000E-01"
