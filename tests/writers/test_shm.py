"""`.shm` says which random effects count in `.shk`."""

from nlmevae.writers.shm import shm_text
from tests.helpers.results import make_result


def test_a_line_has_nonmems_layout():
    lines = shm_text(make_result()).splitlines()
    assert lines[0].startswith("TABLE NO.     1: Importance Sampling assisted by VAE Estimation: Problem=1")
    # as NONMEM 7.4 writes it for two random effects
    assert lines[1] == " SUBJECT_NO   ID           SUBPOP       PMIX         ETS(1)    ETS(2)"
    assert lines[2] == "            1            1            1  1.00000E+00  0.000000  0.000000"


def test_a_subject_without_observations_does_not_count():
    assert shm_text(make_result()).splitlines()[3].split() == ["2", "7", "1", "1.00000E+00", "1.000000", "1.000000"]


def test_every_estimation_step_has_a_table():
    lines = shm_text(make_result(), 2).splitlines()
    assert [line[:16] for line in lines if line.startswith("TABLE")] == ["TABLE NO.     1:", "TABLE NO.     2:"]
