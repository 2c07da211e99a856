"""A model that has met its data."""

from __future__ import annotations

from dataclasses import dataclass

from nlmevae.data.dataset import Dataset
from nlmevae.data.events import EventTable
from nlmevae.ir import Diagnostic, Model


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """A model with its data, checked against each other; nothing is compiled yet.

    `diagnostics` are the model's, the data's, and those of the two together."""

    model: Model
    dataset: Dataset
    table: EventTable
    diagnostics: tuple[Diagnostic, ...]
