"""Pharmpy runs nlmevae, as NONMEM and as a tool of its own, and reads everything; the oracle is NONMEM's own run."""

import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from nlmevae.errors import MissingDependencyError, UnsupportedError
from nlmevae.hosts import pharmpy as host
from nlmevae.hosts.nmfe_folder import install_nmfe

pytest.importorskip("pharmpy")

SRC = Path(__file__).parents[2] / "src"
#: Between the exact likelihood and FOCE with interaction (specified).
OBJECTIVE = 1.0

BASE = """
from pharmpy.modeling import load_example_model, mu_reference_model, remove_covariate_effect
from pharmpy.tools import fit, run_tool

model = load_example_model("pheno")
for parameter in ("CL", "VC"):
    model = remove_covariate_effect(model, parameter, "WGT")
"""
SEARCH = """
results = fit(model, esttool=tool)
found = run_tool(
    "covsearch", model=model, results=results, search_space="COVARIATE?([CL,VC],[WGT,APGR],pow)",
    algorithm=algorithm, esttool=tool,
)
print("selected", found.final_model.description)
"""


# contract ------------------------------------------------------------------------------------------------


def test_the_installed_series_has_what_is_used_of_it():
    host.check_pharmpy()


@pytest.mark.parametrize("version", ["2.0.5", "2.2.0", "1.9", "3.1.1"])
def test_another_series_is_refused_with_what_to_do(version):
    with pytest.raises(MissingDependencyError, match=rf"Pharmpy {version}, and nlmevae knows 2\.1") as raised:
        host.check_pharmpy(version)
    assert "nlmevae nmfe install" in raised.value.hint


def test_a_series_that_lacks_something_is_refused():
    with pytest.raises(MissingDependencyError, match=r"has no pharmpy\.workflows\.args\.ALLOWED_ESTTOOLS"):
        host.check_pharmpy("2.1.9", find=lambda name: types.ModuleType(name))


def test_without_pharmpy_the_message_says_how_to_install_it():
    def missing(name):
        raise ImportError(name)

    with pytest.raises(MissingDependencyError) as raised:
        host.check_pharmpy(find=missing)
    assert "nlmevae[pharmpy]" in raised.value.hint


def test_the_tool_is_known_after_install_and_the_others_still_are(monkeypatch):
    from pharmpy.tools.modelfit import tool
    from pharmpy.workflows import args

    monkeypatch.setattr(args, "ALLOWED_ESTTOOLS", args.ALLOWED_ESTTOOLS)
    monkeypatch.setattr(tool, "get_execute_model", tool.get_execute_model)
    before = args.ALLOWED_ESTTOOLS
    host.install()
    host.install()
    assert (*before, "nlmevae") == args.ALLOWED_ESTTOOLS
    assert tool.get_execute_model("nlmevae") is host.execute_model
    assert tool.get_execute_model("dummy").__module__ == "pharmpy.tools.external.dummy.run"


def test_a_model_without_data_is_refused(tmp_path):
    from pharmpy.modeling import load_example_model

    with pytest.raises(UnsupportedError, match="no data set"):
        host.write_run(load_example_model("pheno").replace(dataset=None), tmp_path)


# fits ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    """Pharmpy's model of phenobarbital with NONMEM's results and ours."""
    from pharmpy.modeling import load_example_model
    from pharmpy.tools import load_example_modelfit_results

    model = load_example_model("pheno")
    return load_example_modelfit_results("pheno"), host.fit(model, seed=1)


def test_results_have_all_parts_and_no_warnings(fitted):
    _, ours = fitted
    assert ours.minimization_successful
    assert ours.covstep_successful
    assert ours.warnings == []
    assert ours.covariance_matrix.shape == (6, 6)
    assert ours.individual_ofv.sum() == pytest.approx(ours.ofv, abs=1e-6)
    assert ours.individual_estimates.shape == (59, 2)
    assert len(ours.individual_estimates_covariance) == 59
    assert ours.residuals.shape == (155, 2)
    assert len(ours.predictions) == 744
    assert not ours.standard_errors.isna().any()
    assert not ours.eta_shrinkage.isna().any(axis=None)
    assert ours.log_likelihood == pytest.approx(ours.ofv + 155 * np.log(2 * np.pi))


def test_phenobarbital_agrees_with_nonmem(fitted):
    nonmem, ours = fitted
    assert ours.ofv == pytest.approx(nonmem.ofv, abs=OBJECTIVE)
    distance = (ours.parameter_estimates - nonmem.parameter_estimates).abs() / nonmem.standard_errors
    assert (distance < 2.0).all(), distance
    for name in nonmem.individual_estimates.columns:
        both = np.corrcoef(ours.individual_estimates[name], nonmem.individual_estimates[name])
        assert both[0, 1] > 0.99, name


def test_what_nlmevae_refuses_is_raised_by_its_own_name(fitted):
    from pharmpy.modeling import load_example_model, set_simulation

    with pytest.raises(UnsupportedError, match=r"\$SIMULATION|\$ESTIMATION"):
        host.fit(set_simulation(load_example_model("pheno")))


# workflows -----------------------------------------------------------------------------------------------


def run_python(code: str, folder: Path, **environment: str) -> str:
    """In a new process, because Pharmpy's workflows and `install` change theirs; its output."""
    known = {**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=known, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def as_nonmem(folder: Path) -> dict[str, str]:
    install_nmfe(folder / "nonmem")
    (folder / "pharmpy.conf").write_text(
        f"[pharmpy.plugins.nonmem]\ndefault_nonmem_path={folder / 'nonmem'}\n", encoding="utf-8"
    )
    return {"PHARMPYCONFIGPATH": str(folder)}


@pytest.mark.slow  # half a minute: a fit in a process of its own
def test_pharmpy_runs_it_as_nonmem(tmp_path, fitted):
    code = BASE.split("for parameter")[0] + "r = fit(model)\nprint(r.ofv, r.minimization_successful, r.warnings)\n"
    words = run_python(code, tmp_path, **as_nonmem(tmp_path)).splitlines()[-1].split(maxsplit=1)
    assert float(words[0]) == pytest.approx(fitted[1].ofv, abs=1e-6)
    assert words[1] == "True []"


@pytest.mark.slow  # minutes: twelve fits
@pytest.mark.parametrize("algorithm", ["scm-forward-then-backward", "samba"])
def test_a_covariate_search_of_pharmpy_runs_to_its_end(tmp_path, algorithm):
    prepare = "model = mu_reference_model(model)\n" if algorithm == "samba" else ""
    install = "from nlmevae.hosts import pharmpy as host\nhost.install()\n"
    code = f"algorithm, tool = {algorithm!r}, 'nlmevae'\n{install}{BASE}{prepare}{SEARCH}"
    selected = run_python(code, tmp_path).splitlines()[-1]
    assert "(VC-WGT-pow)" in selected
    assert "(CL-WGT-pow)" in selected
    assert "APGR-pow" not in selected


@pytest.mark.slow  # a minute: three fits in processes of their own
def test_samba_runs_to_its_end_as_nonmem(tmp_path):
    code = f"algorithm, tool = 'samba', 'nonmem'\n{BASE}model = mu_reference_model(model)\n{SEARCH}"
    assert "(CL-WGT-pow)" in run_python(code, tmp_path, **as_nonmem(tmp_path)).splitlines()[-1]
