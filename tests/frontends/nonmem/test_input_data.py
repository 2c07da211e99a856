from __future__ import annotations

import pytest

from nlmevae.errors import SemanticError, UnsupportedError
from tests.helpers.control_streams import accepted, lower


def test_columns_keep_their_order_with_roles_and_synonyms():
    columns = [(c.name, c.role, c.synonym) for c in accepted("input_commas").data.columns]
    assert columns == [
        ("ID", "id", None),
        ("TIME", "time", None),
        ("AMT", "amt", None),
        ("DV", "dv", "CONC"),
        ("EVID", "evid", None),
        ("MDV", "mdv", None),
        ("DOSE", "covariate", "AMTX"),
        ("C", "drop", None),
        ("SKIP", "drop", None),
        ("CMT", "drop", None),
        ("DATE", "date", None),
    ]


def test_filters_and_options_of_the_data_record_are_read():
    data = accepted("input_commas").data
    assert data.path == "my data.csv"
    assert data.ignore_character == "#"
    assert [(f.column, f.operator, f.value, f.numeric) for f in data.ignore] == [
        ("ID", "==", "3", False),
        ("CMT", "!=", "2", False),
        ("EVID", "==", "1", False),
    ]
    assert [(f.column, f.operator, f.value, f.numeric) for f in data.accept] == [
        ("TIME", "<", "24", True),
        ("DOSE", "==", "100", False),
        ("DV", "==", "5", True),
    ]
    assert data.null_value == 0.0
    assert data.records == 500


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("d.csv IGNORE=@", "@"), ("d.csv ignore=C", "C"), ("d.csv IGN='#'", "#"), ('"d.csv" IGNORE="@"', "@"),
        ("d.csv IGNORE @", "@"), ("d.csv", None), ("d.csv IGNORE=@,IGNORE=@", "@"),
    ],
)  # fmt: skip
def test_the_ignore_character_is_read_in_all_its_spellings(text, character):
    data = lower(DATA=text).data
    assert data.ignore_character == character
    assert data.path == "d.csv"
    assert data.ignore == ()


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("WT.EQ.70", ("==", "70", False)), ("WT.EQN.70", ("==", "70", True)), ("WT==70", ("==", "70", False)),
        ("WT=70", ("==", "70", False)), ("WT 70", ("==", "70", False)), ("WT.NEN.-9.9", ("!=", "-9.9", True)),
        ("WT/=70", ("!=", "70", False)), ("WT.GE.1E2", (">=", "1E2", True)), ("WT < .5", ("<", ".5", True)),
        ("WT.NE.'NA'", ("!=", "NA", False)), ('WT.NE."."', ("!=", ".", False)), ("wt .gt. 7", (">", "7", True)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["IGNORE=({})", "IGNORE({})", "IGNORE ({})", "ACCEPT=( {} )"])
def test_conditions_are_read_in_all_their_spellings(condition, expected, form):
    data = lower(DATA=f"d.csv {form.format(condition)}").data
    (found,) = data.ignore + data.accept
    assert (found.column, found.operator, found.value, found.numeric) == ("WT", *expected)
    assert bool(data.accept) == form.startswith("ACCEPT")


def test_lists_add_up_and_may_span_lines():
    data = lower(DATA="d.csv IGNORE=@ IGNORE=(ID.EQ.1,\n ID.EQ.2) ; why\n IGNORE=(ID.EQ.3)").data
    assert [f.value for f in data.ignore] == ["1", "2", "3"]
    assert data.ignore[2].at.line == 5


def test_the_synonym_is_another_name_of_the_same_item():
    model = accepted("lower_case")
    assert {c.name for c in model.data.columns} >= {"WT"}
    assert "WT" in model.program.pk[0].value.names()
    assert "BWT" not in model.program.pk[0].value.names()


def test_the_reserved_name_is_the_one_that_is_kept():
    assert [(c.name, c.synonym) for c in accepted("mu_referenced").data.columns][3] == ("DV", "LNDV")


def test_several_input_records_are_one():
    source = lower(INPUT="ID TIME DV\n$INPUT WT SEX AMT")
    assert [c.name for c in source.data.columns] == ["ID", "TIME", "DV", "WT", "SEX", "AMT"]


def test_a_condition_may_name_a_dropped_column():
    data = lower(INPUT="ID TIME DV C=DROP", DATA="d.csv IGNORE=(C.EQ.x)").data
    assert data.ignore[0].column == "C"


def test_two_ignore_characters_are_refused():
    with pytest.raises(SemanticError, match="two characters"):
        lower(DATA="d.csv IGNORE=@ IGNORE=#")


@pytest.mark.parametrize("option", ["REPL=2", "PRED_IGNORE_DATA", "TRANSLATE=(TIME/24)", "MISDAT=-99"])
def test_options_that_change_the_records_are_refused(option):
    with pytest.raises(UnsupportedError, match=option.partition("=")[0]):
        lower(DATA=f"d.csv {option}")


@pytest.mark.parametrize("item", ["REPL_", "L1"])
def test_items_that_change_what_a_record_does_are_refused_unless_dropped(item):
    with pytest.raises(UnsupportedError, match=item):
        lower(INPUT=f"ID TIME DV {item}")
    assert lower(INPUT=f"ID TIME DV {item}=DROP").data.columns[3].role == "drop"


@pytest.mark.parametrize("item", ["RPT_", "XVID1", "XVID5", "L2", "CALL", "CONT", "REPEAT=RPT_"])
def test_items_that_may_ask_for_nothing_have_a_role_of_their_own(item):
    column = lower(INPUT=f"ID TIME DV {item}").data.columns[3]
    assert (column.role, column.name) == ("inert", item.rpartition("=")[2])


def test_code_that_drops_records_is_refused():
    with pytest.raises(UnsupportedError, match="PRED_IGNORE_DATA"):
        lower(PRED="\nIF (WT.GT.90) PRED_IGNORE_DATA = 1\nY = THETA(1) + ETA(1) + EPS(1)\n")
