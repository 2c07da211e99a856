"""A short, seeded run of the fuzzer (tests/benchmarks/fuzz_control_streams.py), and what longer ones have found."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from nlmevae.errors import ModelError
from tests.benchmarks.fuzz_control_streams import Corpus, defect, fixture_corpus, found_defects, mutant
from tests.helpers.control_streams import lower

MUTANTS = 500


def test_changed_streams_are_read_or_refused():
    kinds: Counter[str] = Counter()
    for wrong, text in found_defects(fixture_corpus(), np.random.default_rng(20), MUTANTS, seconds=60.0):
        kinds[f"{wrong}\n{text}"] += 1
    assert not kinds, "\n".join(kinds)


def test_the_changes_are_many_and_repeatable():
    corpus = fixture_corpus()
    texts = [mutant(corpus, np.random.default_rng(k)) for k in range(200)]
    assert len(set(texts)) > 190
    assert len(set(texts) - set(corpus.texts)) > 150
    assert texts == [mutant(corpus, np.random.default_rng(k)) for k in range(200)]


def test_a_defect_is_seen(monkeypatch):
    def broken(text, path):
        raise ZeroDivisionError

    monkeypatch.setattr("tests.benchmarks.fuzz_control_streams.parse_control_stream", broken)
    corpus = Corpus(texts=("$PROBLEM a\n",), records=("$PK\n",), words=("A",))
    found = list(found_defects(corpus, np.random.default_rng(1), 3, seconds=60.0))
    assert len(found) == 3
    assert found[0][0].startswith("ZeroDivisionError")


@pytest.mark.parametrize("blank", ["\x0b", "\x1c", "\u2028", "\xa0"])
def test_a_blank_of_any_kind_separates_words(blank):
    assert [t.init for t in lower(THETA=f"1{blank}2 FIX").thetas] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ("OMEGA", "BLOCK(1E400) 0.1"),
        ("OMEGA", "BLOCK(1) SAME(99999999)"),
        ("OMEGA", "1E400"),
        ("THETA", "(0, 1E400)"),
        ("THETA", "INF"),
        ("THETA", "(0, 1)x99999999"),
        ("ABBREVIATED", "REPLACE CL=ETAETA(1)\n$PRED\nY = THETA(1)*EXP(ETA(1)) + CL + EPS(1)"),
    ],
)
def test_what_no_number_or_element_can_be_is_refused(record, text):
    records = {record: text}
    if record == "ABBREVIATED":
        records = {"DATA": f"data.csv\n$ABBREVIATED {text.split(chr(10))[0]}", "PRED": text.split("$PRED")[1]}
    with pytest.raises(ModelError) as caught:
        lower(**records)
    assert caught.value.location is not None
    assert caught.value.hint


def test_another_text_than_the_users_is_a_defect(monkeypatch):
    """Streams of the fixtures are written back as they are; the check sees where they are not."""
    texts = fixture_corpus().texts[:5]
    assert [defect(text) for text in texts] == [""] * 5
    monkeypatch.setattr(
        "tests.benchmarks.fuzz_control_streams.selected_control_stream",
        lambda model, effects: SimpleNamespace(text=f"{model.source.text} "),
    )
    assert {defect(text) for text in texts} == {"written without effects: another text"}
