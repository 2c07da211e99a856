"""Every figure shows its data, has honest axes, and survives missing, dense and strange input."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.collections import PolyCollection

from nlmevae import report
from nlmevae.report.plots.convergence import comparable_rows, n_pages
from nlmevae.report.plots.predictive_check import outside
from nlmevae.report.style import house_style
from nlmevae.report.vector import svg
from nlmevae.results.effect_size import EffectSize
from tests.helpers.diagnostics import make_diagnostics, make_fit
from tests.helpers.figures import dots, line, panels, texts
from tests.helpers.results import make_result
from tests.helpers.selection_results import make_selection

NAN = float("nan")
EFFECTS = (
    EffectSize(parameter="CL", covariate="WT", at="55 (5 %)", reference="70 (median)", ratio=0.8, low=0.7, high=0.9),
    EffectSize(parameter="V", covariate="SEX", at="= 1", reference="= 0", ratio=1.1, low=NAN, high=NAN),
)


def all_figures(diagnostics, fit, theme=report.COLOUR):
    """One of each."""
    o = report
    subjects = report.chosen_subjects(fit.individuals.minus_two_ll, fit.individuals.n_obs, 6, seed=1)
    return {
        "objective": o.objective_figure(fit, theme=theme),
        "convergence": o.convergence_figure(fit, theme=theme),
        "predictions": o.predictions_figure(diagnostics, theme=theme),
        "residuals": o.residuals_figure(diagnostics, theme=theme),
        "individual": o.individual_fits_figure(diagnostics, subjects, theme=theme),
        "vpc": o.vpc_figure(diagnostics, diagnostics.vpcs[:1], theme=theme),
        "vpc_log": o.vpc_figure(diagnostics, diagnostics.vpcs[:3], logarithmic=True, theme=theme),
        "censored": o.censored_share_figure(diagnostics, diagnostics.vpcs, theme=theme),
        "npde": o.npde_figure(diagnostics, theme=theme),
        "etas": o.eta_distribution_figure(fit, theme=theme),
        "pairs": o.eta_pairs_figure(fit, theme=theme),
        "precision": o.eta_precision_figure(fit, theme=theme),
        "covariates": o.eta_covariates_figure(fit, diagnostics, range(len(diagnostics.covariates.names)), theme=theme),
        "forest": o.forest_figure(EFFECTS, theme=theme),
        "correlation": o.parameter_correlation_figure(np.array([[1.0, 0.5], [0.5, 1.0]]), ["A", "B"], theme=theme),
    }


def without_numbers(diagnostics):
    """The same with NaN wherever a number was computed."""
    o = diagnostics.observations
    names = ("pred", "ipred", "iwres", "wres", "cpred", "cwres", "epred", "ewres", "npd", "npde")
    holes = dataclasses.replace(o, **{name: np.full(len(o.dv), NAN) for name in names})
    checks = tuple(
        dataclasses.replace(c, observed=np.full_like(c.observed, NAN), simulated=np.full_like(c.simulated, NAN))
        for c in diagnostics.vpcs
    )
    return dataclasses.replace(diagnostics, observations=holes, vpcs=checks, curves=())


CASES = {
    "twelve subjects": lambda: make_diagnostics(12),
    "one subject": lambda: make_diagnostics(1),
    "one observation each": lambda: make_diagnostics(5, n_times=1),
    "censored": lambda: make_diagnostics(8, limit=0.4),
    "all censored": lambda: make_diagnostics(4, limit=99.0),
    "nothing computed": lambda: without_numbers(make_diagnostics(6)),
}
QUICK = ("one subject", "all censored", "nothing computed")


@pytest.mark.parametrize("case", [c if c in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in CASES])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_every_figure_can_be_drawn_whatever_is_missing(case):
    diagnostics = CASES[case]()
    for name, figure in all_figures(diagnostics, make_fit(diagnostics)).items():
        with house_style():
            content = svg(figure)
        assert len(content) > 1500, name


def test_panels_without_anything_to_show_say_why():
    diagnostics = without_numbers(make_diagnostics(6))
    assert "no observation with a prediction" in texts(report.predictions_figure(diagnostics))
    assert "no CWRES was computed" in texts(report.residuals_figure(diagnostics))
    assert "fewer than 3 values of NPDE" in texts(report.npde_figure(diagnostics))
    assert "no observation in this stratum" in texts(report.vpc_figure(diagnostics, diagnostics.vpcs[:1]))
    assert "no predictive check was computed" in texts(report.vpc_figure(diagnostics, ()))
    assert "no observation is beyond a limit" in texts(report.censored_share_figure(diagnostics, diagnostics.vpcs))
    assert "no covariate effect in the model" in texts(report.forest_figure(()))
    assert "no iteration was recorded" in texts(report.objective_figure(make_result(trace=())))
    none = make_fit(diagnostics, omega=np.zeros((2, 2)))
    for figure in (report.eta_distribution_figure(none), report.eta_precision_figure(none)):
        assert "the model has no random effects" in texts(figure)


def test_predictions_show_every_observation_on_equal_axes():
    diagnostics = make_diagnostics(20)
    o = diagnostics.observations
    linear, individual, *logarithmic = panels(report.predictions_figure(diagnostics))
    np.testing.assert_allclose(dots(linear), np.column_stack([o.pred, o.dv]))
    np.testing.assert_allclose(dots(individual), np.column_stack([o.ipred, o.dv]))
    for axes in (linear, individual, *logarithmic):
        assert axes.get_xlim() == axes.get_ylim()
        low, high = axes.get_xlim()
        assert low < min(o.dv.min(), dots(axes)[:, 0].min())
        assert high > o.dv.max()
        np.testing.assert_allclose(line(axes, "identity")[:, 0], line(axes, "identity")[:, 1])
    assert [axes.get_xscale() for axes in logarithmic] == ["log", "log"]


def test_a_logarithm_is_not_drawn_on_logarithmic_axes():
    diagnostics = make_diagnostics(5)
    kinds = (dataclasses.replace(diagnostics.endpoints[0], log_scale=True),)
    figure = report.predictions_figure(dataclasses.replace(diagnostics, endpoints=kinds))
    assert [axes.get_xscale() for axes in panels(figure)] == ["linear", "linear"]


def test_values_that_a_logarithmic_axis_cannot_show_are_counted():
    diagnostics = make_diagnostics(5)
    dv = diagnostics.observations.dv.copy()
    dv[:3] = -0.1
    changed = dataclasses.replace(diagnostics, observations=dataclasses.replace(diagnostics.observations, dv=dv))
    assert "3 not above 0 left out" in texts(report.predictions_figure(changed))


def test_censored_observations_are_marked_and_not_in_the_trend():
    diagnostics = make_diagnostics(40, limit=0.6)
    figure = report.predictions_figure(diagnostics)
    assert "beyond the limit of quantification" in texts(figure)
    assert "beyond the limit" not in texts(report.predictions_figure(make_diagnostics(5)))
    o = diagnostics.observations
    at = line(panels(figure)[0], "trend (local regression)")[:, 0]
    np.testing.assert_allclose([at[0], at[-1]], [o.pred[~o.censored].min(), o.pred[~o.censored].max()])


def test_residual_axes_have_zero_in_the_middle_and_sizes_begin_at_zero():
    over_time, over_pred, size, individual, *_ = panels(report.residuals_figure(make_diagnostics(15)))
    for axes in (over_time, over_pred, individual):
        low, high = axes.get_ylim()
        assert low == -high
        assert high >= 3.5
    assert size.get_ylim()[0] == 0.0


def test_one_set_of_panels_shows_one_endpoint():
    diagnostics = make_diagnostics(6, endpoints=2)
    o = diagnostics.observations
    for number in (0, 1):
        shown = dots(panels(report.predictions_figure(diagnostics, number))[0])
        np.testing.assert_allclose(shown[:, 1], o.dv[o.endpoint == number])


def test_observed_quantiles_outside_their_interval_are_marked():
    check = make_diagnostics(30).vpcs[0]
    simulated = check.simulated.copy()
    simulated[2, 1] = [100.0, 101.0, 102.0]
    changed = dataclasses.replace(check, simulated=simulated)
    flags = outside(changed)
    assert flags[2, 1]
    by_hand = [
        [not low <= value <= high for value, (low, _, high) in zip(row, bounds, strict=True)]
        for row, bounds in zip(changed.observed, changed.simulated, strict=True)
    ]
    assert flags.tolist() == by_hand
    (axes,) = panels(report.vpc_figure(make_diagnostics(2), [changed]))
    marks = line(axes, "observed outside its interval")
    assert [check.middle[2], check.observed[2, 1]] in marks.tolist()
    assert len(marks) == flags.sum()


def test_bands_that_reach_zero_end_at_the_edge_of_a_logarithmic_axis():
    check = make_diagnostics(30).vpcs[0]
    simulated = check.simulated.copy()
    simulated[-1, 0, 0] = -0.5
    changed = dataclasses.replace(check, simulated=simulated)
    (axes,) = panels(report.vpc_figure(make_diagnostics(2), [changed], logarithmic=True))
    bands = [c for c in axes.collections if isinstance(c, PolyCollection)]
    lowest = min(path.vertices[:, 1].min() for band in bands for path in band.get_paths())
    assert lowest >= axes.get_ylim()[0] * (1 - 1e-9)


def test_iterations_of_the_last_phase_keep_their_numbers():
    fit = make_fit(make_diagnostics(3))
    _, last = panels(report.objective_figure(fit))
    polish = [k + 1 for k, row in enumerate(fit.trace) if row.phase == "polish"]
    drawn = line(last, "−2 log-likelihood of the draws")[:, 0]
    assert drawn.tolist() == polish


def test_every_estimated_parameter_has_its_panel_with_its_values():
    fit = make_fit(make_diagnostics(3))
    shown = {axes.get_title(): axes for axes in panels(report.convergence_figure(fit))}
    assert set(shown) == {"CL", "var. CL", "cov. CL,V", "var. V", "var. proportional"}  # V is fixed
    values = np.array([row.parameters for row in fit.trace])
    for title, column in (("CL", 0), ("var. proportional", 2), ("var. CL", 3), ("cov. CL,V", 4), ("var. V", 5)):
        np.testing.assert_array_equal(shown[title].get_lines()[0].get_ydata(), values[:, column])


def test_iterations_of_a_search_with_other_parameters_are_left_out():
    fit = make_fit(make_diagnostics(3))
    longer = dataclasses.replace(fit.trace[0], parameters=np.zeros(9))
    changed = dataclasses.replace(fit, trace=(longer, *fit.trace))
    assert len(comparable_rows(changed)) == len(fit.trace)
    assert n_pages(changed) == 1


def test_random_effects_are_those_of_subjects_with_observations():
    diagnostics = make_diagnostics(9)
    fit = make_fit(diagnostics)
    n_obs = fit.individuals.n_obs.copy()
    n_obs[4] = 0
    fit = dataclasses.replace(fit, individuals=dataclasses.replace(fit.individuals, n_obs=n_obs))
    scatter = panels(report.eta_pairs_figure(fit))[2]
    np.testing.assert_allclose(dots(scatter), np.delete(fit.individuals.eta_mean, 4, axis=0))


def test_categories_are_boxes_and_numbers_are_dots():
    diagnostics = make_diagnostics(25)
    fit = make_fit(diagnostics)
    weight, _, sex, _ = panels(report.eta_covariates_figure(fit, diagnostics, (0, 1)))
    np.testing.assert_allclose(
        dots(weight), np.column_stack([diagnostics.covariates.values[:, 0], fit.individuals.eta_mean[:, 0]])
    )
    ticks = [t.get_text() for t in sex.get_xticklabels()]
    assert ticks == [f"{v}\nn = {(diagnostics.covariates.values[:, 1] == v).sum()}" for v in (0, 1)]


def test_the_forest_has_every_effect_and_one():
    (axes,) = panels(report.forest_figure(EFFECTS))
    low, high = axes.get_xlim()
    assert low < 0.7
    assert high > 1.25
    assert "0.80 [0.70, 0.90]" in texts(axes.figure)
    assert "CL · WT 55 (5 %)" in texts(axes.figure)


def test_margins_are_drawn_in_order_with_the_limit_of_two():
    result = make_selection()
    (axes,) = panels(report.margins_figure(result))
    drawn = [patch.get_width() for patch in axes.patches]
    assert sorted(drawn) == sorted(e.margin for e in result.effects)


def test_dense_layers_are_pictures_and_a_figure_stays_small():
    diagnostics = make_diagnostics(120)  # 840 observations
    with house_style():
        content = svg(report.predictions_figure(diagnostics))
    assert b"data:image/png" in content
    assert len(content) < 200_000


def test_dollar_signs_and_strange_letters_are_drawn_as_they_are():
    diagnostics = make_diagnostics(3)
    strange = dataclasses.replace(
        diagnostics, labels=("$x^2$", "a\udce9b", "<b>&amp;\n"), time_name="TIME_$1", endpoints=diagnostics.endpoints
    )
    figure = report.individual_fits_figure(strange, report.chosen_subjects(np.zeros(3), np.ones(3, int), 3, seed=1))
    with house_style():
        svg(figure)
    assert "ID $x^2$" in texts(figure)
    assert "ID a\\udce9b" in texts(figure)


@pytest.mark.parametrize("theme", [report.COLOUR, report.GREY], ids=lambda t: t.name)
def test_the_same_figure_is_the_same_bytes_whatever_the_users_settings(theme):
    import matplotlib

    diagnostics = make_diagnostics(4)

    def content():
        with house_style():
            return svg(report.vpc_figure(diagnostics, diagnostics.vpcs[:1], theme=theme))

    first = content()
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "svg.hashsalt": None}):
        assert content() == first


def test_colours_differ_in_lightness_in_the_grey_theme():
    def lightness(colour):
        return np.mean([int(colour[k : k + 2], 16) for k in (1, 3, 5)])

    assert abs(lightness(report.GREY.middle) - lightness(report.GREY.outer)) > 30
