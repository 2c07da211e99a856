import pytest

from nlmevae.errors import SemanticError
from nlmevae.ir import SimulationRequest, TableFormat, TableRequest
from tests.helpers.control_streams import accepted, lower


def table(text: str, **records: str) -> TableRequest:
    (request,) = lower(SIGMA=f"0.04\n$TABLE {text}", **records).tables
    return request


def test_columns_keep_their_order_and_etas_are_spelled_out():
    first, second = accepted("kept_records").tables
    assert first.file == "sd tab1"
    assert [label for _, label in first.columns] == ["ID", "TIME", "ETA1", "CL", "CWRES"]
    assert (first.append, first.header, first.records) == (True, "one", "all")
    assert second.columns == (("ID", "ID"), ("ETA(1)", "ETA1"), ("CL", "CLI"))
    assert (second.append, second.header, second.records) == (False, "pages", "first")


@pytest.mark.parametrize("text", ["ETA1", "ETA(1)", "ETAS(1:LAST)", "ETAS(1 TO LAST)", "ETAS(1:1)", "etas(1:last)"])
def test_every_spelling_of_an_eta_is_the_same(text):
    assert table(text).columns == (("ETA(1)", "ETA1"),)


def test_an_eta_that_does_not_exist_is_refused_at_its_place():
    with pytest.raises(SemanticError, match=r"ETA\(2\)") as caught:
        table("ID ETA(2)")
    assert caught.value.location.column == 11


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FORMAT=s1PE11.4", TableFormat()),
        ("FORMAT=tF8.3", TableFormat(delimiter="\t", kind="F", width=8, decimals=3)),
        ("FORMAT=,1PE13.6", TableFormat(delimiter=",", width=13, decimals=6)),
        ("FORMAT=s1PE16.8:160", TableFormat(width=16, decimals=8)),
        ("FORMAT=sG12.5", TableFormat(kind="G", width=12, decimals=5)),
        ("ID", TableFormat()),
    ],
)
def test_formats(text, expected):
    request = table(text)
    assert request.format == expected
    assert request.unread == ()


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("NOAPPEND", "append", False), ("NOAPP", "append", False), ("ONEHEAD", "header", "one"),
        ("ONEHEADERALL", "header", "one"), ("NOHEADER", "header", "none"), ("NOTITLE", "title", False),
        ("NOLABEL", "labels", False), ("FIRST", "records", "first"), ("LASTONLY", "records", "last"),
        ("FIRSTLASTONLY", "records", "first_last"), ("ESAMPLE=1000", "samples", 1000), ("SEED=7", "seed", 7),
        ("WRESCHOL", "cholesky", True), ("OMITTED", "omitted", True), ("FILE=run1.tab", "file", "run1.tab"),
    ],
)  # fmt: skip
def test_options(text, field, value):
    request = table(f"ID {text}")
    assert getattr(request, field) == value
    assert request.columns == (("ID", "ID"),)


def test_a_variable_is_never_taken_for_an_abbreviated_option():
    request = table("FIR", PRED="\nFIR = TIME\nY = THETA(1) + ETA(1) + EPS(1)\n")
    assert (request.columns, request.records) == ((("FIR", "FIR"),), "all")


def test_options_that_are_not_acted_on_are_named():
    request = table("ID FORMAT=xyz LFORMAT=(A) BY TIME")
    assert request.unread == ("FORMAT=xyz", "LFORMAT=(A)", "BY TIME")
    assert request.columns == (("ID", "ID"),)
    notes = lower(SIGMA="0.04\n$TABLE ID BY TIME FILE=a").diagnostics
    assert [d.code for d in notes] == ["table-option"]


def test_a_table_without_a_file_is_noted():
    assert [d.code for d in lower(SIGMA="0.04\n$TABLE ID").diagnostics] == ["no-table-file"]


def test_synonyms_and_replacements_keep_the_label_that_was_written():
    request = table("CONC ETA_A", INPUT="ID TIME DV=CONC WT SEX AMT", ABBR="REPLACE ETA_A=ETA(1)")
    assert request.columns == (("DV", "CONC"), ("ETA(1)", "ETA_A"))


def test_simulation_has_seed_and_number():
    assert lower(SIGMA="0.04\n$SIM (7) SUBPROBLEMS=3").simulation == SimulationRequest(seed=7, n=3)
    assert lower(SIGMA="0.04\n$SIM (7 NEW) (8 UNIFORM) ONLY NSUB=3").simulation.only
    assert lower(SIGMA="0.04").simulation is None


def test_wres_is_a_column_and_wreschol_an_option():
    table = lower(TABLE="ID WRES NOAPPEND FILE=t").tables[0]
    assert [name for name, _ in table.columns] == ["ID", "WRES"]
    assert not table.cholesky
    assert lower(TABLE="ID WRES WRESCHOL FILE=t").tables[0].cholesky
