"""The three pictures exist, show something, and hold at any size of search."""

import builtins
import dataclasses
import io
import math
import subprocess
import sys

import numpy as np
import pytest

from nlmevae.errors import MissingDependencyError
from nlmevae.results.run_folder import is_own_file
from tests.helpers.selection_results import NAN, effect, make_large_selection, make_path, make_selection, make_trace

pytest.importorskip("matplotlib")

from nlmevae.report.selection_plots import draw_selection


def pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return imread(io.BytesIO(png), format="png")


def assert_shows_something(png: bytes):
    """Ink on part of the page, in several colours. Every third pixel is enough."""
    image = pixels(png)[::3, ::3, :3]
    ink = (np.abs(image - image[0, 0]).max(axis=-1) > 0.1).mean()
    assert 0.01 < ink < 0.9
    assert len(np.unique((image * 7).astype(int) @ [64, 8, 1])) > 10


@pytest.fixture(scope="module")
def six():
    """The pictures of six candidates, and the settings of matplotlib before and after they were drawn."""
    import matplotlib

    before = dict(matplotlib.rcParams)
    drawn = draw_selection(make_selection())
    return drawn, before, dict(matplotlib.rcParams)


def show_something(drawn: dict[str, bytes]):
    assert list(drawn) == ["trace", "support", "path"]
    for png in drawn.values():
        assert_shows_something(png)
        assert max(pixels(png).shape) < 2600  # fits a page at 150 dots per inch


def test_every_plot_shows_something(six):
    show_something(six[0])


@pytest.mark.parametrize("size", [pytest.param((5, 5, 8), marks=pytest.mark.slow), (6, 100, 9)], ids=["25", "600"])
def test_every_plot_shows_something_at_any_number_of_candidates(size):
    show_something(draw_selection(make_large_selection(*size)))


def test_pictures_are_recognised_as_our_own(six, tmp_path):
    for name, png in six[0].items():
        path = tmp_path / f"run1_selected.{name}.png"
        path.write_bytes(png)
        assert is_own_file(path)


def test_a_run_interrupted_at_once_has_only_the_plots_that_show_something():
    trace = make_selection().trace
    empty = dataclasses.replace(
        trace,
        phase=(),
        objective=trace.objective[:0],
        criterion=trace.criterion[:0],
        beta=trace.beta[:0],
        omega_sd=trace.omega_sd[:0],
        support=trace.support[:0],
    )
    assert list(draw_selection(make_selection(trace=empty, path=()))) == ["support"]


def test_missing_numbers_do_not_stop_a_plot():
    trace = make_selection().trace
    objective = np.where(np.arange(len(trace.phase)) < 90, math.nan, math.inf)
    holes = dataclasses.replace(
        trace, objective=objective, criterion=objective, beta=np.full_like(trace.beta, NAN), phase=("new phase",) * 100
    )
    effects = tuple(dataclasses.replace(e, margin=NAN, penalty=NAN) for e in make_selection().effects)
    assert list(draw_selection(make_selection(trace=holes, effects=effects))) == ["trace", "support", "path"]


def test_forms_levels_and_forced_effects_have_their_place():
    effects = (
        effect("CL", "WT", name="CL~WT:power", beta=0.75, margin=12.0),
        effect("CL", "WT", name="CL~WT:exponential", form="exponential", coefficients=("CL_WT_E",)),
        effect("CL", "RACE", name="CL~RACE=2", coefficients=("CL_RACE_2",), form="categorical", beta=-0.2, margin=1.0),
        three_levels(),
        effect("V", "WT", beta=1.0, forced=True, margin=NAN),
    )
    coefficients = tuple(c for e in effects for c in e.coefficients)
    result = make_selection(
        effects=effects,
        coefficients=coefficients,
        parameters=("CL", "V"),
        trace=make_trace(effects, ("CL", "V")),
        path=make_path(effects),
    )
    for png in draw_selection(result).values():
        assert_shows_something(png)


def three_levels():
    return dataclasses.replace(
        effect("V", "RACE", form="categorical", beta=0.1, margin=7.0),
        coefficients=("V_RACE_2", "V_RACE_3", "V_RACE_4"),
        beta=(0.1, 0.2, -0.3),
        standard_error=(0.1, 0.1, NAN),
    )


def test_without_matplotlib_the_error_has_the_install_command(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError) as caught:
        draw_selection(make_selection())
    assert "pip install 'nlmevae[report]'" in caught.value.hint


def test_the_room_is_entered_without_loading_matplotlib():
    code = "import sys, nlmevae.report.selection_plots; print('matplotlib' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert process.stdout.strip() == "False", process.stderr


def test_drawing_leaves_the_users_matplotlib_settings_alone(six):
    _, before, after = six
    assert after == before
