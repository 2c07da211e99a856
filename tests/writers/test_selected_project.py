"""The selected Monolix project: what changes, what stays, and that it states the selected model."""

import dataclasses
import difflib
from pathlib import Path

import pytest

from nlmevae.errors import UnsupportedError
from nlmevae.ir import Candidate, CandidateColumn
from nlmevae.pipeline import prepare, prepare_selection, read_model
from nlmevae.writers.project_estimates import project_at
from nlmevae.writers.selected_control_stream import SelectedEffect
from nlmevae.writers.selected_project import selected_project
from tests.helpers.monolix_runs import stage_project


def power(parameter, covariate, centre, beta):
    column = CandidateColumn(name=f"{parameter}_{covariate}", shape="log", centre=centre)
    name = f"{parameter}~{covariate}"
    candidate = Candidate(name=name, parameter=parameter, covariate=covariate, form="power", columns=(column,))
    return SelectedEffect(candidate=candidate, beta=(beta,))


def levels(parameter, covariate, *values):
    columns = tuple(
        CandidateColumn(name=f"{parameter}_{covariate}_{k}", shape="indicator", level=float(k)) for k, _ in values
    )
    name = f"{parameter}~{covariate}"
    candidate = Candidate(name=name, parameter=parameter, covariate=covariate, form="categorical", columns=columns)
    return SelectedEffect(candidate=candidate, beta=tuple(b for _, b in values))


def changed(old, new):
    lines = difflib.ndiff(old.splitlines(), new.splitlines())
    return [line for line in lines if line[0] in "+-"]


def test_only_covariates_inputs_definitions_and_values_change(tmp_path):
    path = stage_project(tmp_path)
    effects = [power("Cl", "WT", 70.0, 0.75), levels("ka", "SEX", (0, 0.2))]
    written = selected_project(read_model(path), effects)
    assert changed(path.read_text(), written.text) == [
        "- input = {ka_pop, omega_ka, V_pop, omega_V, beta_V_logWT, logWT, Cl_pop, omega_Cl}",
        "+ input = {ka_pop, omega_ka, V_pop, omega_V, beta_V_logWT, logWT, Cl_pop, omega_Cl, beta_Cl_logWT, "
        "SEX, beta_ka_SEX_0}",
        "+ ",
        "+ SEX = {type=categorical, categories={'0', '1'}}",
        "- ka = {distribution=logNormal, typical=ka_pop, sd=omega_ka}",
        "+ ka = {distribution=logNormal, typical=ka_pop, covariate=SEX, coefficient={beta_ka_SEX_0, 0}, sd=omega_ka}",
        "- Cl = {distribution=logNormal, typical=Cl_pop, sd=omega_Cl}",
        "+ Cl = {distribution=logNormal, typical=Cl_pop, covariate=logWT, coefficient=beta_Cl_logWT, sd=omega_Cl}",
        "+ beta_Cl_logWT = {value=0.75, method=MLE}",
        "+ beta_ka_SEX_0 = {value=0.2, method=MLE}",
        "- exportpath = 'theophylline'",
        "+ exportpath = 'theophylline_selected'",
    ]


def test_it_reads_back_with_its_data_from_another_folder(tmp_path):
    path = stage_project(tmp_path)
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    written = selected_project(read_model(path), [power("V", "WT", 70.5, 0.4)], folder=other, name="new.mlxtran")
    (other / "new.mlxtran").write_text(written.text)
    run = prepare(other / "new.mlxtran")
    assert run.table.n_obs_total == 120
    labels = {t.label: t.init for t in run.model.thetas}
    assert (labels["beta_V_logWT_2"], labels["beta_V_logWT"]) == (0.4, 0.0)


def test_coefficients_keep_their_names_whatever_their_numbers(tmp_path):
    """The new coefficient stands between the others in the new project's order."""
    written = selected_project(read_model(stage_project(tmp_path)), [power("ka", "WT", 70.0, 0.1)])
    number = {t.name: t.label for t in written.model.thetas}
    assert [number[name] for name in written.base] == ["ka_pop", "V_pop", "beta_V_logWT", "Cl_pop", "a", "b"]
    assert [number[name] for name in written.thetas[0]] == ["beta_ka_logWT"]


def test_a_project_without_covariates_gets_the_section(tmp_path):
    text = stage_project(tmp_path).read_text()
    start, end = text.index("[COVARIATE]"), text.index("[INDIVIDUAL]")
    text = text[:start] + text[end:]
    text = text.replace("beta_V_logWT, logWT, ", "").replace("covariate=logWT, coefficient=beta_V_logWT, ", "")
    text = text.replace("beta_V_logWT = {value=0, method=MLE}\n", "")
    text = text.replace("SEX = {use=covariate, type=categorical}\n", "")
    path = tmp_path / "monolix_project" / "plain.mlxtran"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    written = selected_project(read_model(path), [power("V", "WT", 70.0, 0.4)])
    assert "[COVARIATE]\ninput = {WT}\n\nEQUATION:\nlogWT = log(WT/70)" in written.text.replace("\r\n", "\n")


