"""The report read by eye (text) and by pharmpy's reader, the independent oracle."""

import dataclasses
import math
import re
from datetime import UTC, datetime

import numpy as np
import pytest

from nlmevae.results.run_folder import is_own_file
from nlmevae.results.status import FitStatus
from nlmevae.writers.lst import IN_CONTROL_STREAM, IN_DATA, ReportFacts, date_text, lst_text, refusal_text
from nlmevae.writers.lst_blocks import statistics_lines
from tests.helpers.results import make_result, with_uncertainty
from tests.writers.test_shk import no_etas

STARTED = datetime(2026, 3, 5, 7, 8, 9, tzinfo=UTC)
FACTS = ReportFacts(
    control_stream="$PROBLEM A PROBLEM\n$DATA x.csv\n",
    version="0.1.0",
    started=STARTED,
    ended=datetime(2026, 3, 5, 7, 8, 29, tzinfo=UTC),
    cpu_seconds=12.5,
    items=("ID", "TIME", "DV"),
    n_records=22,
    notes=("something was noticed",),
)


def pharmpy_reading(tmp_path, result, facts=FACTS):
    reader = pytest.importorskip("pharmpy.tools.external.nonmem.results_file")
    from pharmpy.workflows.log import Log

    path = tmp_path / "run1.lst"
    path.write_text(lst_text(result, facts))
    return reader.NONMEMResultsFile(path, log=Log())


def test_it_says_that_nonmem_was_not_run_and_what_was():
    text = lst_text(make_result(), FACTS)
    version = text.index("1NONLINEAR MIXED EFFECTS MODEL PROGRAM (NONMEM) VERSION 7.5.1\n")
    assert text.index(" REPORT WRITTEN BY NLMEVAE 0.1.0 IN NONMEM LAYOUT; NONMEM WAS NOT RUN\n") > version
    assert "THE METHOD OF $ESTIMATION WAS NOT EXECUTED" in text
    assert "METHOD vae+polish (SEED 42)" in text


def test_the_control_stream_and_the_notes_are_in_it():
    text = lst_text(make_result(), FACTS)
    assert text.startswith("Thu Mar  5 07:08:09 UTC 2026\n$PROBLEM A PROBLEM\n$DATA x.csv\n")
    assert "\n (NLMEVAE) something was noticed\n" in text
    assert text.endswith(" #CPUT: Total CPU Time in Seconds,       12.500\nStop Time:\nThu Mar  5 07:08:29 UTC 2026\n")


def test_pharmpy_reads_what_it_needs(tmp_path):
    result = with_uncertainty(make_result())
    read = pharmpy_reading(tmp_path, result)
    status = read.estimation_status(1)
    assert status.minimization_successful is True
    assert status.ofv_with_constant == pytest.approx(result.minus_two_ll, abs=1e-9)
    assert list(status.eta_shrinkage["ETASHRINKSD(%)"]) == pytest.approx([12.5, math.nan], nan_ok=True)
    assert list(status.eps_shrinkage["EPSSHRINKSD(%)"]) == [7.25]
    assert read.covariance_status(1).covariance_step_ok is True
    assert read.runtime_total == 20.0
    assert read.nonmem_version == "7.5.1"
    assert float(read.table[1]["OBJV"]) == pytest.approx(40.123, abs=1e-9)


@pytest.mark.parametrize("status", list(FitStatus))
def test_pharmpy_takes_only_completed_fits_for_successful(tmp_path, status):
    read = pharmpy_reading(tmp_path, make_result(status=status))
    assert read.estimation_status(1).minimization_successful is status.completed
    assert read.covariance_status(1).covariance_step_ok is False


def test_a_model_that_could_not_be_evaluated_ends_as_nonmem_says_it():
    text = lst_text(make_result(status=FitStatus.NUMERICAL_FAILURE), FACTS)
    assert "\n0PROGRAM TERMINATED BY OBJ\n MESSAGE ISSUED FROM ESTIMATION STEP\n" in text


