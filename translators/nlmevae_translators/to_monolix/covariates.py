"""[COVARIATE]: columns, transformations and categories, and columns that are computed for the data file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nlmevae.ir import Binary, Call, Expression, Negate, Number, Symbol
from nlmevae_translators.to_monolix.algebra import substitute
from nlmevae_translators.to_monolix.expression_text import expression_text, number_text
from nlmevae_translators.to_monolix.names import Names
from nlmevae_translators.to_monolix.source_data import SourceData


@dataclass(slots=True)
class CovariateSection:
    """Covariates that parameters use.

    Attributes:
        columns: name of a column of the written data -> its values (n_rows,).
        categories: of the categorical ones, the values in declared order.
        equations: name of a covariate -> what it is computed from, in names of columns.
    """

    data: SourceData
    names: Names
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    categories: dict[str, tuple[float, ...]] = field(default_factory=dict)
    equations: dict[str, Expression] = field(default_factory=dict)
    _items: dict[tuple[str, bool], str] = field(default_factory=dict)
    _found: dict[str, str] = field(default_factory=dict)

    def categorical(self, item: str) -> str:
        """The covariate that is a data item with its values as categories."""
        name = self._column(item, categorical=True)
        self.categories[name] = self.data.categories(item)
        return name

    def continuous(self, function: Expression) -> str:
        """The covariate that is `function` of data items that have one value per subject."""
        key = repr(function)
        if key not in self._found:
            self._found[key] = self._new(function)
        return self._found[key]

    def _new(self, function: Expression) -> str:
        if isinstance(function, Symbol):
            return self._column(function.name, categorical=False)
        if not _is_line(function):
            name = self.names.fresh("_".join(sorted(function.names())) + "_effect")
            self.columns[name] = np.array(self.data.of(function))
            return name
        name = self.names.fresh(_short_name(function))
        env = {item: Symbol(self._column(item, categorical=False)) for item in sorted(function.names())}
        self.equations[name] = substitute(function, env)
        return name

    def _column(self, item: str, *, categorical: bool) -> str:
        item = self.data.canonical[item]
        key = item, categorical
        if key not in self._items:
            self._items[key] = self.names.fresh(item)
            self.columns[self._items[key]] = self.data.values(item)
        return self._items[key]

    @property
    def text(self) -> str:
        """The section; "" without covariates."""
        if not self.columns:
            return ""
        lines = ["[COVARIATE]", f"input = {{{', '.join(self.columns)}}}", ""]
        lines += [self.category_line(name) for name in self.categories]
        if self.categories:
            lines.append("")
        if self.equations:
            lines.append("EQUATION:")
            lines += [f"{name} = {expression_text(value)}" for name, value in self.equations.items()]
            lines.append("")
        return "\n".join(lines)

    def category_line(self, name: str) -> str:
        labels = ", ".join(f"'{number_text(value)}'" for value in self.categories[name])
        return f"{name} = {{type=categorical, categories={{{labels}}}}}"


def _is_line(function: Expression) -> bool:
    """It can be written as one line of EQUATION:, where there are no conditions."""
    allowed = {"EXP", "LOG", "LOG10", "SQRT", "ABS"}
    return all(
        isinstance(n, Number | Symbol | Binary | Negate) or (isinstance(n, Call) and n.function in allowed)
        for n in function.walk()
    )


def _short_name(function: Expression) -> str:
    items = "_".join(sorted(function.names()))
    match function:
        case Call(function="LOG"):
            return f"l{items}"
        case Binary(operator=("-" | "+")):
            return f"c{items}"
    return f"f{items}"
