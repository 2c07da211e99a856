"""The on-disk cache of machine code."""

from __future__ import annotations

import os

import numpy as np
import pytest

from nlmevae.codegen import link_llvm
from nlmevae.codegen.batch_llvm import link_batch
from nlmevae.codegen.graph import Function, Graph


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NLMEVAE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def double(value=2.0):
    graph = Graph()
    node = graph.mul(graph.constant(value), graph.input("a"))
    return Function(name="f", graph=graph, inputs=("a",), outputs=(("y", node),))


def evaluate(function):
    return link_batch(function)(np.array([[1.0, 2.0, 3.0]]))[0][0]


def count_compilations(monkeypatch):
    calls = []
    compile_ir = link_llvm._compile
    monkeypatch.setattr(link_llvm, "_compile", lambda ir: calls.append(ir) or compile_ir(ir))
    return calls


def test_a_known_model_is_not_compiled_again(folder, monkeypatch):
    calls = count_compilations(monkeypatch)
    first, second = evaluate(double()), evaluate(double())
    np.testing.assert_array_equal(first, [2.0, 4.0, 6.0])
    np.testing.assert_array_equal(second, first)
    assert len(calls) == 1
    assert len(list(folder.iterdir())) == 1


def test_another_model_has_its_own_entry(folder, monkeypatch):
    calls = count_compilations(monkeypatch)
    np.testing.assert_array_equal(evaluate(double(3.0)), [3.0, 6.0, 9.0])
    np.testing.assert_array_equal(evaluate(double(4.0)), [4.0, 8.0, 12.0])
    assert len(calls) == 2


def test_a_damaged_entry_is_replaced(folder, monkeypatch):
    evaluate(double())
    [entry] = folder.iterdir()
    entry.write_bytes(entry.read_bytes()[:-7])
    calls = count_compilations(monkeypatch)
    np.testing.assert_array_equal(evaluate(double()), [2.0, 4.0, 6.0])
    assert len(calls) == 1
    evaluate(double())
    assert len(calls) == 1


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("NLMEVAE_CACHE_DIR", str(blocked / "cache"))
    np.testing.assert_array_equal(evaluate(double()), [2.0, 4.0, 6.0])
    assert os.listdir(tmp_path) == ["file"]
