"""Garbage collection rests during the large imports, and only then."""

import gc
import sys

import pytest

from nlmevae.cli.engine import import_engine


def a_module(folder, monkeypatch, text: str) -> str:
    (folder / "engine_of_this_test.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "engine_of_this_test", raising=False)
    return "engine_of_this_test"


def test_garbage_collection_rests_during_the_import_and_works_again_after_it(tmp_path, monkeypatch):
    name = a_module(tmp_path, monkeypatch, "import gc\nworking = gc.isenabled()\n")
    import_engine(name)
    assert not sys.modules[name].working
    assert gc.isenabled()
    gc.unfreeze()


def test_it_works_again_after_an_import_that_failed(tmp_path, monkeypatch):
    name = a_module(tmp_path, monkeypatch, "import no_module_of_this_name\n")
    with pytest.raises(ModuleNotFoundError, match="no_module_of_this_name"):
        import_engine(name)
    assert gc.isenabled()


def test_what_was_imported_before_is_left_alone():
    before = gc.get_freeze_count()
    import_engine("gc")
    assert gc.get_freeze_count() == before
