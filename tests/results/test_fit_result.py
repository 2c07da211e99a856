"""The result as a user of Python meets it."""

from tests.helpers.results import make_result


def test_estimates_come_as_a_table_indexed_by_name():
    result = make_result()
    frame = result.to_frame()
    assert list(frame.index) == [e.name for e in result.estimates]
    assert frame.loc["THETA(1)", "value"] == result.estimates[0].value
    assert {"label", "init", "fixed", "standard_error"} <= set(frame.columns)
