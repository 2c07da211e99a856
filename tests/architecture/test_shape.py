"""Names and sizes: a reader finds one thing per file, and no function is longer than a page or two."""

import ast
import importlib

import pytest

import nlmevae
from tests.architecture.source_tree import FILES, module_name, parse

LONGEST_FUNCTION = 80
#: The estimation loop is shown on one page, however long.
LONGEST_LOOP = 120
LONGEST_FILE = 600
FORBIDDEN_NAMES = {"utils", "util", "common", "misc", "helpers", "helper", "tools"}


def trees() -> list[tuple[str, ast.Module]]:
    return [(module_name(path), parse(path)) for path in FILES]


def test_no_module_is_a_drawer_for_everything():
    assert [m for m in map(module_name, FILES) if m.split(".")[-1] in FORBIDDEN_NAMES] == []


def test_no_function_is_longer_than_eighty_lines():
    long = []
    for module, tree in trees():
        limit = LONGEST_LOOP if module == "nlmevae.estimation.fit" else LONGEST_FUNCTION
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > limit:
                long.append(f"{module}.{node.name}: {node.end_lineno - node.lineno + 1} lines")
    assert long == []


def test_no_file_is_longer_than_six_hundred_lines():
    assert [str(p) for p in FILES if len(p.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE] == []


def test_every_module_says_what_it_is():
    silent = [m for m, tree in trees() if tree.body and ast.get_docstring(tree) is None]
    assert silent == []


def test_no_star_imports():
    stars = [
        f"{module}:{node.lineno}"
        for module, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names)
    ]
    assert stars == []


def test_switches_are_given_by_name():
    positional = []
    for module, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef):
                continue
            defaults = node.args.defaults
            named = node.args.args[len(node.args.args) - len(defaults) :]
            for argument, default in zip(named, defaults, strict=True):
                if isinstance(default, ast.Constant) and isinstance(default.value, bool):
                    positional.append(f"{module}.{node.name}({argument.arg})")
    assert positional == []


def test_nothing_is_printed_outside_the_command_line():
    """`print(..., file=stream)` writes a file and is allowed."""
    printing = [
        f"{module}:{node.lineno}"
        for module, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and not any(k.arg == "file" for k in node.keywords)
        and not module.startswith("nlmevae.cli")
    ]
    assert printing == []


@pytest.mark.parametrize("name", nlmevae.__all__)
def test_every_public_name_exists_and_is_documented(name):
    value = getattr(nlmevae, name)
    assert isinstance(value, str) or value.__doc__


def test_unknown_names_raise_as_usual():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = nlmevae.nonsense


def test_every_all_list_names_things_that_exist():
    for module, tree in trees():
        declares = any(isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "__all__" for n in tree.body)
        if declares:
            loaded = importlib.import_module(module)
            assert [n for n in loaded.__all__ if not hasattr(loaded, n)] == []
