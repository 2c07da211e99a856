from __future__ import annotations

import pytest

from nlmevae.errors import UnsupportedError
from nlmevae.frontends.monolix.read import read_project
from nlmevae.ir import Symbol
from tests.helpers.monolix_projects import project


def test_a_project_with_its_model_inline_is_read_whole():
    p = project()
    assert [(c.name, c.use) for c in p.data.columns] == [
        ("ID", "identifier"), ("TIME", "time"), ("AMT", "amount"), ("DV", "observation"),
    ]  # fmt: skip
    assert [d.typical for d in p.individual] == ["V_pop", "Cl_pop"]
    assert p.structural.inputs == ("V", "Cl")
    (macro,) = p.structural.macros
    assert (macro.name, dict(macro.arguments), macro.results) == (
        "pkmodel",
        {"v": Symbol("V"), "cl": Symbol("Cl")},
        ("Cc",),
    )
    assert (p.observations[0].error.kind, p.observations[0].error.a) == ("constant", "a")
    assert {v.name: v.value for v in p.parameters}["Cl_pop"] == 4
    assert p.settings["exportpath"] == "run1"
    assert p.diagnostics == ()


def test_settings_of_monolix_4_are_refused(tmp_path):
    with pytest.raises(UnsupportedError, match=r"\.xmlx"):
        read_project(tmp_path / "project.xmlx")
