import numpy as np
import pandas as pd
import pytest

from nlmevae.errors import OutputError
from nlmevae.results.simulated_data import DesignText, SimulatedData
from nlmevae.writers.simulation_csv import check_simulation_file, write_simulation


def design(names=("ID", "TIME", "DV", "AMT")) -> DesignText:
    return DesignText(
        names=names,
        cells=(("1", "0", ".", "100"), ("1", "2", "9", "."), ("2", "1", "9", ".")),
        dv=2,
        observations=np.array([1, 2]),
        subject=np.array([0, 0, 1]),
        parameters=("CL",),
    )


def made(number: int) -> SimulatedData:
    numbers = np.array([0.1, 1 / 3])
    psi = np.array([[2.0], [3.0]])
    return SimulatedData(number=number, dv=numbers * number, ipred=numbers, pred=numbers + 1, psi=psi)


def test_rows_of_the_design_come_once_per_replicate_with_dv_replaced(tmp_path):
    path = tmp_path / "sim.csv"
    assert write_simulation(path, design(), map(made, (1, 2))) == 2
    frame = pd.read_csv(path, na_values=".")
    assert list(frame.columns) == ["ID", "TIME", "DV", "AMT", "REP", "IPRED", "PRED", "CL"]
    assert list(frame["REP"]) == [1, 1, 1, 2, 2, 2]
    assert frame["DV"].to_numpy() == pytest.approx([np.nan, 0.1, 1 / 3, np.nan, 0.2, 2 / 3], nan_ok=True)
    assert list(frame["AMT"].dropna()) == [100, 100]
    assert list(frame["CL"]) == [2, 2, 3, 2, 2, 3]
    assert frame["IPRED"].isna().tolist() == [True, False, False] * 2


def test_an_interrupt_keeps_the_data_sets_that_are_complete(tmp_path):
    def source():
        yield made(1)
        raise KeyboardInterrupt

    path = tmp_path / "sim.csv"
    with pytest.raises(KeyboardInterrupt):
        write_simulation(path, design(), source())
    assert list(pd.read_csv(path)["REP"]) == [1, 1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["sim.csv"]


def test_an_error_leaves_the_old_file_and_no_new_one(tmp_path):
    path = tmp_path / "sim.csv"
    path.write_text("old")

    def source():
        yield made(1)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_simulation(path, design(), source())
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["sim.csv"]


def test_only_files_of_this_kind_are_replaced(tmp_path):
    path = tmp_path / "sim.csv"
    write_simulation(path, design(), [made(1)])
    check_simulation_file(path)
    path.write_text("ID,TIME\n")
    with pytest.raises(OutputError, match="not written by nlmevae"):
        check_simulation_file(path)
    check_simulation_file(path, overwrite=True)
    with pytest.raises(OutputError, match="input"):
        check_simulation_file(path, overwrite=True, inputs=[path])


def test_columns_of_the_data_keep_their_names(tmp_path):
    header = design(("ID", "PRED", "DV", "CL")).header
    assert header == "ID,PRED,DV,CL,REP,IPRED,PRED_,CL_\n"
