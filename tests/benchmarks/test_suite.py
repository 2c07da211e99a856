"""The suite cannot rot: every section runs at its smallest size, a section that fails is a line, the page is made."""

from __future__ import annotations

import importlib
import json
import math
import re

import numpy as np
import pytest

from tests.benchmarks import __main__ as suite
from tests.benchmarks import page
from tests.benchmarks.machine import machine
from tests.benchmarks.measurement import Figure, beside, exponent
from tests.benchmarks.parts import parts_of
from tests.benchmarks.populations import Design, made_up, repeated
from tests.benchmarks.sections import SECTIONS, Section, growth
from tests.benchmarks.stopwatch import PLACES, Stopwatch, _holder

#: Sections that start processes of their own: seconds each, of loading.
PROCESSES = {"startup", "compiling", "fits", "searches", "populations", "forecast"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in PROCESSES else n for n in SECTIONS])
def test_a_section_runs_at_its_smallest_size(name):
    figures = [f.as_dict() for f in importlib.import_module(f"tests.benchmarks.sections.{name}").measure("tiny")]
    assert figures
    for figure in figures:
        assert figure["seconds"] > 0.0
        assert figure["ratio"] is None or (math.isfinite(figure["ratio"]) and figure["reference"])
    assert json.loads(json.dumps(figures)) == figures
    section = {
        "title": "",
        "scale": "tiny",
        "status": "ok",
        "message": "",
        "seconds": 0.0,
        "cpu_seconds": 0.0,
        "figures": figures,
    }
    assert "|---|" in page.block(name, {"sections": {name: section}})


@pytest.mark.slow
def test_parts_in_processes_of_their_own_tell_their_memory(tmp_path):
    path = made_up(Design(n_subjects=4), tmp_path)
    found = [f.as_dict() for f in growth.with_memory(path, {"varies": "N", "size": 4}, draws=16)]
    assert [f["name"] for f in found] == ["gradient step", "polish iteration", "likelihood"]
    assert all(f["seconds"] > 0.0 and f["more"]["peak_memory_mb"] > 50 for f in found)


def test_growth_is_told_with_its_error_and_the_memory_of_the_two_largest_sizes():
    figures = [
        Figure(
            name="likelihood", seconds=1e-3 * n * f, at={"varies": "N", "size": n},
            more={"peak_memory_mb": 400 + n / 100} if n >= 5000 else {},
        ).as_dict()
        for n, f in ((12, 9.0), (100, 1.1), (2000, 0.9), (5000, 1.0), (20_000, 1.05))
    ]  # fmt: skip
    text = page.of_growth(figures)
    assert "| N, 12 to 20000 |" in text
    assert re.search(r"\| 0\.99 ± 0\.0\d \|", text)
    assert "| 10 kB |" in text


def test_every_block_of_the_page_has_its_section():
    blocks = re.findall(r"<!-- benchmarks: (\w+) -->\n", page.PAGE.read_text(encoding="utf-8"))
    assert sorted(blocks) == sorted([*SECTIONS, "machine", page.OVERVIEW])


def test_a_section_that_fails_or_takes_too_long_is_a_line_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    limit = dict.fromkeys(("tiny", "quick", "full"), 60.0)
    short = dict.fromkeys(limit, 0.05)
    monkeypatch.setattr(
        suite, "SECTIONS",
        {
            "not_there": Section(title="Not there", limit=limit),
            "growth": Section(title="Growth", limit=short),
        },
    )  # fmt: skip
    assert suite.main(["--scale", "tiny", "--out", str(tmp_path)]) == 1
    found = json.loads((tmp_path / suite.FILE).read_text(encoding="utf-8"))["sections"]
    assert {name: s["status"] for name, s in found.items()} == {
        "not_there": "failed", "growth": "timeout",
    }  # fmt: skip
    assert "No module named" in found["not_there"]["message"]
    assert "not_there" in capsys.readouterr().out
    assert "ended early (timeout)" in page.block("growth", {"sections": found})


def test_the_description_of_the_machine_names_no_host_and_no_path():
    import getpass
    import platform

    text = json.dumps(machine())
    assert platform.node() not in text
    assert getpass.getuser() not in text
    assert "/" not in text.replace("\\/", "")


def test_an_exponent_is_that_of_the_law_it_comes_from():
    sizes = (10, 100, 1000)
    assert exponent([(n, 3e-6 * n**1.25) for n in sizes]) == pytest.approx((1.25, 0.0), abs=1e-7)


def test_the_error_of_an_exponent_is_that_of_the_regression():
    points = [(n, n * f) for n, f in ((10, 1.2), (40, 0.9), (200, 1.05), (1000, 0.8))]
    fit, covariance = np.polyfit(*np.log(points).T, 1, cov=True)
    slope, error = exponent(points)
    assert (slope, error) == pytest.approx((fit[0], np.sqrt(covariance[0, 0])))
    assert math.isnan(exponent(points[:2])[1])


def test_memory_per_subject_is_that_between_the_two_largest_sizes():
    assert page.memory_per_subject([(20, 400.0), (500, 500.0), (2000, 800.0)]) == "205 kB"
    assert page.memory_per_subject([(20, 400.0), (500, 500.0)], least=500) == ""


def test_a_side_that_takes_ten_times_as_long_has_a_ratio_of_ten():
    values = np.random.default_rng(1).standard_normal(20_000)
    own, theirs = beside(lambda: np.sort(values), lambda: [np.sort(values) for _ in range(10)], budget=0.2)
    figure = Figure(name="sort", seconds=own, reference="ten sorts", reference_seconds=theirs)
    assert figure.ratio == pytest.approx(10.0, rel=0.5)  # a busy machine meets both sides, not always alike


def test_repeated_subjects_have_the_designs_of_the_fixture_and_new_observations(tmp_path):
    path = repeated("theophylline/run_wt.ctl", 30, tmp_path)
    with parts_of(path) as parts:
        table = parts.table
        own = [table.ob_time[table.ob_ptr[i] : table.ob_ptr[i + 1]] for i in range(30)]
        np.testing.assert_array_equal(own[0], own[24])
        values = [table.ob_value[table.ob_ptr[i] : table.ob_ptr[i + 1]] for i in (0, 24)]
        assert (values[0] != values[1]).all()


@pytest.mark.parametrize("design", [Design(n_subjects=3, n_random=7), Design(n_subjects=3, n_covariates=4)])
def test_a_made_up_population_has_what_its_design_says(tmp_path, design):
    with parts_of(made_up(design, tmp_path)) as parts:
        assert parts.table.n_subjects == 3
        assert parts.problem.n_latents == design.n_random
        assert parts.table.n_obs_total == 3 * design.n_observations
        assert len(parts.table.covariate_names) == design.n_covariates


def test_parts_are_where_the_stopwatch_looks_for_them():
    gone = [
        f"{module} {owner} {name}"
        for places in PLACES.values()
        for module, owner, name in places
        if getattr(_holder(module, owner), name, None) is None
    ]
    assert gone == []


def test_a_stopwatch_gives_each_part_its_own_time_once(tmp_path):
    watch = Stopwatch()
    inner = watch._timed("decoder", lambda: sum(range(300_000)))
    outer = watch._timed("draws", lambda: [inner() for _ in range(5)])
    outer()
    assert watch.seconds["decoder"] > 20 * watch.seconds["draws"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.1e-5, "31 µs"), (2.0, "2.0 s"), (0.0042, "4.2 ms"), (0.99951, "1000 ms"), (1.84, "1.8 s"), (270.0, "4.5 min")],
)
def test_seconds_are_written_with_two_digits(value, text):
    assert page.seconds(value) == text
