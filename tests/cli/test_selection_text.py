"""What a user reads at the end of a selection."""

import dataclasses
import math
from pathlib import Path

from nlmevae.cli.selection_text import certificate_lines, selection_text
from tests.helpers.selection_results import effect, make_large_selection, make_selection

CERTIFICATE = make_selection().certificate


def block(result, title: str) -> list[str]:
    """Lines of the block that begins with `title`."""
    blocks = [b.split("\n") for b in selection_text(result, paths=()).split("\n\n")]
    return next(b for b in blocks if b[0].startswith(title))


def test_selected_effects_come_with_estimate_error_penalty_margin_and_frequency():
    rows = [line.split() for line in block(make_selection(), "Selected effects: 2 of 6")]
    assert rows[3] == ["KA~WT", "power", "KA_WT", "2.616", "0.900", "2.48", "2.41", "62", "%"]
    assert rows[4][-1] == "borderline"


def test_a_category_effect_has_a_row_per_coefficient_and_is_judged_once():
    race = dataclasses.replace(
        effect("CL", "RACE", beta=0.1, margin=7.0),
        coefficients=("CL_RACE_2", "CL_RACE_3"),
        beta=(0.1, -0.2),
        standard_error=(0.05, math.nan),
    )
    lines = block(make_selection(effects=(race,)), "Selected effects: 1 of 1")
    assert lines[3].split()[:2] == ["CL~RACE", "power"]
    assert lines[4].split() == ["CL_RACE_3", "-0.2000"]


def test_forced_effects_are_marked_and_have_no_margin():
    forced = effect("CL", "WT", beta=0.75, forced=True, margin=math.nan)
    line = block(make_selection(effects=(forced,)), "Selected effects")[3]
    assert line.split()[-1] == "forced"


def test_nothing_selected_is_said():
    effects = tuple(dataclasses.replace(e, selected=False) for e in make_selection().effects)
    assert block(make_selection(effects=effects), "No covariate effect was selected.")


def test_the_five_nearest_excluded_effects_are_listed_nearest_first():
    result = make_large_selection(6, 100, 9)
    lines = block(result, "Nearest of the effects that were not selected")
    nearest = sorted((e for e in result.effects if not e.selected), key=lambda e: e.margin)[:5]
    assert [line.split()[0] for line in lines[3:]] == [e.name for e in nearest]


def test_other_criteria_are_shown_by_what_they_would_change():
    lines = block(make_selection(), "Other criteria would select")
    assert [line.split(maxsplit=1) for line in lines[1:]] == [["aic", "also V~SEX"], ["lrt:0.01", "nothing"]]


def test_criteria_that_agree_are_one_sentence():
    result = make_selection(alternatives={"bicc": ("KA~WT", "V~WT"), "ebic": ("V~WT", "KA~WT")})
    assert block(result, "The other criteria (ebic) select the same effects.")


def test_exchangeable_effects_are_named():
    lines = block(make_selection(exchangeable=(("CL~WT", "CL~BMI"),)), "The data cannot tell the effects of one line")
    assert lines[1].strip() == "CL~WT, CL~BMI"


def test_the_proof_of_the_search_is_stated_without_jargon():
    assert certificate_lines(CERTIFICATE) == [
        "Search: 96 selection steps, every answer proven to be the best of all combinations "
        "(built-in comparison of all subsets).",
        "Audit: SCIP solved the last step again, independently, and agrees.",
    ]


def test_steps_without_proof_are_counted_with_what_could_be_missed():
    uncertified = dataclasses.replace(CERTIFICATE, n_uncertified=3, largest_gap=0.5234, audit="")
    (line,) = certificate_lines(uncertified)
    assert "in 3 of them" in line
    assert "at most 0.523 criterion units" in line


def test_an_audit_without_an_answer_says_so():
    lines = certificate_lines(dataclasses.replace(CERTIFICATE, audit_agrees=None))
    assert lines[1] == "Audit: SCIP did not finish; the last step is not confirmed."


def test_another_criterion_has_its_value_below_the_likelihoods():
    text = selection_text(make_selection(criterion="ebic", criterion_value=370.125), paths=())
    assert any(line.split() == ["Criterion", "ebic", "370.125"] for line in text.splitlines())


def test_the_files_are_listed_last():
    text = selection_text(make_selection(), paths=[Path("run1_selected.ctl"), Path("run1_selected.ext")])
    assert text.splitlines()[-2:] == ["Wrote run1_selected.ctl", "Wrote run1_selected.ext"]
