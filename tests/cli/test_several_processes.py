"""One fit by several processes ends with the bytes of one process, and where one of them fails none hangs."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nlmevae.cli.main import main

ROOT = Path(__file__).parents[2]
#: Shares of 64 and 96 subjects, three parts in the likelihood and the covariance step.
N = 160
QUICK = ["n_draws=64", "final_draws=128", "training_iterations=20", "max_outer=6"]
#: KA has no random effect: its THETA is read by the decoder.
STREAM = """$PROBLEM Several processes
$INPUT ID TIME AMT DV MDV WT
$DATA population.csv IGNORE=@
$SUBROUTINES ADVAN2 TRANS2
$PK
  MU_1 = LOG(THETA(2)) + THETA(4)*LOG(WT/70)
  CL = EXP(MU_1 + ETA(1))
  MU_2 = LOG(THETA(3))
  V = EXP(MU_2 + ETA(2))
  KA = THETA(1)
  S2 = V
$ERROR
  Y = F*(1 + EPS(1)){additive}
$THETA (0, 1) (0, 4) (0, 40) 0.5
$OMEGA 0.1 0.1
$SIGMA 0.04 {sigma}
$ESTIMATION METHOD=IMP INTERACTION
"""
MODELS = {"proportional error": ("", ""), "combined error": (" + EPS(2)", "0.01")}


def data(n_subjects):
    """A dose, then four observations of one compartment with absorption; the last subject has none."""
    rng, lines = np.random.default_rng(8), ["ID,TIME,AMT,DV,MDV,WT"]
    for i in range(n_subjects):
        weight = np.exp(rng.normal(np.log(70.0), 0.2))
        cl, v = 3.0 * (weight / 70.0) ** 0.75 * np.exp(0.3 * rng.normal()), 30.0 * np.exp(0.2 * rng.normal())
        times = np.sort(rng.uniform(0.25, 24.0, 4))
        f = 320.0 / v * 1.2 / (1.2 - cl / v) * (np.exp(-cl / v * times) - np.exp(-1.2 * times))
        y = f * (1.0 + 0.1 * rng.normal(size=4))
        lines.append(f"{i + 1},0,320,.,1,{weight:.1f}")
        if i < n_subjects - 1:
            lines += [f"{i + 1},{t:.3f},.,{value:.4f},0,{weight:.1f}" for t, value in zip(times, y, strict=True)]
    return "\n".join(lines) + "\n"


def folder_of(path, model):
    path.mkdir()
    (path / "population.csv").write_text(data(N))
    additive, sigma = MODELS[model]
    (path / "run.ctl").write_text(STREAM.format(additive=additive, sigma=sigma))
    return path


def command(folder, *more):
    return ["fit", str(folder / "run.ctl"), "--quiet", "--threads", "1", *[f"--set={s}" for s in QUICK], *more]


def environment():
    return os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'translators'}:{ROOT}", "OMP_NUM_THREADS": "1"}


def fitted(folder, n, *more, module="tests.helpers.small_shares"):
    """Fit by `n` processes of which each sees these few subjects as many."""
    port = 20_000 + os.getpid() % 20_000
    known = environment() | {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    known |= {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    line = [sys.executable, "-m", module, *command(folder, *more)]
    started = [
        subprocess.Popen(line, env=known | {"RANK": str(rank)}, stderr=subprocess.PIPE, text=True) for rank in range(n)
    ]
    found = [process.communicate(timeout=540) for process in started]
    assert [process.returncode for process in started[1:]] == [0] * (n - 1), found
    return started[0].returncode


def contents(folder):
    """Every result file, without the folder and the time it took."""
    files = {
        p.name: p.read_text().replace(str(folder), "")
        for p in sorted(folder.iterdir())
        if p.name not in ("run.ctl", "population.csv")
    }
    files["run.results.json"] = without_times(files["run.results.json"])
    return files


def without_times(text):
    return re.sub(r'"seconds": (\{[^}]*\}|[^\n]*)', "", text)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_the_number_of_processes_changes_no_byte(tmp_path, model):
    alone, shared = folder_of(tmp_path / "alone", model), folder_of(tmp_path / "shared", model)
    assert fitted(alone, 1) == fitted(shared, 2)
    expected = contents(alone)
    assert expected.keys() == contents(shared).keys() >= {"run.ext", "run.phi", "run.cov", "run.results.json"}
    for name, text in contents(shared).items():
        assert text == expected[name], name


#: Iterations of the polish that take seconds.
LONG = ["training_iterations=10", "burn_in_iterations=10", "n_draws=8192", "pool=1"]


def started_here(folder):
    """The command with --processes 2."""
    line = [sys.executable, "-m", "nlmevae.cli", "fit", str(folder / "run.ctl"), "--processes", "2", "--threads", "1"]
    return subprocess.Popen(
        [*line, *[f"--set={s}" for s in LONG]],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def child_of(starter, rank):
    """The process number `rank` that it started."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            parent = int(Path(path.parent, "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == starter.pid and f"RANK={rank}".encode() in path.read_bytes().split(b"\0"):
                return int(path.parent.name)
        except (OSError, IndexError):
            continue
    return None


def wait_for_the_polish(folder, starter):
    """Until the iterations of the VAE, and those after it, are written."""
    for _ in range(4000):
        written = folder / "run.ext"
        if written.exists() and len(written.read_text().splitlines()) > 24:
            return
        assert starter.poll() is None, starter.communicate()
        time.sleep(0.1)
    raise AssertionError("no iteration")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_where_a_process_is_killed_the_others_end_and_say_so(tmp_path):
    folder = folder_of(tmp_path / "killed", "combined error")
    starter = started_here(folder)
    wait_for_the_polish(folder, starter)
    os.kill(child_of(starter, 1), signal.SIGKILL)
    _, said = starter.communicate(timeout=60)
    assert starter.returncode == 2
    assert "process 0 waits for others of the fit in vain" in said
    assert "process 1 of the fit was ended by signal 9" in said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_an_interrupt_keeps_what_all_processes_have_done(tmp_path):
    folder = folder_of(tmp_path / "interrupted", "combined error")
    starter = started_here(folder)
    wait_for_the_polish(folder, starter)
    starter.send_signal(signal.SIGINT)
    _, said = starter.communicate(timeout=120)
    assert starter.returncode == 130, said
    results = (folder / "run.results.json").read_text()
    assert '"INTERRUPTED"' in results.upper()
    assert len((folder / "run.phi").read_text().splitlines()) == N + 2


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--processes", "two"], "--processes is two, not a number from 1 on"),
        (["other.ctl", "--processes", "2"], "several processes share one model, not several"),
    ],
)
def test_what_cannot_be_shared_is_refused(capsys, more, sentence):
    assert main(["fit", "run.ctl", *more]) == 2
    assert sentence in capsys.readouterr().err


def test_samples_are_refused_where_draws_are_spread(tmp_path, monkeypatch, capsys):
    folder = folder_of(tmp_path / "samples", "combined error")
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert main(command(folder, "--samples", "10")) == 2
    assert "samples of the random effects are not for a fit by several processes" in capsys.readouterr().err