def test_every_estimation_step_has_its_block_with_the_same_values(tmp_path):
    read = pharmpy_reading(tmp_path, make_result(), dataclasses.replace(FACTS, n_tables=3))
    assert [read.table[k]["OBJV"] for k in (1, 2, 3)] == ["40.123"] * 3
    text = lst_text(make_result(), dataclasses.replace(FACTS, n_tables=2))
    assert text.count("ONE FIT SERVES ALL $ESTIMATION RECORDS") == 1
    assert len(re.findall(r"^ iteration", text, re.MULTILINE)) == len(make_result().trace)


def test_parameters_are_printed_as_matrices():
    lines = lst_text(with_uncertainty(make_result()), FACTS).splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith(" OMEGA - COV MATRIX"))
    assert lines[start + 2].split() == ["ETA1", "ETA2"]
    assert lines[start + 5] == "+        9.00E-02"
    assert lines[start + 8] == "+        3.00E-02  4.00E-02"
    errors = next(k for k, line in enumerate(lines) if "STANDARD ERROR OF ESTIMATE" in line)
    assert "         2.00E-02 ........." in lines[errors:]


def test_the_covariance_of_the_estimates_is_printed_in_nonmems_order():
    lines = lst_text(with_uncertainty(make_result()), FACTS).splitlines()
    start = next(k for k, line in enumerate(lines) if "COVARIANCE MATRIX OF ESTIMATE" in line)
    block = lines[start : start + 26]
    assert block[4].split() == ["TH", "1", "TH", "2", "OM11", "OM12", "OM22", "SG11"]
    assert block[7] == "+        4.00E-04"  # 0.02^2
    assert block[10] == "+       ......... ........."  # THETA(2) is fixed
    # OMEGA(1,1) and THETA(1): 0.25 * 0.02 * 0.02
    assert block[13] == "+        1.00E-04 .........  4.00E-04"


def test_many_random_effects_are_wrapped_so_that_pharmpy_reads_all(tmp_path):
    reader = pytest.importorskip("pharmpy.tools.external.nonmem.results_file").NONMEMResultsFile
    rows = statistics_lines("ETASHRINKSD(%)", [f"{value:.4E}" for value in np.linspace(-1, 50, 23)])
    assert len(rows) == 3
    matches = re.compile(r"^ ETASHRINKSD\(%\) ").match
    read = reader.parse_shrinkage(reader.filter_shrinkage(matches, [f"{row}\n" for row in rows]))
    assert len(read) == 23


@pytest.mark.parametrize("sentence", [IN_CONTROL_STREAM, IN_DATA])
def test_a_refusal_has_nm_trans_sentence_our_message_and_no_result(tmp_path, sentence):
    text = refusal_text("run1.ctl:3:1: this is wrong\n  -> do that", FACTS, sentence)
    assert f"\n {sentence}\n" in text
    assert "\n run1.ctl:3:1: this is wrong\n   -> do that\n" in text
    assert "NONMEM WAS NOT RUN" in text
    assert "#TERM" not in text
    assert "#OBJV" not in text


@pytest.mark.parametrize("text", [lst_text(make_result(), FACTS), refusal_text("no", FACTS)], ids=["result", "refusal"])
def test_our_reports_are_known_to_be_ours(tmp_path, text):
    path = tmp_path / "run1.lst"
    path.write_text(text)
    assert is_own_file(path)
    path.write_text(text.replace("NONMEM WAS NOT RUN", ""))
    assert not is_own_file(path)


def test_dates_are_those_of_the_program_date():
    assert date_text(STARTED) == "Thu Mar  5 07:08:09 UTC 2026"


def test_a_model_without_random_effects_has_a_report(tmp_path):
    nothing = np.empty((0, 0))
    result = make_result(omega=nothing, shrinkage=no_etas())
    assert pharmpy_reading(tmp_path, result).estimation_status(1).minimization_successful is True


def test_values_that_are_not_known_are_printed(tmp_path):
    omega = np.zeros((2, 2))
    text = lst_text(make_result(omega=omega, likelihoods=(), status=FitStatus.INTERRUPTED), FACTS)
    assert "OPTIMIZATION WAS NOT COMPLETED" in text
    assert not math.isnan(float(re.search(r"#OBJV:\*+ +(\S+) ", text).group(1)))
