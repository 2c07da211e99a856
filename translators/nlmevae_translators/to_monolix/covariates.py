"""[COVARIATE]: columns, transformations and categories, and columns that are computed for the data file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nlmevae.ir import Assign, Binary, Call, Expression, Negate, Number, Symbol
from nlmevae_translators.to_monolix.algebra import substitute
from nlmevae_translators.to_monolix.expression_text import expression_text, number_text
from nlmevae_translators.to_monolix.names import Names, is_plain
from nlmevae_translators.to_monolix.source_data import SourceData


@dataclass
class CovariateSection:
    """Covariates that parameters use.

    Attributes:
        columns: name of a column of the written data -> its values (n_rows,).
        categories: of the categorical ones, the values in declared order.
        groups: name of a covariate -> the categorical one it merges, and group -> its categories there.
        equations: name of a covariate -> what it is computed from, in names of columns.
    """

    data: SourceData
    names: Names
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    categories: dict[str, tuple[float, ...]] = field(default_factory=dict)
    equations: dict[str, Expression] = field(default_factory=dict)
    groups: dict[str, tuple[str, dict[str, list[str]]]] = field(default_factory=dict)
    _items: dict[tuple[str, bool], str] = field(default_factory=dict)
    _found: dict[str, str] = field(default_factory=dict)

    def categorical(self, item: str) -> str:
        """The covariate that is a data item with its values as categories."""
        name = self._column(item, categorical=True)
        self.categories[name] = self.data.categories(item)
        return name

    def merged(self, item: str, members: Sequence[Sequence[float]]) -> str:
        """The covariate whose categories are groups of those of a data item; the first group is the reference."""
        source = self.categorical(item)
        texts = [[number_text(value) for value in group] for group in members]
        groups = {f"G_{'_'.join(group)}": group for group in texts}
        known = next((name for name, value in self.groups.items() if value == (source, groups)), None)
        if known is None:
            known = self.names.fresh(f"t{source}")
            self.groups[known] = source, groups
        return known

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
            name = self.names.fresh("_".join(sorted(function.names())) + "_EFFECT")
            self.columns[name] = np.array(self.data.of(function))
            return name
        name = self.names.fresh(self._variables.get(repr(function)) or _short_name(function))
        env = {item: Symbol(self._column(item, categorical=False)) for item in sorted(function.names())}
        self.equations[name] = substitute(function, env)
        return name

    @cached_property
    def _variables(self) -> dict[str, str]:
        """Function of data items -> the variable of the code that is just that."""
        program, items = self.data.model.program, set(self.data.canonical)
        code = [s for s in (*program.pk, *program.error) if isinstance(s, Assign)]
        return {repr(s.value): s.target for s in code if is_plain(s.target) and s.value.names() <= items}

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
        if self.groups:
            lines += ["DEFINITION:", *(self._group_line(name) for name in self.groups), ""]
        return "\n".join(lines)

    def _group_line(self, name: str) -> str:
        source, groups = self.groups[name]
        members = ", ".join(f"'{group}'={{{', '.join(map(repr, own))}}}" for group, own in groups.items())
        return f"{name} = {{transform={source}, categories={{{members}}}, reference='{next(iter(groups))}'}}"

    def is_categorical(self, name: str) -> bool:
        return name in self.categories or name in self.groups

    def category_line(self, name: str) -> str:
        if name in self.groups:
            return f"{name} = {{type=categorical, categories={{{', '.join(map(repr, self.groups[name][1]))}}}}}"
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
            return f"L{items}"
        case Binary(operator=("-" | "+")):
            return f"C{items}"
    return f"F{items}"
