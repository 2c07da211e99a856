"""Numba gets a folder it can write to, whatever the machine looks like."""

import os
from pathlib import Path

from nlmevae.decoder import kernel_cache


def test_a_read_only_package_and_home_get_a_temporary_folder(monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(kernel_cache, "_writable", lambda folder: False)
    kernel_cache.ensure_kernel_cache()
    assert Path(os.environ["NUMBA_CACHE_DIR"]).name.startswith("nlmevae-kernels")


def test_a_folder_the_user_chose_stays(monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "chosen")
    monkeypatch.setattr(kernel_cache, "_writable", lambda folder: False)
    kernel_cache.ensure_kernel_cache()
    assert os.environ["NUMBA_CACHE_DIR"] == "chosen"


def test_nothing_changes_where_the_package_folder_can_be_written(monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(kernel_cache, "_writable", lambda folder: True)
    kernel_cache.ensure_kernel_cache()
    assert "NUMBA_CACHE_DIR" not in os.environ
