"""Edits leave what they do not name, and know where statements begin and end."""

import pytest

from nlmevae.frontends.nonmem.records import source_text
from nlmevae.writers.stream_edit import (
    Edit,
    apply_edits,
    assignment_text,
    has_sum,
    insert_lines,
    insertion,
    wrap_new_lines,
)


def test_edits_refer_to_the_text_before_any_of_them():
    edits = [insertion(3, "x"), Edit(0, 1, ""), insertion(3, "y")]
    assert apply_edits("abcdef", edits) == "bcxydef"
    with pytest.raises(ValueError, match="overlap"):
        apply_edits("abcdef", [Edit(0, 3, "x"), Edit(2, 4, "y")])


def test_an_assignment_ends_with_its_last_continuation_line():
    text = "$PK\n  CL = A & ; one\n\n    *B ; & two\nV = 1"
    source = source_text(text, "x.ctl")
    found = assignment_text(source, source.location(text.index("CL")))
    assert text[found.value : found.stop] == "A & ; one\n\n    *B"
    assert found.code.split() == ["CL", "=", "A", "*B"]
    last = assignment_text(source, source.location(text.index("V")))
    assert text[last.value : last.stop] == "1"


@pytest.mark.parametrize(
    ("code", "expected"),
    [("A*B", False), ("A + B", True), ("A*(B + C)", False), ("-A*B", False), ("1.E-3*A", False), ("EXP(A)-1", True)],
)
def test_sums_are_told_from_products(code, expected):
    assert has_sum(code) == expected


def test_lines_before_a_statement_take_its_indentation_and_line_end():
    text = "$PK\r\n\tCL = 1\r\n"
    edit = insert_lines(source_text(text, "x.ctl"), text.index("CL"), ["A = 1", "B = 2"])
    assert apply_edits(text, [edit]) == "$PK\r\n\tA = 1\r\n\tB = 2\r\n\tCL = 1\r\n"


def test_only_new_lines_are_wrapped_and_never_inside_a_number_or_a_power():
    old = "X = " + "A*" * 90 + "A"
    new = "Y = 1.5E-3" + "*B**2" * 40 + " ; done"
    wrapped = wrap_new_lines(f"{old}\n{new}\n", f"{old}\n")
    lines = wrapped.splitlines()
    assert lines[0] == old
    assert all(len(line) <= 160 for line in lines[1:])
    assert "".join(line.removesuffix(" &").strip() for line in lines[1:]) == new
    assert lines[1].endswith("*B**2 &")
    assert lines[2].startswith("  *B**2")
