"""Who may import whom (the table is the house's plan), and what the command line must not load."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source_tree import FILES, imports, module_name, room

ROOT = Path(__file__).parents[2]

#: Package -> nlmevae packages it may import. `data` in codegen is the event table, whose layout the latent
#: form's arguments follow; `codegen` in estimation is the latent form.
ALLOWED = {
    "errors": set(),
    "threads": set(),
    "processes": {"errors", "threads"},
    "ir": {"errors"},
    "selection": {"errors"},
    "results": {"errors", "ir"},
    "data": {"errors", "ir"},
    "codegen": {"errors", "ir", "data"},
    "frontends": {"errors", "ir", "data"},
    "comparison": {"errors", "results", "data"},
    "comparing": {"errors", "results", "comparison", "writers", "frontends", "estimation", "ir"},
    "stepwise": {
        "errors", "results", "data", "codegen", "estimation", "selection", "writers", "pipeline", "frontends", "ir",
    },
    "reevaluation": {"errors", "results", "comparison", "writers", "at_parameters", "pipeline"},
    "decoder": {"errors", "threads", "ir", "data", "codegen"},
    "writers": {"errors", "ir", "results", "frontends"},
    "likelihood": {"errors", "threads", "processes", "data", "decoder"},
    "estimation": {
        "errors", "threads", "processes", "ir", "data", "codegen", "decoder", "selection", "likelihood", "results",
    },
    "diagnostics": {"errors", "ir", "data", "codegen", "decoder", "likelihood", "estimation", "results"},
    "report": {"errors", "results"},
    "prepared_run": {"ir", "data"},
    "run_description": {"data", "estimation", "model_summary", "prepared_run", "results"},
    "reporting": {
        "errors", "ir", "results", "writers", "estimation", "diagnostics", "report", "pipeline", "prepared_run",
        "run_description", "fitted_run",
    },
    "model_summary": {"ir", "data", "codegen", "prepared_run"},
    "pipeline": {
        "errors", "ir", "results", "data", "frontends", "estimation", "writers", "model_summary", "prepared_run",
        "report", "fitted_run", "resumption", "results_folder",
    },
    "resumption": {"nlmevae", "errors", "results", "data", "estimation", "prepared_run", "writers"},
    "forecasting": {"errors", "threads", "results", "estimation", "prepared_run", "pipeline"},
    "studies": {
        "nlmevae", "errors", "ir", "results", "data", "codegen", "decoder", "diagnostics", "estimation", "writers",
        "prepared_run", "fitted_run", "resumption", "pipeline", "at_parameters",
    },
    "profiling": {"errors", "ir", "results", "estimation", "writers", "prepared_run", "pipeline"},
    "fitted_run": {"errors", "results", "prepared_run", "diagnostics", "estimation", "writers"},
    "results_folder": {"errors", "results", "diagnostics", "writers", "prepared_run", "fitted_run"},
    "at_parameters": {"errors", "results", "comparison", "estimation", "writers", "prepared_run", "pipeline"},
    "after_fit": {
        "errors", "ir", "results", "data", "diagnostics", "estimation", "writers", "report", "prepared_run",
        "pipeline", "at_parameters", "fitted_run",
    },
    "monolix_results": {
        "errors", "results", "diagnostics", "writers", "prepared_run", "pipeline", "after_fit", "fitted_run",
        "results_folder",
    },
}  # fmt: skip

#: May import everything.
FREE = {"nlmevae", "cli", "hosts"}

#: Package -> third-party packages it may import.
THIRD_PARTY = {
    "errors": set(),
    "threads": set(),
    "processes": {"numpy", "torch"},
    "ir": {"numpy"},
    "selection": {"numpy", "scipy", "numba", "pyomo", "highspy"},
    "results": {"numpy", "pandas"},
    "data": {"numpy", "pandas"},
    "codegen": {"numpy", "scipy", "llvmlite", "numba", "torch"},
    "frontends": {"lark", "numpy"},
    "comparison": set(),
    "decoder": {"numpy", "numba", "llvmlite", "torch", "torchode"},
    "writers": {"numpy", "pandas"},
    "hosts": {"pharmpy"},
    "likelihood": {"numpy", "scipy", "numba"},
    "estimation": {"numpy", "scipy", "numba"},
    "diagnostics": {"numpy", "scipy"},
    "report": {"numpy", "scipy", "matplotlib", "jinja2"},
    "cli": {"rich"},
    "prepared_run": set(),
    "run_description": {"numpy"},
    "reporting": {"numpy"},
    "model_summary": {"numpy"},
    "pipeline": set(),
    "resumption": {"numpy"},
    "forecasting": set(),
    "studies": {"numpy", "scipy", "dask", "distributed"},
    "profiling": set(),
    "fitted_run": set(),
    "at_parameters": set(),
    "comparing": set(),
    "stepwise": {"numpy"},
    "reevaluation": set(),
    "after_fit": set(),
    "monolix_results": set(),
    "results_folder": set(),
    "nlmevae": set(),
}

#: Third-party packages that only these modules of a package may import: the linkers, the evaluator, the parsers.
ONLY_IN = {
    ("ir", "numpy"): {"nlmevae.ir.evaluate", "nlmevae.ir.dual"},
    ("frontends", "lark"): {
        "nlmevae.frontends.monolix.text.syntax",
        "nlmevae.frontends.nonmem.code",
        "nlmevae.frontends.nonmem.lower",
        "nlmevae.frontends.nonmem.parameter_expression",
    },
    ("decoder", "llvmlite"): {"nlmevae.decoder.engine_records"},  # calls into generated code from numba
    ("studies", "distributed"): {"nlmevae.studies.pool"},
    ("studies", "dask"): {"nlmevae.studies.pool"},
    ("decoder", "torchode"): {"nlmevae.decoder.ode_torch"},
    ("codegen", "torch"): {"nlmevae.codegen.print_torch"},
    ("codegen", "scipy"): {"nlmevae.codegen.print_numpy"},  # erfc, gammaln in generated numpy code
    ("codegen", "llvmlite"): {"nlmevae.codegen.link_llvm", "nlmevae.codegen.print_llvm", "nlmevae.codegen.batch_llvm"},
}

#: Loaded for every command line.
LIGHT = {
    f"nlmevae.cli.{name}"
    for name in (
        "main", "fit", "select", "likelihood", "tables", "simulate", "vpc", "check", "code", "profile", "predict",
        "run_arguments", "interrupts", "report", "step_progress", "monolix_folder", "compare", "stepwise", "scm",
        "cossac", "samba", "bootstrap", "multistart", "sse", "batch", "study_arguments", "study_progress",
    )
}  # fmt: skip


def test_every_package_has_its_row_in_the_table():
    assert {room(module_name(path)) for path in FILES} <= set(ALLOWED) | FREE


def test_packages_import_only_what_the_table_allows():
    wrong = [
        str(i)
        for i in imports()
        if i.imported.startswith("nlmevae.")
        and room(i.importer) not in FREE
        and room(i.imported) not in ALLOWED[room(i.importer)] | {room(i.importer)}
    ]
    assert wrong == []


def test_third_party_packages_stay_in_their_rooms():
    wrong = [
        str(i)
        for i in imports()
        if not i.imported.startswith("nlmevae") and i.imported.split(".")[0] not in THIRD_PARTY[room(i.importer)]
    ]
    assert wrong == []


def test_some_third_party_packages_stay_in_their_modules():
    wrong = []
    for i in imports():
        modules = ONLY_IN.get((room(i.importer), i.imported.split(".")[0]))
        if modules is not None and i.importer not in modules:
            wrong.append(str(i))
    assert wrong == []


def test_sympy_and_pharmpy_are_not_used():
    assert [
        str(i) for i in imports() if i.imported.split(".")[0] in ("sympy", "pharmpy") and room(i.importer) != "hosts"
    ] == []


def test_the_command_line_imports_the_rest_inside_functions():
    heavy = [
        str(i)
        for i in imports()
        if i.importer in LIGHT
        and not (i.lazy or i.typing_only)
        and i.imported not in ("nlmevae", "nlmevae.cli", "nlmevae.errors")
        and not i.imported.startswith("nlmevae.cli.")
    ]
    assert heavy == []


def test_modules_import_each_other_in_one_direction():
    edges: dict[str, set[str]] = {module_name(path): set() for path in FILES}
    for i in imports():
        if i.imported in edges and not i.typing_only and i.imported != i.importer:
            edges[i.importer].add(i.imported)
    edges["nlmevae"] = set()  # the front door loads names when they are asked for
    cycle = find_cycle(edges)
    assert cycle is None, " -> ".join(cycle)


def find_cycle(edges: dict[str, set[str]]) -> list[str] | None:
    """One cycle of a directed graph, as its nodes, or None."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str] | None:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        for target in sorted(edges[node]):
            cycle = walk(target, [*path, node])
            if cycle is not None:
                return cycle
        done.add(node)
        return None

    return next((c for c in (walk(node, []) for node in sorted(edges)) if c is not None), None)


