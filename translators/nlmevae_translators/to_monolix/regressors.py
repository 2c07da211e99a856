"""Data items that the model file reads, as regressors.

NONMEM's value of a record holds from the record before up to it; Monolix's from the record on. A regressor for the code
that holds over time ($PK, $DES) therefore has the value of the next record; one for $ERROR has the record's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nlmevae.ir import Symbol
from nlmevae_translators.to_monolix.names import Names
from nlmevae_translators.to_monolix.source_data import SourceData


@dataclass(slots=True)
class Regressors:
    """`columns`: name -> (data item, whether it has the value of the next record)."""

    data: SourceData
    names: Names
    columns: dict[str, tuple[str, bool]] = field(default_factory=dict)

    def symbol(self, item: str, *, ahead: bool, wanted: str = "") -> Symbol:
        """The regressor of a data item; `ahead`: for code that holds over time; `wanted`: another name than its."""
        item = self.data.canonical[item]
        key = item, ahead and item not in self.data.constant_items
        for name, known in self.columns.items():
            if known == key:
                return Symbol(name)
        name = self.names.fresh(wanted or (f"{item}_NEXT" if key[1] else item))
        self.columns[name] = key
        return Symbol(name)

    def keep(self, read: frozenset[str]) -> None:
        """Forget those that nothing reads."""
        self.columns = {name: key for name, key in self.columns.items() if name in read}

    @property
    def moving(self) -> bool:
        """Some change within a subject."""
        return any(item not in self.data.constant_items for item, _ in self.columns.values())

    def values(self, name: str, replaced: dict[str, np.ndarray]) -> np.ndarray:
        """(n_rows,) in the order of the records. `replaced`: items whose values the predictions read otherwise."""
        item, ahead = self.columns[name]
        own = replaced.get(item, self.data.values(item))
        if not ahead:
            return own
        subject = self.data.subject
        following = np.append(own[1:], own[-1:])
        last = np.append(subject[1:] != subject[:-1], True)
        return np.where(last, own, following)
