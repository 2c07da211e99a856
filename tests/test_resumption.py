"""A run that was killed goes on from its checkpoint and ends with the numbers of an undisturbed run, bit for bit.

The oracle is the undisturbed run. Runs here keep a checkpoint at every safe place; a resumed one starts in
objects made anew, as in another process (real kills of real processes: tests/benchmarks/kill_and_resume.py).
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import nlmevae
from nlmevae import resumption
from nlmevae.errors import DataError, OutputError, SettingsError
from nlmevae.estimation import stages as stages_module
from nlmevae.estimation.fit import fit_model
from nlmevae.estimation.stages import Stages
from nlmevae.pipeline import make_selection_settings, make_settings, prepare, prepare_selection, run_selection
from nlmevae.results.checkpoint import Checkpoint
from nlmevae.resumption import Resumption, provenance_of
from nlmevae.writers.checkpoint_file import read_checkpoint, write_checkpoint

FIXTURES = Path(__file__).parents[1] / "fixtures"
THEOPHYLLINE = FIXTURES / "theophylline" / "run_wt.ctl"
QUICK = {"final_draws": 64, "burn_in_iterations": 4, "training_iterations": 6, "n_draws": 64}


@pytest.fixture
def often(monkeypatch):
    """Every safe place is kept."""
    monkeypatch.setattr(stages_module, "SHARE", 1e9)


def plain(value):
    """Without what tells how long something took; NaN equals itself."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name != "seconds"}
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k != "seconds"}
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes() if value.dtype != object else value.tolist()
    return repr(value)


MODELS = {
    "closed form": ("theophylline/run_wt.ctl", {}),
    "the published algorithm": ("theophylline/run_wt.ctl", {"method": "vae"}),
    "differential equations": ("theophylline/run_base_des.ctl", {"backend": "compiled"}),
    "censored data of two endpoints": ("parent_metabolite/run_m3.ctl", {"covariance": "none", "n_draws": 32}),
    "saved encoder and samples": ("theophylline/run_base.ctl", {"samples": 3}),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_checkpoint_of_a_fit_leads_to_the_same_result(name, often):
    path, options = MODELS[name]
    settings = make_settings(QUICK | options)

    def run(stages=None, events=None):
        prepared = prepare(FIXTURES / path)
        told = None if events is None else (lambda event: events.append(event.row))
        return fit_model(prepared.model, prepared.dataset, prepared.table, settings, progress=told, stages=stages)

    kept: list[Checkpoint] = []
    rows: list = []
    undisturbed = run(events=rows)
    assert plain(run(Stages(kept.append, every=0.0))) == plain(undisturbed)
    assert not any(c.state == b"" and not c.outcomes for c in kept)
    parts = {c.part for c in kept} | {n for c in kept for n in c.outcomes}
    assert {"vae", "likelihood"} <= parts
    for checkpoint in [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, 4).astype(int))]:
        again: list = []
        resumed = run(Stages(known=checkpoint), again)
        assert plain(resumed) == plain(undisturbed)
        assert plain([r for r in again if r]) == plain([r for r in rows if r])


def test_a_ridge_is_resumed_in_its_middle(often, monkeypatch):
    """Followed on purpose: every direction counts as one of little information."""
    from nlmevae.estimation import polish, ridge

    monkeypatch.setattr(polish, "RIDGE_SHARE", 2.0)
    monkeypatch.setattr(polish, "RESOLVED", -1.0)
    monkeypatch.setattr(ridge, "ITERATIONS", 4)
    prepared, settings = prepare(THEOPHYLLINE), make_settings(QUICK | {"n_draws": 32})

    def run(stages=None):
        return fit_model(prepared.model, prepared.dataset, prepared.table, settings, stages=stages)

    kept: list[Checkpoint] = []
    undisturbed = plain(run(Stages(kept.append, every=0.0)))
    for checkpoint in [c for c in kept if c.part == "polish"][-4:]:
        assert plain(run(Stages(known=checkpoint))) == undisturbed


