import pytest

from nlmevae.diagnostics.design_text import cell_text


@pytest.mark.parametrize("value", [0.1, 1e-7, 123456789.123, -3.0, 1e20])
def test_numbers_of_the_design_are_read_back_bit_for_bit(value):
    assert float(cell_text(value)) == value


def test_whole_and_missing_numbers_look_as_in_the_data_file():
    assert [cell_text(70.0), cell_text(-1.0), cell_text(0.0, missing=True)] == ["70", "-1", "."]
