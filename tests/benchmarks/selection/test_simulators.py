"""The boards' own closed forms and the engine's predictions are the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlmevae.codegen.latent_form import latent_form
from nlmevae.decoder.make import make_decoder
from nlmevae.pipeline import prepare
from tests.benchmarks.selection import coveval_data, factorial_data, many_candidates_data, neonates_data
from tests.benchmarks.selection.score import pooled, score


def predictions(
    folder: Path, stream: str, data: str, log_parameters: np.ndarray, thetas: tuple[float, ...] = ()
) -> np.ndarray:
    """Of the engine at z = log parameters (N, d), estimated structural THETAs beside them; flat over observations."""
    (folder / "data.csv").write_text(data, encoding="ascii")
    (folder / "run.ctl").write_text(stream, encoding="ascii")
    run = prepare(folder / "run.ctl")
    decoder = make_decoder(latent_form(run.model, run.table), run.table)
    x = np.column_stack([log_parameters, np.tile(thetas, (len(log_parameters), 1))])
    return decoder.predict(x).prediction


def observed_times(data: str) -> np.ndarray:
    rows = [line.split(",") for line in data.splitlines()]
    time, dv = rows[0].index("TIME"), rows[0].index("DV")
    return np.array([float(r[time]) for r in rows[1:] if r[dv] != "."])


def test_two_compartments_of_the_factorial(tmp_path):
    data = factorial_data.simulate(np.random.default_rng(3), 7, factorial_data.SCENARIOS[-1])
    z = np.log([0.6, 20.0]) + 0.4 * np.random.default_rng(4).standard_normal((7, 2))
    got = predictions(
        tmp_path,
        factorial_data.control_stream("data.csv", omega="block"),
        data,
        z,
        (factorial_data.Q, factorial_data.VP),
    )
    times = observed_times(data).reshape(7, -1)
    np.testing.assert_allclose(got, factorial_data.concentration(times, *np.exp(z.T)).ravel(), rtol=1e-8)


def test_equation_15_of_the_neonates(tmp_path):
    data = neonates_data.simulate(np.random.default_rng(3), 6)
    ids = np.array([int(line.split(",")[0]) for line in data.splitlines()[1:]]) - 1
    names = tuple(neonates_data.TYPICAL)
    z = np.log(list(neonates_data.TYPICAL.values())) + 0.2 * np.random.default_rng(4).standard_normal((6, 5))
    got = predictions(tmp_path, neonates_data.control_stream("data.csv"), data, z)
    t = observed_times(data)
    for i in range(6):
        times = t[ids == i][None, :]
        want = neonates_data.weight(times, dict(zip(names, np.exp(z[i])[:, None], strict=True)))
        np.testing.assert_allclose(got[ids == i], want[0], rtol=1e-6)


@pytest.mark.parametrize("case", many_candidates_data.DESIGNS)
def test_many_candidates_data_fit_their_stream(tmp_path, case):
    design = many_candidates_data.DESIGNS[case]
    data = many_candidates_data.simulate(np.random.default_rng(3), design)
    (tmp_path / "data.csv").write_text(data, encoding="ascii")
    (tmp_path / "run.ctl").write_text(many_candidates_data.control_stream(design, "data.csv"), encoding="ascii")
    run = prepare(tmp_path / "run.ctl")
    assert run.table.n_obs_total == 6 * design.n_subjects
    rng = np.random.default_rng(3)
    covariates = many_candidates_data.draw_covariates(rng, design)
    first = [line.split(",") for line in data.splitlines()[1:] if line.split(",")[3] == "."]
    np.testing.assert_allclose(np.array([r[4:] for r in first], dtype=float), covariates, rtol=1e-4)


def test_coveval_streams_are_read_and_truths_name_their_parameters(tmp_path):
    from tests.helpers.reference import reference

    folder = reference("pmx_coveval/scenarios.csv").parent
    for scenario in coveval_data.scenarios(folder):
        assert {e.split("~")[0] for e in scenario.truth} <= set(scenario.parameters)
        if scenario.obstacle:
            continue
        stream = tmp_path / f"{scenario.name}.ctl"
        data = folder / f"{scenario.name}_table.csv"
        stream.write_text(coveval_data.control_stream(scenario, data), encoding="ascii")
        run = prepare(stream)
        assert (run.table.n_subjects, run.table.n_obs_total) == (639, 3131)
        assert set(scenario.parameters) <= {p.name for p in run.model.individual_parameters}


def test_scores_count_pairs_whatever_the_shape():
    s = score(["CL~WT:exponential", "V2~RACE=2", "V2~RACE=3"], ["CL~WT", "V2~SEX"])
    assert (s["exact"], s["n_true"], s["n_false"], s["n_missed"], s["f1"], s["fdr"]) == (0, 1, 1, 1, 0.5, 0.5)
    assert score([], [])["exact"] == 1
    assert pooled([s, score([], [])])["exact"] == 0.5
