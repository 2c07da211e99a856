from __future__ import annotations

import pytest

from nlmevae.errors import ModelSyntaxError
from nlmevae.frontends.monolix.text.split import is_colon_project, read_text, split_blocks, without_comments
from nlmevae.frontends.nonmem.records import source_text


def headings(text: str) -> list[tuple[str, str, str]]:
    return [(b.tag, b.section, b.label) for b in split_blocks(source_text(text, "p.mlxtran"))][1:]


def test_tags_sections_and_labels_nest():
    text = "<MODEL>\n[INDIVIDUAL]\nDEFINITION:\n[LONGITUDINAL] PK: x=1\n<FIT>\ndata=y\n"
    assert headings(text) == [
        ("MODEL", "", ""),
        ("MODEL", "INDIVIDUAL", ""),
        ("MODEL", "INDIVIDUAL", "DEFINITION"),
        ("MODEL", "LONGITUDINAL", ""),
        ("MODEL", "LONGITUDINAL", "PK"),
        ("FIT", "", ""),
    ]


def test_blocks_and_their_headings_hold_the_whole_text():
    text = "; head\n<MODEL> ; c\n[LONGITUDINAL] input = {V}\r\nPK: x = 1\r\rOUTPUT:\noutput=x"
    blocks = split_blocks(source_text(text, "p.mlxtran"))
    assert "".join(text[b.head : b.end] for b in blocks) == text
    assert [b.text.strip() for b in blocks] == ["; head", "; c", "input = {V}", "x = 1", "output=x"]


def test_comments_become_blanks_and_nothing_moves():
    text = "a = 'x;y' ; it's\nb = \"z;\" ;; c\r\n; d\rc = 'open ; e\n"
    clean = without_comments(text)
    assert clean == "a = 'x;y'       \nb = \"z;\"     \r\n   \rc = 'open    \n"
    assert len(clean) == len(text)


def test_a_description_ends_at_a_heading_or_at_input():
    text = "DESCRIPTION: <b> [x] NOTE: it's\nVersion 2:\ninput = {V}\nPK:\n"
    assert headings(text) == [("", "", "DESCRIPTION"), ("", "", ""), ("", "", "PK")]


def test_a_comparison_at_the_beginning_of_a_line_is_no_tag():
    assert headings("[LONGITUDINAL]\nEQUATION:\nif a\n< b\nend\n") == [
        ("", "LONGITUDINAL", ""),
        ("", "LONGITUDINAL", "EQUATION"),
    ]


def test_an_unknown_tag_stops_at_its_place():
    with pytest.raises(ModelSyntaxError) as caught:
        headings("<MODEL>\n  <DESIGN>\n")
    assert (caught.value.location.line, caught.value.location.column) == (2, 3)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfa", "a"),
        ("é".encode(), "é"),
        (b"\xe9", "é"),
        (b"\x93x\x94", "“x”"),
        (b"\x81", "\ufffd"),
        (b"", ""),
    ],
)
def test_encodings(tmp_path, content, text):
    path = tmp_path / "p.mlxtran"
    path.write_bytes(content)
    assert read_text(path).text == text


def test_projects_of_monolix_4_are_known_by_their_labels():
    assert is_colon_project("DATA:\n\nSTRUCTURAL_MODEL: file='x'")
    assert not is_colon_project("<MODEL>\n; STRUCTURAL_MODEL:\n")
