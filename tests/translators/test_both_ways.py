"""Every model of the fixtures and the reference data into the other language and back.

A control stream becomes a project, which predicts the same and states the same but for what the report names; the
project becomes a control stream, which is the project's model again. The same from projects. What is refused is listed
here with its construct.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from nlmevae import pipeline
from nlmevae.errors import NlmevaeError
from nlmevae.frontends.monolix.read import read_project
from nlmevae_translators.convert import convert
from nlmevae_translators.report import Report
from nlmevae_translators.to_monolix.write import to_monolix
from tests.helpers.cases import stage as stage_case
from tests.helpers.control_streams import ACCEPTED as STREAMS
from tests.helpers.made_up_data import made_up_data
from tests.helpers.made_up_project_data import made_up_project_data
from tests.helpers.monolix_projects import ACCEPTED as PROJECTS
from tests.helpers.reference_projects import NAMES
from tests.helpers.reference_projects import stage as stage_reference
from tests.helpers.round_trip import round_trip
from tests.helpers.stated_differences import stated_differences

FIXTURES = Path(__file__).parents[2] / "fixtures"
#: Fixtures with data of their own, and those whose data are in the reference data.
OWN = sorted(
    p.relative_to(FIXTURES)
    for p in (*FIXTURES.glob("*/*.ctl"), *FIXTURES.glob("twins/*/run.ctl"), *FIXTURES.glob("translate/*/run.ctl"))
    if p.parent.name not in ("phenobarbital", "warfarin")
)
WITH_REFERENCE = ("phenobarbital", "phenobarbital_real", "warfarin")
TWINS = sorted(p.relative_to(FIXTURES) for p in FIXTURES.glob("twins/*/project.mlxtran"))
#: Beginnings of the names of those that take more than a second or two.
SECONDS = (
    "indirect_response", "tmdd", "neonates", "parent_metabolite", "warfarin_w2", "warfarin_w3", "phenobarbital_real",
)  # fmt: skip
#: What Monolix does not have: stem of the fixture -> construct.
REFUSED_STREAMS = {
    "abbreviated_lists": "SAME of",
    "censored_m4": "conditional on values above a limit",
    "correlated_residuals": "correlation of EPS(",
    "effect_on_residual": "ETA(3)",
    "initially_off": "CMT",
    "model_time": "MTIME",
    "model_times_in_des": "MTIME",
    "occasions": "OMEGA of",
}
#: What NONMEM does not have of a project that was written from a stream.
REFUSED_ON_THE_WAY_BACK = {"translate/log_scale/run.ctl": "a second way of doses into A_depot"}
#: What NONMEM does not have.
REFUSED_PROJECTS = {"parameter_map": "priors are not converted", "priors": "priors are not converted"}
#: Streams of projects that have no way back.
REFUSED_BACK: dict[str, str] = {}


def refused(report: Report, expected: str | None) -> bool:
    """It is, as is expected; a refusal that is not listed fails."""
    found = [f"{e.construct}: {e.reason}" for e in report.of("refused")]
    assert all(expected is not None and expected in text for text in found), found
    return bool(found)


def check_stream(
    path: Path, folder: Path, data: Path | None = None, *, expected: str | None = None, back: str | None = None
) -> None:
    """There and back from a control stream."""
    run = pipeline.prepare(pipeline.read_model(path), data=data)
    conversion = convert(path, data=data, out=folder / "project")
    if refused(conversion.report, expected):
        assert conversion.files == {}
        return
    assert conversion.report.proof.holds, conversion.report.proof
    project = pipeline.read_model(folder / "project" / conversion.main)
    written = to_monolix(run, name="run")
    differences = stated_differences(run.model, project, written.effects, written.unused)
    assert [d for d in differences if not d.named_by(conversion.report.entries)] == []
    if not project.etas:
        return
    check_project(folder / "project" / conversion.main, folder / "project", expected=back)


def check_project(path: Path, folder: Path, data: Path | None = None, *, expected: str | None = None) -> Path | None:
    """From a project to the control stream that is its model again; the stream."""
    conversion = convert(path, to="nonmem", data=data, out=folder / "stream")
    if refused(conversion.report, expected):
        assert conversion.files == {}
        return None
    assert conversion.report.proof.holds, conversion.report.proof
    trip = round_trip(path, folder / "stream")
    assert trip.differences() == []
    return folder / "stream" / conversion.main


def check_from_project(path: Path, folder: Path, data: Path | None = None, *, expected: str | None = None) -> None:
    """There and back from a project."""
    stream = check_project(path, folder, data, expected=expected)
    if stream is not None:
        check_stream(stream, folder, expected=REFUSED_BACK.get(path.stem))


def some_slow(names: Sequence[Path]) -> list:
    """The golden models and the twins have quick tests of their own."""
    slow = (*SECONDS, "twins", "translate")
    return [pytest.param(n, id=str(n), marks=[pytest.mark.slow] if str(n).startswith(slow) else []) for n in names]


@pytest.mark.parametrize("name", some_slow(OWN))
def test_control_streams_with_data_there_and_back(name, tmp_path):
    back = REFUSED_ON_THE_WAY_BACK.get(str(name))
    check_stream(FIXTURES / name, tmp_path, expected=REFUSED_STREAMS.get(str(name)), back=back)


@pytest.mark.parametrize("name", WITH_REFERENCE)
def test_control_streams_of_the_reference_data_there_and_back(name, tmp_path):
    path, _ = stage_case(name, tmp_path)
    check_stream(path, tmp_path)


@pytest.mark.parametrize("name", some_slow(TWINS))
def test_twins_from_their_projects(name, tmp_path):
    check_from_project(FIXTURES / name, tmp_path)


@pytest.mark.parametrize("name", some_slow(NAMES))
def test_projects_of_the_reference_data_there_and_back(name, tmp_path):
    check_from_project(stage_reference(name, tmp_path).path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("path", STREAMS, ids=lambda p: p.stem)
def test_every_accepted_control_stream_there_and_back(path, tmp_path):
    """With made-up data, where these fit the model."""
    try:
        model = pipeline.read_model(path)
        data = made_up_data(model, tmp_path / "data.csv")
        pipeline.prepare(model, data=data)
    except NlmevaeError as error:
        pytest.skip(f"not executed: {error.message}")
    back = REFUSED_ON_THE_WAY_BACK.get(path.stem)
    check_stream(path, tmp_path, data, expected=REFUSED_STREAMS.get(path.stem), back=back)


@pytest.mark.slow
@pytest.mark.parametrize("path", PROJECTS, ids=lambda p: p.stem)
def test_every_accepted_project_there_and_back(path, tmp_path):
    copied = staged_project(path, tmp_path, [p for p in path.parent.iterdir() if p.suffix == ".txt"])
    try:
        pipeline.prepare(pipeline.read_model(copied))
    except NlmevaeError as error:
        pytest.skip(f"not executed: {error.message}")
    check_from_project(copied, tmp_path, expected=REFUSED_PROJECTS.get(path.stem))


def staged_project(path: Path, folder: Path, others: Sequence[Path]) -> Path:
    """A copy beside its model files and made-up data."""
    for other in others:
        shutil.copy(other, folder)
    copied = Path(shutil.copy(path, folder))
    made_up_project_data(read_project(copied), folder)
    return copied
