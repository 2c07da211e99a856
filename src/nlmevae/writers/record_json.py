"""Fit records as JSON, bit for bit."""

from __future__ import annotations

from typing import Any

from nlmevae.results.fit_record import FitRecord
from nlmevae.writers.results_json import number_from, plain

_NUMBERS = ("minus_two_ll", "mc_se", "seconds")
_LISTS = ("values", "standard_errors")
_NAMES = ("at_bound", "chosen", "labels")


def record_document(record: FitRecord) -> dict[str, Any]:
    """What is written."""
    return plain(record)


def record_from(document: dict[str, Any]) -> FitRecord:
    """What was written; KeyError, TypeError or ValueError if it is no record."""
    numbers = {name: number_from(document[name]) for name in _NUMBERS}
    lists = {name: tuple(map(number_from, document[name])) for name in _LISTS}
    names = {name: tuple(document[name]) for name in _NAMES}
    return FitRecord(**{**document, **numbers, **lists, **names})
