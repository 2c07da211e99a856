"""Killed at a random moment, is the finished run the same to the last bit?

    python -m tests.benchmarks.kill_and_resume [--kills 50] [--seed 1]

Three runs in turn: a fit with censored data, a fit of differential equations with the encoder saved, and a covariate
search. Each is first left alone. Then again and again it is started anew, killed (SIGKILL) at a random moment, perhaps
killed once more while it resumes, and resumed to its end. After every kill all result files must be whole; in the end
they must be those of the undisturbed run, byte for byte but for the seconds in the JSON files.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FIXTURES = Path(__file__).parents[2] / "fixtures"
EVERY = "0.2"  # seconds between checkpoints
AGAIN = 0.3  # share of resumed runs that are killed, too


@dataclass(frozen=True)
class Run:
    """Arguments of `nlmevae` after the checkpoint's; `files` are copied beside them."""

    name: str
    folder: str
    arguments: tuple[str, ...]


RUNS = (
    Run("censored", "parent_metabolite", ("fit", "run_m3.ctl")),
    Run(
        "equations",
        "theophylline",
        ("fit", "run_wt_des.ctl", "--backend", "compiled", "--save-encoder", "--samples", "20"),
    ),
    Run("search", "theophylline", ("select", "run_base.ctl", "--covariates", "WT", "--resamples", "20")),
)


def start(run: Run, folder: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "nlmevae.cli", *run.arguments, "--checkpoint-every", EVERY, *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def fresh(run: Run, folder: Path) -> Path:
    shutil.copytree(FIXTURES / run.folder, folder)
    return folder


def finished(run: Run, folder: Path, *more: str) -> float:
    """Run to the end; the seconds it took."""
    began = time.perf_counter()
    process = start(run, folder, *more)
    text, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"{run.name} ended with {process.returncode}:\n{text}")
    return time.perf_counter() - began


def killed(run: Run, folder: Path, after: float, *more: str) -> bool:
    """Whether it was still running."""
    process = start(run, folder, *more)
    time.sleep(after)
    alive = process.poll() is None
    process.kill()
    process.communicate()
    check_whole(folder)
    return alive


def check_whole(folder: Path) -> None:
    """No file is cut in half; `.ext`, which grows while a run lasts, may end after any line."""
    for path in folder.iterdir():
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        if path.suffix == ".ext" and path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            raise SystemExit(f"{path.name} ends in the middle of a line")


def contents(folder: Path) -> dict[str, object]:
    """Of all files, without what says how long something took; no temporary file may be left."""
    found: dict[str, object] = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes().replace(str(folder).encode(), b"")  # the data's place is in the JSON files
        if path.suffix == ".json":
            found[path.name] = _without_seconds(json.loads(data))
        elif path.suffix != ".png":
            found[path.name] = data
    return found


def _without_seconds(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_seconds(v) for k, v in value.items() if "seconds" not in k}
    return [_without_seconds(v) for v in value] if isinstance(value, list) else value


def main(kills: int, seed: int) -> None:
    random.seed(seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        whole = {}
        for run in RUNS:
            finished(run, fresh(run, root / f"first {run.name}"))
            seconds = finished(run, fresh(run, root / run.name))
            whole[run.name] = contents(root / run.name), seconds
            if contents(root / f"first {run.name}") != whole[run.name][0]:
                raise SystemExit(f"{run.name}: two undisturbed runs differ")
            print(f"{run.name}: {seconds:.1f} s undisturbed", flush=True)
        done = different = number = 0
        while done < kills:
            number += 1
            run = RUNS[number % len(RUNS)]
            expected, seconds = whole[run.name]
            folder = fresh(run, root / f"kill {number}")
            moments = []
            for again in ((), ("--resume",)):
                moment = random.uniform(0.3, seconds)
                if (not again or random.random() < AGAIN) and killed(run, folder, moment, *again):
                    moments.append(moment)
            checkpoint = next(folder.glob("*.checkpoint"), None)
            size = 0 if checkpoint is None else checkpoint.stat().st_size
            finished(run, folder, "--resume")
            found = contents(folder)
            wrong = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
            done += len(moments)
            different += bool(wrong)
            killed_at = " and ".join(f"{m:.2f}" for m in moments) or "-"
            print(f"{run.name}: killed after {killed_at} s, checkpoint {size} bytes: {wrong or 'same'}", flush=True)
            shutil.rmtree(folder)
        print(f"{done} kills, {different} runs ended otherwise")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    main(given.kills, given.seed)
