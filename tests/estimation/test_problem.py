"""A problem is refused where a subject has no typical value, and says which."""

import numpy as np
import pytest

import nlmevae
from nlmevae.errors import DataError
from tests.helpers.cases import stage


def test_a_subject_no_if_branch_applies_to_is_named(tmp_path):
    stream, _ = stage("theophylline_base", tmp_path)
    text = stream.read_text().replace(
        "  V  = THETA(3)*EXP(ETA(3))",
        "  IF (SEX.EQ.2) TVV = THETA(3)\n  IF (SEX.EQ.1) TVV = THETA(3)*1.1\n  V  = TVV*EXP(ETA(3))",
    )
    assert "TVV" in text
    stream.write_text(text)
    with pytest.raises(DataError, match="V has no value for subject") as caught:
        nlmevae.fit(stream)
    assert caught.value.location is not None
    assert "IF branch" in caught.value.hint


def test_one_subject_is_fitted_with_a_warning(tmp_path):
    stream, case = stage("theophylline_base", tmp_path)
    data = tmp_path / case.data.name
    rows = data.read_text().splitlines()
    data.write_text("\n".join([rows[0], *(r for r in rows if r.startswith("1,"))]) + "\n")
    result = nlmevae.fit(stream)
    assert np.isfinite(result.minus_two_ll)
    assert any("one subject" in w for w in result.warnings)
