"""What the source files import, read from their syntax trees; nothing is executed."""

from __future__ import annotations

import ast
import functools
import sys
from dataclasses import dataclass
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"
FILES = sorted((SRC / "nlmevae").rglob("*.py"))


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module. `lazy`: inside a function; `typing_only`: under ``if TYPE_CHECKING``."""

    importer: str
    imported: str
    line: int
    lazy: bool
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """The second part: ``nlmevae.writers.ext`` -> ``writers``; ``nlmevae`` itself is the front door."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "nlmevae"


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports() -> list[Import]:
    """Every import of every file, relative ones resolved, the standard library left out."""
    found = []
    for path in FILES:
        found += _imports_of(path)
    return [i for i in found if i.imported.split(".")[0] not in sys.stdlib_module_names]


def _imports_of(path: Path) -> list[Import]:
    name = module_name(path)
    found: list[Import] = []

    def visit(node: ast.AST, lazy: bool, typing_only: bool) -> None:
        for child in ast.iter_child_nodes(node):
            inner_lazy = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            inner_typing = typing_only or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
            if isinstance(child, ast.Import):
                found.extend(Import(name, a.name, child.lineno, lazy, typing_only) for a in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{name}:{child.lineno}: relative import"
                found.extend(
                    Import(name, _target(child.module or "", a.name), child.lineno, lazy, typing_only)
                    for a in child.names
                )
            visit(child, inner_lazy, inner_typing)

    visit(parse(path), lazy=False, typing_only=False)
    return found


def _target(module: str, name: str) -> str:
    """``from nlmevae.data import filters`` imports a module, ``from nlmevae.data.filters import f`` does not."""
    candidate = SRC / Path(*f"{module}.{name}".split("."))
    return f"{module}.{name}" if candidate.with_suffix(".py").exists() or candidate.is_dir() else module
