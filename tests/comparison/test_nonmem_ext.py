"""Tables of NONMEM's layouts, written by hand; the real one of the pharmpy wheel is in tests/test_at_parameters.py."""

import pytest

from nlmevae.comparison.nonmem_ext import final_estimates, read_ext
from nlmevae.errors import DataError

FOCE = "First Order Conditional Estimation with Interaction"
TITLE = "TABLE NO. {n:5d}: {method}: Goal Function=MINIMUM VALUE OF OBJECTIVE FUNCTION: Problem={problem} Subproblem=0"
HEADER = ["ITERATION", "THETA1", "THETA2", "SIGMA(1,1)", "OMEGA(1,1)", "OMEGA(2,1)", "OMEGA(2,2)", "OBJ"]
VALUES = [0.004, 1.5, 0.013, 0.029, 0.001, 0.028, 586.25]


def table(*, n=1, method=FOCE, problem=1, header=HEADER, values=VALUES, separator=None, title=True, final=True):
    """One table with an iteration and the final row; blanks as NONMEM's default FORMAT writes them."""
    rows = [[0, *(2 * v for v in values)], *([[-1000000000, *values]] if final else [])]
    rows += [[-1000000006, *([0.0] * len(values))]]
    if separator is None:
        lines = ["".join(f" {name:<12}" for name in header)]
        lines += [f"{row[0]:13d}" + "".join(f" {v:12.5E}" for v in row[1:]) for row in rows]
    else:
        lines = [separator.join(header)]
        lines += [separator.join([str(row[0]), *(f"{v:.6E}" for v in row[1:])]) for row in rows]
    head = [TITLE.format(n=n, method=method, problem=problem)] if title else []
    return "\n".join([*head, *lines]) + "\n"


def written(tmp_path, text):
    path = tmp_path / "run1.ext"
    path.write_text(text)
    return path


def test_the_final_row_is_read_by_name(tmp_path):
    given = final_estimates(written(tmp_path, table()))
    assert given.values == {
        "THETA(1)": 0.004,
        "THETA(2)": 1.5,
        "SIGMA(1,1)": 0.013,
        "OMEGA(1,1)": 0.029,
        "OMEGA(2,1)": 0.001,
        "OMEGA(2,2)": 0.028,
    }
    assert given.objective == 586.25
    assert FOCE in given.source
    assert "table 1" in given.source


@pytest.mark.parametrize("separator", [None, ",", ", ", "\t"])
def test_separators_and_the_order_of_columns_do_not_matter(tmp_path, separator):
    order = [0, 3, 6, 4, 5, 2, 1, 7]
    header = [HEADER[k] for k in order]
    values = [VALUES[k - 1] for k in order[1:]]
    shuffled = final_estimates(written(tmp_path, table(header=header, values=values, separator=separator)))
    assert shuffled.values == pytest.approx(final_estimates(written(tmp_path, table())).values)
    assert shuffled.objective == 586.25


def test_the_last_estimation_counts_unless_a_table_is_named(tmp_path):
    second = table(n=2, method="Objective Function Evaluation by Importance Sampling", values=[v + 1 for v in VALUES])
    path = written(tmp_path, table() + second)
    assert [t.number for t in read_ext(path)] == [1, 2]
    assert final_estimates(path).objective == 587.25
    assert final_estimates(path, table=1).objective == 586.25


def test_tables_of_designs_and_of_later_problems_are_not_taken_by_default(tmp_path):
    design = table(n=2, method=f"{FOCE}: D-OPTIMALITY", values=[v + 1 for v in VALUES])
    later = table(n=3, problem=2, values=[v + 2 for v in VALUES])
    path = written(tmp_path, table() + design + later)
    assert final_estimates(path).objective == 586.25
    assert final_estimates(path, table=3).objective == 588.25


def test_a_file_without_titles_is_read(tmp_path):
    tables = read_ext(written(tmp_path, table(title=False) + table(title=False)))
    assert [t.number for t in tables] == [1, 2]


@pytest.mark.parametrize(("label", "value"), [("SAEMOBJ", 1.0), ("MCMCOBJ", 2.0)])
def test_objectives_of_other_methods_are_no_parameters(tmp_path, label, value):
    header, values = [*HEADER[:-1], label], [*VALUES[:-1], value]
    given = final_estimates(written(tmp_path, table(header=header, values=values)))
    assert given.objective == value
    assert label not in given.values


def test_windows_line_ends_and_fortran_exponents_are_numbers(tmp_path):
    text = table().replace("E-03", "D-03").replace("\n", "\r\n")
    assert final_estimates(written(tmp_path, text)).values["THETA(1)"] == 0.004


BAD = {
    "no row -1000000000": (table(final=False), "has no row -1000000000"),
    "nothing": ("", "no table"),
    "no header": (table().split("\n", 2)[0] + "\n" + table().split("\n", 2)[2], "before the line ITERATION"),
    "a word among the numbers": (table().replace("5.86250E+02", "abc"), "not a row of numbers"),
    "a row that is too short": (table().replace(" 5.86250E+02", ""), "numbers for 8 columns"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_ext_file_stops_with_a_sentence(tmp_path, case):
    text, words = BAD[case]
    with pytest.raises(DataError, match=words) as caught:
        final_estimates(written(tmp_path, text))
    assert caught.value.hint


def test_a_table_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(DataError, match="no table 7") as caught:
        final_estimates(written(tmp_path, table()), table=7)
    assert "1" in caught.value.hint


def test_a_missing_file_stops(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_ext(tmp_path / "none.ext")
