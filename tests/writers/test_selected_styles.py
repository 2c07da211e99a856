"""One model in 200 styles of writing: each gets its effects in its own style, and every other byte stays."""

import dataclasses
import difflib
import re

import pytest

from nlmevae.frontends.nonmem.read import parse_control_stream
from nlmevae.writers.selected_control_stream import selected_control_stream
from nlmevae.writers.stream_estimates import stream_at
from tests.helpers.stream_styles import Style, stream_text, styles
from tests.writers.test_selected_control_stream import (
    assert_states_selected_model,
    categorical,
    exponential,
    is_subsequence,
    power,
)

STYLES = styles(200)
#: The quick ones; the others are run with -m slow.
SOME = STYLES[::8]
EFFECTS = (power("CL", "WT"), categorical("V", "SEX", 1.0, missing=-99.0), exponential("V", "AGE"))


def check(style: Style) -> None:
    text = stream_text(style)
    model = parse_control_stream(text, "folder/run1.ctl")
    written = selected_control_stream(model, EFFECTS)
    assert_states_selected_model(model, written, EFFECTS)
    assert_other_bytes_stay(text, written.text)
    assert_style(style, written.text)
    moved = [t.init * 1.07 for t in written.model.thetas]
    assert_estimates(written.text, written.model, moved)


def assert_other_bytes_stay(old: str, new: str) -> None:
    """Lines with their ends: none is lost, three at most get something inserted, and the order stays."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    changed = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        assert kind != "delete"
        if kind == "replace":
            left = list(before[a:b])
            for line in after[c:d]:
                if left and is_subsequence(left[0].rstrip("\r\n"), line):
                    changed.append(left.pop(0))
            assert left == []
    assert len(changed) <= 5
    ends = {line[len(line.rstrip("\r\n")) :] for line in after[:-1]}
    assert len(ends) == 1
    assert new.endswith("\n") == old.endswith("\n") or old.endswith(")")  # a THETA may be what the text ends with


def assert_style(style: Style, text: str) -> None:
    """Letter case of code, the style of $THETA's labels."""
    new = [line.strip() for line in text.splitlines() if "0.31" in line]
    assert len(new) == 1
    wanted = {
        "numbered": ";3. CL_WT", "named": "CL_WT=0.31", "records": "; CL_WT", "lines": "; CL_WT", "units": "; CL_WT",
    }.get(style.thetas, "; CL_WT")  # fmt: skip
    labelled = style.thetas in ("numbered", "named", "records", "lines", "units")
    assert wanted.lower() in new[0] if style.case == "lower" and labelled else wanted in new[0]
    code = "THETA(CL_WT)" if style.thetas == "named" else "THETA(3)"
    assert (code.lower() if style.case == "lower" else code) in text


def assert_estimates(text: str, model, values) -> None:
    thetas = tuple(dataclasses.replace(t, init=v) for t, v in zip(model.thetas, values, strict=True))
    target = dataclasses.replace(model, thetas=thetas)
    written, _ = stream_at(text, model.source.path, target)
    read = parse_control_stream(written, model.source.path)
    assert [t.init for t in read.thetas] == pytest.approx(values, rel=1e-5)
    assert all_but_estimates(read) == all_but_estimates(model)
    digits = re.compile(r"[\d.E+-]+")
    assert digits.sub("", _written_out(written)) == digits.sub("", _written_out(text))


def all_but_estimates(model):
    return (model.fingerprint, [(t.label, t.lower, t.upper, t.fixed) for t in model.thetas], model.omega, model.sigma)


def _written_out(text: str) -> str:
    """(0,4)x2 as two."""
    return re.sub(r"(\([^()]*\))x2", r"\1 \1", text)


@pytest.mark.parametrize("style", SOME, ids=str)
def test_a_style_gets_its_effects_in_that_style_and_nothing_else_changes(style):
    check(style)


@pytest.mark.slow
@pytest.mark.parametrize("style", [s for s in STYLES if s not in SOME], ids=str)
def test_so_do_all_the_others(style):
    check(style)