def test_the_cycle_finder_finds_cycles():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def loaded_by(*line: str) -> set[str]:
    """Top-level packages in sys.modules after running the command in a fresh interpreter."""
    code = (
        "import sys\nfrom nlmevae.cli.main import main\n"
        f"try:\n    main({list(line)!r})\nexcept SystemExit:\n    pass\n"
        "print('LOADED', *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert process.returncode == 0, process.stderr
    return set(process.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "line", [["--help"], ["fit", "--help"], ["select", "--help"], ["likelihood", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(line):
    assert loaded_by(*line) & {"numpy", "torch", "pandas", "scipy", "numba", "rich", "lark", "pharmpy"} == set()


def test_check_loads_neither_torch_nor_pandas():
    loaded = loaded_by("check", "fixtures/theophylline/run_wt.ctl")
    assert "numpy" in loaded
    assert loaded & {"torch", "torchode", "pandas", "numba", "llvmlite", "sympy", "pharmpy"} == set()


def test_a_search_does_not_load_torch(tmp_path):
    """Which takes longer to import than the search takes: only torchode needs it."""
    code = (
        "import sys, nlmevae\n"
        "nlmevae.select('fixtures/theophylline/run_base.ctl', covariates=['WT'], max_outer=1, its_iterations=1,"
        " n_alternatives=0, burn_in_iterations=1, training_iterations=2, final_draws=64, resamples=0,"
        f" out={str(tmp_path)!r}, save_encoder=False)\n"
        "print('LOADED', *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, cwd=ROOT)
    assert process.returncode == 0, process.stderr
    loaded = set(process.stdout.splitlines()[-1].split()[1:])
    assert "numba" in loaded
    assert loaded & {"torch", "torchode", "pyomo", "pandas", "sympy", "pharmpy"} == set()


def test_importing_the_package_loads_nothing():
    code = "import sys, nlmevae; print(*sorted(m for m in sys.modules if m.startswith(('nlmevae', 'numpy', 'torch'))))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert process.stdout.split() == ["nlmevae"]