def test_many_subjects_are_resumed(often, monkeypatch):
    """The VAE sees only some of them, with a decoder of its own."""
    from nlmevae.estimation import fit as module

    monkeypatch.setattr(module, "MANY_SUBJECTS", 10)
    monkeypatch.setattr(module, "START_SUBJECTS", 8)
    settings, kept = make_settings(QUICK | {"backend": "compiled"}), []

    def run(stages=None):
        prepared = prepare(FIXTURES / "theophylline/run_wt_des.ctl")
        return fit_model(prepared.model, prepared.dataset, prepared.table, settings, stages=stages)

    undisturbed = plain(run(Stages(kept.append, every=0.0)))
    for checkpoint in kept[:: max(1, len(kept) // 5)]:
        assert plain(run(Stages(known=checkpoint))) == undisturbed


def test_a_search_is_resumed(often, tmp_path):
    settings, selection = make_selection_settings(QUICK | {"resamples": 10})

    def run(kept: list | None = None, known: Checkpoint | None = None):
        prepared = prepare_selection(FIXTURES / "theophylline/run_base.ctl", covariates="WT")
        told = Resumption(tmp_path / "x.checkpoint", {}, every=0.0)
        told.stages = lambda: Stages(kept.append if kept is not None else None, every=0.0, known=known)
        return run_selection(prepared, settings, selection, resumption=told)

    kept: list[Checkpoint] = []
    undisturbed = run(kept)
    assert undisturbed.support
    for checkpoint in [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, 5).astype(int))]:
        resumed = run(known=checkpoint)
        for part in ("support", "model_text", "effects", "path", "certificate", "fit"):
            assert plain(getattr(resumed, part)) == plain(getattr(undisturbed, part)), part


# the file --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for name in ("run_wt.ctl", "theophylline.csv"):
        shutil.copy(FIXTURES / "theophylline" / name, tmp_path)
    return tmp_path


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_fit(folder, *, after: int = 12, **options):
    """A fit that ends after some iterations, as if its process had."""
    count = 0

    def progress(event):
        nonlocal count
        count += 1
        if count == after:
            raise Killed

    with pytest.raises(Killed):
        nlmevae.fit(folder / "run_wt.ctl", write=True, checkpoint_every=1e-9, progress=progress, **QUICK, **options)


def files_of(folder, *, but: str = ".checkpoint") -> dict[str, object]:
    found = {}
    for path in folder.glob("run_wt.*"):
        if path.suffix not in (but, ".ctl"):
            text = path.read_text()
            found[path.name] = plain(json.loads(text)) if path.suffix == ".json" else text
    return found


def test_files_after_resuming_are_those_of_an_undisturbed_run(folder, often):
    nlmevae.fit(folder / "run_wt.ctl", write=True, **QUICK)
    expected = files_of(folder)
    killed_fit(folder)
    assert (folder / "run_wt.checkpoint").exists()
    assert not (folder / "run_wt.results.json").exists()
    result = nlmevae.fit(folder / "run_wt.ctl", write=True, resume=True, **QUICK)
    assert result.warnings == ()
    assert files_of(folder) == expected
    assert not (folder / "run_wt.checkpoint").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: {"seed": 2}, "the settings differ"),
        (lambda f: _edit(f / "run_wt.ctl", "$PROBLEM", "$PROBLEM another"), "the model file differ"),
        (lambda f: _edit(f / "theophylline.csv", "320", "321"), "the data differ"),
    ],
)
def test_another_run_does_not_go_on_from_a_checkpoint(folder, often, change, words):
    killed_fit(folder)
    options = change(folder) or {}
    with pytest.raises(SettingsError, match=words):
        nlmevae.fit(folder / "run_wt.ctl", write=True, resume=True, **QUICK, **options)
    assert (folder / "run_wt.checkpoint").exists()


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_another_machine_may_go_on_and_the_result_says_so(folder, often, monkeypatch):
    killed_fit(folder)
    monkeypatch.setattr(resumption, "_processor", lambda: "another")
    result = nlmevae.fit(folder / "run_wt.ctl", write=True, resume=True, **QUICK)
    assert any("another processor" in w for w in result.warnings)


