from __future__ import annotations

import random

import pytest

from nlmevae.errors import ModelSyntaxError
from nlmevae.frontends.nonmem.records import decode, printable, read_source, source_text, split_records
from tests.helpers.control_streams import ACCEPTED, REJECTED


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("path", ACCEPTED + REJECTED, ids=lambda p: p.stem)
def test_splitting_and_joining_gives_back_every_byte(path):
    source = read_source(path)
    try:
        stream = split_records(source)
    except ModelSyntaxError:
        assert path.stem == "unknown_record"
        return
    assert encoded(stream.join()) == path.read_bytes()
    assert all(a.end == b.start for a, b in zip(stream.records, stream.records[1:], strict=False))


def test_the_fixtures_hold_the_line_ends_and_encodings_they_are_for():
    content = {path.stem: path.read_bytes() for path in ACCEPTED}
    assert content["crlf"].count(b"\r\n") == content["crlf"].count(b"\n") > 10
    assert b"\xb5g/L" in content["latin1"]
    assert content["utf8"].startswith(b"\xef\xbb\xbf")
    assert not content["no_final_newline"].endswith(b"\n")
    assert b"\t" in content["tabs"]


def test_random_bytes_between_records_survive():
    generator = random.Random(3)
    for _ in range(200):
        noise = bytes(generator.randrange(256) for _ in range(40)).replace(b"$", b" ")
        content = noise + b"\n$PROB a" + noise + b"\r\n  $pk\n" + noise
        stream = split_records(source_text(decode(content), "x"))
        assert encoded(stream.join()) == content
        assert [r.name for r in stream.records] == ["PROBLEM", "PK"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("$PROB", "PROBLEM"), ("$PROBLEM", "PROBLEM"), ("$est", "ESTIMATION"), ("$ESTM", "ESTIMATION"),
        ("$ESTIMATE", "ESTIMATION"), ("$SUBS", "SUBROUTINES"), ("$SUBROUTINE", "SUBROUTINES"), ("$COV", "COVARIANCE"),
        ("$OMEGA", "OMEGA"), ("$OMEGAP", "OMEGAP"), ("$OME", "OMEGA"), ("$ABBR", "ABBREVIATED"), ("$DES", "DES"),
        ("$DESIGN", "DESIGN"), ("$PRE", "PRED"), ("$PRI", "PRIOR"), ("$SIML", "SIMULATION"), ("$PK", "PK"),
        ("$THETA", "THETA"), ("$ERR", "ERROR"), ("$TAB", "TABLE"), ("$MOD", "MODEL"), ("$INP", "INPUT"),
    ],
)  # fmt: skip
def test_abbreviated_names_mean_their_record(written, name):
    assert split_records(source_text(f"{written} x\n", "x")).records[0].name == name


def test_two_letters_are_no_abbreviation():
    with pytest.raises(ModelSyntaxError, match=r"\$TH is not a NONMEM record"):
        split_records(source_text("$TH 1\n", "x"))


def test_a_file_without_records_is_refused():
    with pytest.raises(ModelSyntaxError, match="not a NONMEM control stream"):
        split_records(source_text("ID,TIME,DV\n1,2,3\n", "data.csv"))


def test_locations_count_from_one_and_show_the_line_with_tabs_as_blanks():
    source = source_text("a\r\nb\rc\n\tde f\n", "x")
    place = source.location(source.text.index("e f"), 3)
    assert (place.line, place.column, place.length, place.snippet) == (4, 3, 3, " de f")


def test_undecodable_bytes_are_shown_as_latin_1():
    assert printable(decode(b"\xb5g/L")) == "µg/L"
    assert printable(decode("µg/L".encode())) == "µg/L"


def test_a_record_may_have_two_names():
    records = split_records(source_text("$OPTDESIGN MODE=0\n$DEFAULTS NOSUB=1\n$COVR\n", "t.ctl")).records
    assert [record.name for record in records] == ["DESIGN", "DEFAULT", "COVARIANCE"]
