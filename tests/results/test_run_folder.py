"""Files of another program survive; files of an earlier run are replaced."""

import os

import pytest

from nlmevae.errors import OutputError
from nlmevae.results.run_folder import RunFolder
from nlmevae.writers.covariance_files import write_coi, write_cor, write_cov
from nlmevae.writers.ets import write_ets
from nlmevae.writers.ext import write_ext
from nlmevae.writers.individuals_csv import write_individuals_csv
from nlmevae.writers.phi import write_phi
from nlmevae.writers.results_json import write_results_json
from nlmevae.writers.shk import write_shk
from nlmevae.writers.shm import write_shm
from tests.helpers.results import make_result, with_uncertainty

NONMEM_EXT = (
    "TABLE NO.     1: First Order Conditional Estimation with Interaction: "
    "Goal Function=MINIMUM VALUE OF OBJECTIVE FUNCTION: Problem=1\n"
)


def folder_with_own_files(tmp_path) -> RunFolder:
    folder = RunFolder.beside(tmp_path / "run1.ctl")
    result = with_uncertainty(make_result())
    for write, path in ((write_cov, folder.cov), (write_cor, folder.cor), (write_coi, folder.coi)):
        write(path, result)
    write_ext(folder.ext, result)
    write_phi(folder.phi, result)
    write_shk(folder.shk, result)
    write_shm(folder.shm, result)
    write_ets(folder.ets, result.individuals)
    write_individuals_csv(folder.individuals_csv, result.individuals)
    write_results_json(folder.results_json, result)
    return folder


def test_files_stand_beside_the_control_stream_or_in_the_chosen_folder(tmp_path):
    source = tmp_path / "deep" / "run1.mod"
    assert RunFolder.beside(source).ext == tmp_path / "deep" / "run1.ext"
    chosen = RunFolder.beside(source, tmp_path / "out")
    names = [
        "run1.ext",
        "run1.phi",
        "run1.cov",
        "run1.cor",
        "run1.coi",
        "run1.shk",
        "run1.shm",
        "run1.individuals.csv",
        "run1.ets",
        "run1.encoder",
        "run1.results.json",
    ]
    assert [p.name for p in chosen.files] == names
    assert all(p.parent == tmp_path / "out" for p in chosen.files)


def test_prepare_creates_a_missing_folder_and_leaves_it_empty(tmp_path):
    folder = RunFolder.beside("run1.ctl", tmp_path / "a" / "b")
    folder.prepare()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_own_files_of_an_earlier_run_may_be_replaced(tmp_path):
    folder = folder_with_own_files(tmp_path)
    folder.prepare()
    assert all(
        path.exists() for path in folder.files if path != folder.encoder
    )  # they stay until the new run has something to say


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run1.ext", NONMEM_EXT),
        ("run1.phi", NONMEM_EXT),
        ("run1.shk", NONMEM_EXT),
        ("run1.ets", NONMEM_EXT),
        ("run1.individuals.csv", "ID,CL,V\n1,2,3\n"),
        ("run1.encoder", "weights"),
        ("run1.cov", NONMEM_EXT),
        ("run1.results.json", '{"generator": "other"}'),
    ],
)
def test_a_file_of_another_program_stops_the_run_unless_told_to_overwrite(tmp_path, name, content):
    folder = folder_with_own_files(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(OutputError, match=r"was not written by nlmevae") as caught:
        folder.prepare()
    assert "--overwrite" in caught.value.hint
    folder.prepare(overwrite=True)


def test_an_input_of_the_run_is_never_replaced_even_with_overwrite(tmp_path):
    control_stream = tmp_path / "run1.ext"
    control_stream.write_text("$PROBLEM\n")
    with pytest.raises(OutputError, match="is an input of this run"):
        RunFolder.beside(control_stream).prepare(overwrite=True, inputs=[control_stream])
    assert control_stream.read_text() == "$PROBLEM\n"


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is not a folder"):
        RunFolder.beside("run1.ctl", tmp_path / "out").prepare()
    with pytest.raises(OutputError, match="is not a folder"):
        RunFolder.beside("run1.ctl", tmp_path / "out" / "deeper").prepare()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write to the folder"):
        RunFolder.beside(tmp_path / "run1.ctl").prepare()


def test_remove_previous_removes_the_files_of_one_run_and_no_others(tmp_path):
    folder = folder_with_own_files(tmp_path)
    other = tmp_path / "run2.ext"
    other.write_text("x")
    folder.remove_previous()
    assert list(tmp_path.iterdir()) == [other]
