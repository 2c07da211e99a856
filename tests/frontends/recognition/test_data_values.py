"""What code computes from data items alone, against the slow evaluator."""

from __future__ import annotations

import numpy as np

from nlmevae.frontends.recognition.data_values import data_values, negated
from nlmevae.frontends.recognition.endpoints import condition_of, deciding, text_of
from nlmevae.ir.evaluate import evaluate, run
from tests.helpers.code_models import expression, statements

ITEMS = frozenset({"DVID", "BLQ", "DV", "LLOQ"})
CODE = """LOQ=0.1
IF (DVID.EQ.2) LOQ=LLOQ*2
IF (F.GT.0) THEN
X=1
ELSE
X=2
ENDIF
FLAG=0
IF (DV.LT.LOQ) FLAG=1
IF (FLAG.EQ.1) THEN
Y=LOQ-F
ELSE
Y=F
ENDIF"""


def test_variables_of_data_items_are_written_out_in_them():
    found = data_values(statements(CODE), ITEMS)
    rng = np.random.default_rng(0)
    items = {name: rng.integers(0, 4, 50).astype(float) for name in sorted(ITEMS)}
    after = run(statements(CODE), {**items, "F": np.ones(50)})
    for name in ("LOQ", "FLAG"):
        np.testing.assert_array_equal(evaluate(found.known[name], items), after[name])
    assert found.known["X"] is None
    assert found.known["Y"] is None


def test_conditions_are_those_on_data_items_each_once():
    found = data_values(statements(CODE), ITEMS)
    assert [text_of(c) for c in found.conditions] == [
        "DVID == 2",
        "DV < ((LLOQ * 2) if DVID == 2 else 0.1)",
        "(1 if DV < ((LLOQ * 2) if DVID == 2 else 0.1) else 0) == 1",
    ]
    assert "(LLOQ * 2)" in [text_of(e) for e in found.expressions]


def test_a_variable_some_records_do_not_assign_is_not_known():
    assert data_values(statements("IF (DVID.EQ.1) A=1"), ITEMS).known["A"] is None


def test_negation_turns_comparisons_around():
    texts = {"DV.LT.1": "DV >= 1", "DV.EQ.1": "DV != 1", "DV.GE.1": "DV < 1"}
    assert {code: text_of(negated(expression(code))) for code in texts} == texts
    both = expression("DV.LT.1.AND.BLQ.EQ.1")
    assert text_of(negated(both)) == "not (DV < 1 and BLQ == 1)"
    assert negated(negated(both)) == both


def test_the_fewest_conditions_that_tell_records_apart():
    truths = [(True, True, False), (False, True, False), (True, False, True), (False, False, True)]
    assert deciding(truths, [0, 0, 1, 1]) == [1]
    assert deciding(truths, [0, 1, 0, 1]) == [0]
    assert deciding(truths, [0, 1, 2, 3]) == [0, 1]
    assert deciding(truths, [0, 0, 1, 1], needed=(2,)) == [2]


def test_conditions_of_labels_say_no_more_than_they_must():
    conditions = [expression("DVID.EQ.1"), expression("DVID.EQ.2"), expression("BLQ.EQ.1")]
    truths = [(True, False, False), (True, False, True), (False, True, False), (False, False, False)]
    labels = [0, 1, 2, 3]
    kept = deciding(truths, labels)
    texts = [text_of(condition_of(conditions, truths, labels, k, kept)) for k in labels]
    assert texts == ["DVID == 1 and BLQ != 1", "BLQ == 1", "DVID == 2", "DVID != 1 and DVID != 2"]
    assert condition_of(conditions, truths, [0] * 4, 0, []) is None