def test_several_categories_and_an_effect_that_is_there_stay_in_one_definition(tmp_path):
    path = stage_project(tmp_path)
    written = selected_project(read_model(path), [levels("V", "SEX", (0, -0.1))])
    assert "covariate={logWT, SEX}, coefficient={beta_V_logWT, {beta_V_SEX_0, 0}}, sd=omega_V" in written.text


def test_a_comment_with_braces_is_no_end(tmp_path):
    line = "Cl = {distribution=logNormal, typical=Cl_pop, sd=omega_Cl}"
    path = stage_project(tmp_path, (line, "Cl = {distribution=logNormal, ; } of no one\n typical=Cl_pop, sd=omega_Cl}"))
    written = selected_project(read_model(path), [power("Cl", "WT", 70.0, 0.75)])
    lines = "Cl = {distribution=logNormal, ; } of no one\n typical=Cl_pop, covariate=logWT, coefficient=beta_Cl_logWT, "
    assert f"{lines}sd=omega_Cl}}\n" in written.text


def test_a_project_of_monolix_4_is_refused(tmp_path):
    source = Path(__file__).parents[2] / "fixtures" / "syntax" / "mlxtran" / "accepted" / "colon_two_outcomes.mlxtran"
    model = read_model(source)
    with pytest.raises(UnsupportedError, match="Monolix 4"):
        selected_project(model, [power(model.individual_parameters[0].name, "WT", 70.0, 0.1)])


def test_declared_categories_are_searched_as_categories_by_their_labels(tmp_path):
    path = stage_project(
        tmp_path,
        ("SEX = {type=categorical, categories={'0', '1'}}", "SEX = {type=categorical, categories={'1', '0'}}"),
        ("{'female'='0', 'male'='1'}, reference='male'", "{'male'='1', 'female'='0'}, reference='male'"),
    )
    found = prepare_selection(path, covariates="SEX", parameters="ka", reference="SEX=1").search.space.candidates
    assert [(c.name, c.form) for c in found] == [("ka~SEX", "categorical")]
    assert [(c.name, c.level) for c in found[0].columns] == [("ka_SEX_0", 1.0)]  # '0' is the second label


def test_the_definition_stays_as_the_user_wrote_it(tmp_path):
    path = stage_project(
        tmp_path,
        (
            "V = {distribution=logNormal, typical=V_pop, covariate=logWT, coefficient=beta_V_logWT, sd=omega_V}",
            "V={sd = omega_V,typical=V_pop,  coefficient={beta_V_logWT}, covariate={ logWT }, distribution=lognormal} "
            "; V",
        ),
    )
    written = selected_project(read_model(path), [levels("V", "SEX", (0, -0.1)), power("V", "WT", 60.0, 0.1)])
    assert (
        "V={sd = omega_V,typical=V_pop,  coefficient={beta_V_logWT, {beta_V_SEX_0, 0}, beta_V_logWT_2}, covariate={ "
        "logWT, SEX, logWT_2}, distribution=lognormal} ; V\n"
    ) in written.text


def test_final_estimates_change_the_values_and_nothing_else(tmp_path):
    path = stage_project(tmp_path, ("omega_V = {value=0.2, method=MLE}", "omega_V = { method=MLE, value=0.2 } ; sd"))
    model = read_model(path)
    thetas = tuple(dataclasses.replace(t, init=t.init * 1.1 + 0.01) for t in model.thetas)
    omega = tuple(dataclasses.replace(b, matrix=((b.matrix[0][0] * 1.21,),)) for b in model.omega)
    target = dataclasses.replace(model, thetas=thetas, omega=omega)
    written = project_at(path.read_text(), str(path), target)
    lines = [line[2:] for line in changed(path.read_text(), written) if line[0] == "+"]
    assert lines == [
        "ka_pop = {value=1.66, method=MLE}",
        "V_pop = {value=33.01, method=MLE}",
        "beta_V_logWT = {value=0.01, method=MLE}",
        "Cl_pop = {value=3.31, method=MLE}",
        "omega_ka = {value=0.66, method=MLE}",
        "omega_V = { method=MLE, value=0.22 } ; sd",
        "omega_Cl = {value=0.33, method=MLE}",
        "a = {value=0.56, method=MLE}",
        "b = {value=0.12, method=MLE}",
    ]
