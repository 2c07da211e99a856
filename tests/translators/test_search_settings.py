"""Settings of covariate searches from one program to another: what is written, what is said of it, and that it asks for
the same search."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest

from nlmevae.cli.main import main
from nlmevae.data.search.cossac_file import read_cossac_file, transform_of
from nlmevae.data.search.decision import decision_of_file
from nlmevae.data.search.scm_file import read_scm_file
from nlmevae.errors import NlmevaeError, SettingsError
from nlmevae.pipeline import prepare_selection
from nlmevae.stepwise import decision_of_settings
from nlmevae_translators import convert

FIXTURES = Path(__file__).parents[2] / "fixtures"
FOLDER = FIXTURES / "translate" / "search"
THEOPHYLLINE = FIXTURES / "theophylline" / "run_base.ctl"
LINE = FIXTURES / "selection_data" / "covariates.ctl"
PROJECT = FIXTURES / "monolix_project" / "theophylline.mlxtran"
#: File -> model (None: the file names it), targets.
CASES = {
    "standard.scm": (None, ("select", "cossac")),
    "shapes.scm": (None, ("select", "cossac")),
    "linear.scm": (None, ("select", "cossac")),
    "normal.scm": (None, ("select", "cossac")),
    "forms.toml": (THEOPHYLLINE, ("scm", "cossac")),
    "all.toml": (PROJECT, ("scm", "cossac")),
    "stepwise.toml": (THEOPHYLLINE, ("scm", "cossac")),
    "each.toml": (LINE, ("scm", "cossac")),
    "tests.json": (None, ("scm", "select")),
    "raw.json": (PROJECT, ("scm", "select")),
}
PAIRS = [(name, to) for name, (_, targets) in CASES.items() for to in targets]


def converted(name: str, to: str, **options):
    return convert(FOLDER / name, to, model=CASES[name][0], allow_lossy=True, **options)


def expected_folder(name: str, to: str) -> Path:
    return FOLDER / "expected" / f"{Path(name).stem}_{to}"


def written_files(name: str, to: str) -> dict[str, str]:
    """The files and the report, paths by their last part."""
    conversion = converted(name, to)
    report = re.sub(
        r"(?:/[\w.+-]+)+/([\w.]+)", r"\1", f"exit code {conversion.report.exit_code}\n{conversion.report.text}\n"
    )
    files = {key: re.sub(r"(?:/[\w.+-]+)+/([\w.]+)", r"\1", text) for key, text in conversion.files.items()}
    return {**files, "report.txt": report}


@pytest.mark.parametrize(("name", "to"), PAIRS)
def test_each_setting_becomes_what_is_expected(name, to):
    folder = expected_folder(name, to)
    written = written_files(name, to)
    assert set(written) == {path.name for path in folder.iterdir()}
    for file, text in written.items():
        assert text == (folder / file).read_text(encoding="utf-8"), file


@pytest.mark.parametrize(("name", "to"), PAIRS)
def test_every_entry_that_is_kept_names_its_line(name, to):
    for entry in converted(name, to).report.entries:
        assert entry.reason
        if entry.source is not None:
            assert entry.source.line >= 1
            assert Path(entry.source.path).name == name or entry.source.path.endswith((".ctl", ".mlxtran"))


# the same search ----------------------------------------------------------------------------------
def effects(model, **options):
    """Up to the reference category, which moves typical values only."""
    return {
        (c.parameter, c.covariate, c.form, tuple((k.shape, k.centre) for k in c.columns), c.forced)
        for c in prepare_selection(model, **options).search.space.candidates
    }


def test_select_searches_the_same_by_the_settings_file_as_by_the_scm_file(tmp_path):
    for name in ("standard.scm", "shapes.scm"):
        conversion = convert(FOLDER / name, "select", out=tmp_path / name, allow_lossy=True)
        settings = tmp_path / name / conversion.main
        one = prepare_selection(THEOPHYLLINE, scm_file=FOLDER / name).search.space
        two = prepare_selection(THEOPHYLLINE, settings_file=settings).search.space
        assert one == two


@pytest.mark.parametrize("to", ["scm", "cossac"])
def test_a_search_survives_the_way_there_and_back(to, tmp_path):
    source = tmp_path / "run1.toml"
    source.write_text('covariates = ["WT", "SEX"]\nforce = ["V~WT"]\n[centre]\ndefault = "median"\n')
    there = convert(source, to, model=THEOPHYLLINE, out=tmp_path / to)
    back = convert(tmp_path / to / there.main, "select", model=THEOPHYLLINE, out=tmp_path / "back")
    again = effects(THEOPHYLLINE, settings_file=tmp_path / "back" / back.main)
    assert again == effects(THEOPHYLLINE, settings_file=source)


def test_p_values_and_direction_survive_the_way_to_scm_and_back(tmp_path):
    there = convert(FOLDER / "standard.scm", "select", out=tmp_path)
    back = convert(tmp_path / there.main, "scm", model=THEOPHYLLINE, out=tmp_path)
    one, two = read_scm_file(FOLDER / "standard.scm"), read_scm_file(tmp_path / back.main)
    for name in ("p_forward", "p_backward", "direction", "missing", "continuous", "categorical", "categorical_states"):
        assert getattr(one, name) == getattr(two, name)


# refusals -----------------------------------------------------------------------------------------
def test_nothing_is_written_where_a_relation_has_no_counterpart(tmp_path, capsys):
    code = main(["convert", str(FOLDER / "linear.scm"), "--to", "select", "--out", str(tmp_path / "out")])
    said = capsys.readouterr().out
    assert code == 2
    assert "nothing is written" in said
    assert not (tmp_path / "out").exists()
    assert f"refused   V=WT ({FOLDER / 'linear.scm'}:5:3): no state of it can be searched exactly on V" in said
    assert "2 (linear, 1 + theta (w - c)), 3 (hockey-stick, linear with two slopes)" in said


def test_linear_as_searches_another_form_and_says_so(tmp_path):
    conversion = convert(FOLDER / "linear.scm", "select", linear_as="exponential", out=tmp_path)
    assert conversion.report.exit_code == 1
    assert effects(THEOPHYLLINE, settings_file=tmp_path / conversion.main) == effects(
        THEOPHYLLINE, effects="V~WT:exponential,V~SEX", centre="median"
    )


def test_several_forms_are_lossy_where_nothing_keeps_them_apart():
    report = converted("forms.toml", "cossac").report
    assert next(e.construct for e in report.of("lossy")) == "KA~WT:power and KA~WT:exponential"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("{", "not valid JSON", 1),
        ("[1]", "no settings by name", None),
        ('{"covariates": ["WT"],\n "parameters": ["V"], "strategi": "scm"}', "there is no setting 'strategi'", 2),
        ('{"covariates": ["WT"], "parameters": ["V"],\n "criterion": "AIC"}', "criterion is 'AIC'", 2),
        ('{"covariates": ["WT"], "parameters": ["V"],\n "strategy": "vae"}', "strategy is 'vae'", 2),
        ('{"covariates": ["WT"], "parameters": ["V"], "threshold": {"lrt": [0, 1]}}', "threshold lrt", 1),
        ('{"covariates": ["WT"], "parameters": []}', "names no parameters", 1),
        ('{"covariates": 3, "parameters": ["V"]}', "covariates is 3", 1),
        ('{"covariates": ["WT"], "parameters": ["V"], "relationships": [["V", "WT"]]}', "is no relationship", 1),
        ('{"covariates": ["WT"], "parameters": ["V"], "relationships": [["K", "WT", true]]}', "none of parameters", 1),
        ('{"covariates": ["WT"], "parameters": ["V"], "schema": "x/2"}', "schema is 'x/2'", 1),
    ],
)
def test_impossible_settings_of_monolix_are_named_with_their_place(text, message, line, tmp_path):
    path = tmp_path / "search.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        read_cossac_file(path)
    assert (caught.value.location and caught.value.location.line) == line


def test_what_cannot_be_known_is_asked_for(tmp_path):
    path = tmp_path / "search.json"
    path.write_text('{"covariates": ["WT"], "parameters": ["V"]}')
    with pytest.raises(SettingsError, match="names no model"):
        convert(path, "select")
    with pytest.raises(SettingsError, match="nothing says whether WT is continuous or categorical"):
        convert(path, "select", model=THEOPHYLLINE)
    with pytest.raises(SettingsError, match="is a script"):
        convert(tmp_path / "search.R", "select", model=THEOPHYLLINE)
    with pytest.raises(SettingsError, match="of that kind already"):
        convert(FOLDER / "standard.scm", "scm")
    other = tmp_path / "a.scm"
    other.write_text("model=run9.mod\ncontinuous_covariates=WT\n[test_relations]\nV=WT\n")
    with pytest.raises(SettingsError, match=r"names the model run9.mod, and there is no"):
        convert(other, "select")


def test_a_model_without_data_is_enough_for_settings_of_select(tmp_path):
    model = tmp_path / "run_base.ctl"
    model.write_text(THEOPHYLLINE.read_text())
    conversion = convert(FOLDER / "standard.scm", "select", model=model)
    assert conversion.report.exit_code == 0
    with pytest.raises(NlmevaeError):
        convert(FOLDER / "standard.scm", "cossac", model=model)  # its medians are numbers


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("log(WT/70)", ("WT", "log", 70.0)),
        ("log( WT )", ("WT", "log", 1.0)),
        ("WT - 1e1", ("WT", "linear", 10.0)),
        ("(WT+3.5)", ("WT", "linear", -3.5)),
        ("WT", ("WT", "linear", 0.0)),
        ("log(WT/0)", None),
        ("WT^2", None),
        ("log(WT/AGE)", None),
        ("WT/70", None),
    ],
)
def test_transformed_covariates(text, shape):
    found = transform_of(text)
    assert (None if found is None else dataclasses.astuple(found)) == shape


# decisions of a settings file ----------------------------------------------------------------------
def test_a_settings_file_decides_for_each_verb(tmp_path):
    path = tmp_path / "run1.toml"
    path.write_text('covariates = ["WT"]\ncriterion = "LRT:0.01"\np_forward = 0.05\ndirection = "forward"\n')
    assert decision_of_file(path).criterion == "lrt:0.01"
    assert decision_of_settings(path, "scm") == {"direction": "forward", "p_forward": 0.05}
    assert decision_of_settings(path, "cossac") == {"p_forward": 0.05}
    assert decision_of_settings(path, "scm", criterion="bicc") == {"direction": "forward"}
    path.write_text('covariates = ["WT"]\ncriterion = "bicc"\n')
    assert decision_of_settings(path, "scm") == {"criterion": "bicc"}
    path.write_text('covariates = ["WT"]\ncriterion = "lrt:0.02"\n')
    assert decision_of_settings(path, "scm") == {"p_forward": 0.02, "p_backward": 0.02}
    assert decision_of_settings(None, "scm") == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("p_forward = 2", "p_forward is 2"),
        ('direction = "up"', "direction: 'up' is not possible"),
        ("criterion = 3", "criterion is 3"),
        ("p_backward = nan", "p_backward is nan"),
        ("p_backwards = 0.1", "there is no search option 'p_backwards'"),
    ],
)
def test_impossible_decisions_are_named_with_their_place(line, message, tmp_path):
    path = tmp_path / "run1.toml"
    path.write_text(f'covariates = ["WT"]\n{line}\n')
    read = prepare_selection if "search option" in message else _decision
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        read(THEOPHYLLINE, settings_file=path)
    assert caught.value.location.line == 2


def _decision(model, settings_file):
    return decision_of_file(settings_file)


def test_the_report_is_json_too(tmp_path):
    report = tmp_path / "report.json"
    words = ["convert", str(FOLDER / "standard.scm"), "--to", "cossac", "--out", str(tmp_path / "out")]
    assert main([*words, "--report", str(report)]) == 0
    entries = json.loads(report.read_text())["entries"]
    assert {e["kind"] for e in entries} == {"lossless", "rule"}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["standard.R", "standard.json"]


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        for each, target in PAIRS:
            expected_folder(each, target).mkdir(parents=True, exist_ok=True)
            for file_name, content in written_files(each, target).items():
                (expected_folder(each, target) / file_name).write_text(content, encoding="utf-8")
