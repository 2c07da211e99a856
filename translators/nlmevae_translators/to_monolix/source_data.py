"""The data as the control stream reads them: which items change within a subject, and their values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nlmevae.data.event_table import dataset_rows, running_time
from nlmevae.data.roles import Rows
from nlmevae.ir import Expression, Model
from nlmevae.ir.evaluate import evaluate
from nlmevae.prepared_run import PreparedRun

#: Categorical covariates have at most so many categories.
MOST_CATEGORIES = 12


@dataclass(frozen=True)
class SourceData:
    """A model with its data.

    Attributes:
        occasion: (n_rows,) number of the occasion; None without variability between occasions.
        restarts: TIME of an occasion begins anew, as in the file.
    """

    run: PreparedRun
    occasion: np.ndarray | None = None
    restarts: bool = False

    @property
    def model(self) -> Model:
        return self.run.model

    @cached_property
    def rows(self) -> Rows:
        return dataset_rows(self.model, self.run.dataset)

    @cached_property
    def subject(self) -> np.ndarray:
        """(n_rows,) number of the subject from 0."""
        ptr = self.run.dataset.subject_ptr
        return np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))

    @cached_property
    def time(self) -> np.ndarray:
        """(n_rows,) TIME, which goes on where a reset sets it back unless it `restarts`; the rank within the subject
        where there is none."""
        if self.model.structural.compartments and not self.restarts:
            return running_time(self.model, self.rows, self.run.dataset)
        if self.rows.index("time") is not None:
            return self.rows.of("time")
        return (np.arange(len(self.subject)) - self.run.dataset.subject_ptr[self.subject]).astype(float)

    @cached_property
    def canonical(self) -> dict[str, str]:
        """Name a program may use for a data item -> the name of its column."""
        return {n: c.name for c in self.rows.columns for n in (c.name, c.synonym) if n}

    def values(self, item: str) -> np.ndarray:
        """(n_rows,) of a data item."""
        name = self.canonical[item]
        return self.rows.values[:, next(k for k, c in enumerate(self.rows.columns) if c.name == name)]

    def role(self, item: str) -> str:
        name = self.canonical[item]
        return next(c.role for c in self.rows.columns if c.name == name)

    @cached_property
    def constant_items(self) -> frozenset[str]:
        """Items with one value per subject."""
        same = np.diff(self.subject) == 0
        return frozenset(n for n in self.canonical if not np.any(np.diff(self.values(n))[same] != 0.0))

    @cached_property
    def first_of_occasion(self) -> np.ndarray:
        """(n_rows,) the first record of a subject's occasion that is not its first; none without occasions."""
        if self.occasion is None:
            return np.zeros(len(self.subject), dtype=bool)
        return np.append(False, (np.diff(self.subject) == 0) & (np.diff(self.occasion) != 0.0))

    @cached_property
    def covariate_items(self) -> frozenset[str]:
        """Items with one value per subject, or per occasion of a subject where there are occasions."""
        if self.occasion is None:
            return self.constant_items
        same = (np.diff(self.subject) == 0) & (np.diff(self.occasion) == 0.0)
        return frozenset(n for n in self.canonical if not np.any(np.diff(self.values(n))[same] != 0.0))

    def of(self, expression: Expression) -> np.ndarray:
        """(n_rows,) values of an expression of data items."""
        env = {name: self.values(name) for name in expression.names()}
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(evaluate(expression, env), dtype=float), (len(self.rows.values),))

    def number(self, expression: Expression) -> float | None:
        """The value of an expression of data items that has one value whatever they are; None: it depends on them."""
        found: set[float] = set()
        for shift in (0.0, 1.0, -1.0, 0.37, 17.0):
            env = {name: self.values(name) + shift for name in expression.names()}
            with np.errstate(all="ignore"):
                value = np.asarray(evaluate(expression, env), dtype=float)
            found.update(np.unique(value[np.isfinite(value)]).tolist())
            if len(found) > 1:
                return None
        return found.pop() if found else None

    def categories(self, item: str) -> tuple[float, ...]:
        """Distinct values in order; empty where they are no categories."""
        found = np.unique(self.values(item))
        whole = bool(np.all(found == np.round(found)))
        return tuple(found.tolist()) if whole and len(found) <= MOST_CATEGORIES else ()