def test_without_a_checkpoint_a_resumed_run_begins(folder):
    result = nlmevae.fit(folder / "run_wt.ctl", write=True, resume=True, **QUICK)
    assert result.status.completed


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-7],
        lambda b: b[: len(b) // 3],
        lambda b: b.replace(b'"format": 1', b'"format": 9'),
        lambda b: b"",
        lambda b: b[:-9] + b"x" + b[-8:],
    ],
)
def test_a_damaged_checkpoint_is_refused(folder, damage):
    path = folder / "run_wt.checkpoint"
    prepared = prepare(folder / "run_wt.ctl")
    provenance = provenance_of(prepared, make_settings(QUICK))
    write_checkpoint(path, Checkpoint(outcomes={"vae": b"12345"}, part="polish", state=b"123456789"), provenance)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises((DataError, OutputError)):
        nlmevae.fit(folder / "run_wt.ctl", write=True, resume=True, **QUICK)


def test_a_whole_file_with_senseless_states_is_refused(folder):
    prepared = prepare(folder / "run_wt.ctl")
    provenance = provenance_of(prepared, make_settings(QUICK))
    write_checkpoint(folder / "run_wt.checkpoint", Checkpoint(outcomes={"vae": b"12345"}), provenance)
    with pytest.raises(DataError, match="go on from"):
        nlmevae.fit(folder / "run_wt.ctl", write=True, resume=True, **QUICK)


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path):
    checkpoint = Checkpoint(
        outcomes={"vae": b"\0\n\xff", "starts": b""}, part="polish", state=b"\n\n", seconds={"vae": 1 / 3}
    )
    write_checkpoint(tmp_path / "a.checkpoint", checkpoint, {"the data": "x"})
    assert read_checkpoint(tmp_path / "a.checkpoint") == (checkpoint, {"the data": "x"})


def test_a_file_of_another_program_is_not_replaced(folder):
    (folder / "run_wt.checkpoint").write_text("mine")
    with pytest.raises(OutputError, match="not written by nlmevae"):
        nlmevae.fit(folder / "run_wt.ctl", write=True, **QUICK)


def test_a_full_disk_costs_the_checkpoint_and_not_the_fit(folder, often, monkeypatch):
    def full(*_):
        raise OutputError("cannot write run_wt.checkpoint: No space left on device")

    monkeypatch.setattr(resumption, "write_checkpoint", full)
    result = nlmevae.fit(folder / "run_wt.ctl", write=True, checkpoint_every=1e-9, **QUICK)
    assert result.status.completed
    assert result.warnings == ("No checkpoint: cannot write run_wt.checkpoint: No space left on device.",)


@pytest.mark.parametrize("every", [-1.0, float("nan"), float("inf"), "soon"])
def test_seconds_between_checkpoints_are_a_number(folder, every):
    with pytest.raises(SettingsError, match="between checkpoints"):
        nlmevae.fit(folder / "run_wt.ctl", write=True, checkpoint_every=every, **QUICK)


def test_no_checkpoint_is_written_where_none_is_wanted(folder, often):
    def progress(event):
        assert not (folder / "run_wt.checkpoint").exists()

    nlmevae.fit(folder / "run_wt.ctl", write=True, checkpoint_every=0, progress=progress, **QUICK)


def test_an_interrupted_run_leaves_its_checkpoint(folder, often):
    count = 0

    def progress(event):
        nonlocal count
        count += 1
        if count == 8:
            raise KeyboardInterrupt

    options = {"write": True, "checkpoint_every": 1e-9} | QUICK
    partial = nlmevae.fit(folder / "run_wt.ctl", progress=progress, **options)
    assert partial.status is nlmevae.FitStatus.INTERRUPTED
    assert (folder / "run_wt.checkpoint").exists()
    resumed = nlmevae.fit(folder / "run_wt.ctl", resume=True, **options)
    assert plain(resumed) == plain(nlmevae.fit(folder / "run_wt.ctl", **QUICK))


def test_half_written_files_of_killed_processes_are_removed(folder, often):
    import platform

    dead = folder / f".run_wt.checkpoint.{platform.node()}.{2**22 + 7}.tmp"  # no process has such a number
    alive = folder / f".run_wt.checkpoint.{platform.node()}.{os.getppid()}.tmp"
    for path in (dead, alive):
        path.write_text("half")
    nlmevae.fit(folder / "run_wt.ctl", write=True, **QUICK)
    assert not dead.exists()
    assert alive.exists()
