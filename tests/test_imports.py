"""The rules of the house about who imports whom, read from the source."""

import ast
import fnmatch
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    file.relative_to(ROOT).as_posix(): ast.parse(file.read_text())
    for package in ("orchestrator", "trainables", "search_spaces")
    for file in sorted((ROOT / package).rglob("*.py"))
}
ALLOWED = {
    "ray": {
        "orchestrator/cluster/connection.py",
        "orchestrator/cluster/preflight.py",
        "orchestrator/cluster/submit.py",
        "orchestrator/sweeping/tuner.py",
        "trainables/tune.py",
    },
    "mlflow": {"orchestrator/tracking/book.py", "orchestrator/tracking/tracker.py"},
    "optuna": {"orchestrator/searching/ledger.py"},
    "pyarrow": {
        "orchestrator/storage/store.py",
        "orchestrator/storage/record_table.py",
        "trainables/data/from_parquet.py",
    },
    "pyautoattack": {"trainables/attacks/autoattack.py"},
    "foolbox": {"trainables/attacks/through_foolbox.py"},
}
FORBIDDEN = {
    "torch code knows no scheduler": ("trainables/*", {"ray", "mlflow", "optuna"}, {"trainables/tune.py"}),
    "torch code knows nobody above it": ("trainables/*", {"orchestrator", "search_spaces"}, set()),
    "studies know trainables alone": (
        "search_spaces/*",
        {"orchestrator", "ray", "mlflow", "optuna", "torch", "pyarrow"},
        set(),
    ),
    "planning is pure": (
        "orchestrator/planning/*",
        {"orchestrator.storage", "ray", "mlflow", "optuna", "pyarrow"},
        set(),
    ),
    "a report reads only the store": (
        "orchestrator/report/*",
        {"ray", "mlflow", "optuna", "orchestrator.sweeping", "orchestrator.tracking", "orchestrator.cluster"},
        set(),
    ),
    "nothing but `python -m orchestrator` imports the command line": (
        "*",
        {"orchestrator.commands"},
        {"orchestrator/__main__.py", "orchestrator/commands/*"},
    ),
}


def imported(tree: ast.AST) -> set[str]:
    """Return every module that is imported anywhere in a file, as a dotted name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def imports(tree: ast.AST, module: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for name in imported(tree))


@pytest.mark.parametrize(
    "source",
    [
        "import ray",
        "import ray.tune as t",
        "from ray import tune",
        "from ray.tune.search import Searcher",
        "def f():\n    import os, ray",
        "if TYPE_CHECKING:\n    from ray import tune",
    ],
)
def test_an_import_is_found_wherever_it_stands(source):
    assert imports(ast.parse(source), "ray")


def test_a_name_that_only_begins_alike_is_no_import():
    assert not imports(ast.parse("import rays\nfrom orchestrator import ray"), "ray")


def test_there_are_files_to_read():
    assert {"trainables/tune.py", "orchestrator/storage/store.py", "search_spaces/__init__.py"} <= set(FILES)


@pytest.mark.parametrize("vendor", ALLOWED)
def test_a_vendor_stays_home(vendor):
    assert {name for name, tree in FILES.items() if imports(tree, vendor)} <= ALLOWED[vendor]


def test_the_tracker_imports_mlflow_only_to_have_it_loaded():
    assert {name for name in imported(FILES["orchestrator/tracking/tracker.py"]) if name.startswith("mlflow")} <= {
        "mlflow"
    }


@pytest.mark.parametrize(("pattern", "modules", "but"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_room_keeps_to_itself(pattern, modules, but):
    files = {
        name: tree
        for name, tree in FILES.items()
        if fnmatch.fnmatch(name, pattern) and not any(fnmatch.fnmatch(name, b) for b in but)
    }
    assert files
    assert not [(name, module) for name, tree in files.items() for module in modules if imports(tree, module)]


def test_search_spaces_are_data_without_loops():
    """But for the registry, which is one comprehension."""
    loops = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    found = [
        (name, type(node))
        for name, tree in FILES.items()
        if name.startswith("search_spaces/") and name != "search_spaces/study.py"
        for node in ast.walk(tree)
        if isinstance(node, loops)
    ]
    assert found == [("search_spaces/__init__.py", ast.DictComp)]


def test_a_defense_trains_and_is_attacked_in_a_process_without_ray_mlflow_or_optuna():
    code = (
        "import sys, trainables.training, trainables.evaluation.attacked, trainables.data.datasets;"
        "print(sorted({'ray', 'mlflow', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
