"""The rule of the house about who imports whom, read from the source.

orchestrator -> search_spaces -> trainables, floor below floor within each, and no cycle of files or folders. An import
counts wherever it stands: in a function, under TYPE_CHECKING, or as a name given to `import_module`.
"""

import ast
import fnmatch
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from orchestrator.cluster.submit import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    file.relative_to(ROOT).as_posix(): ast.parse(file.read_text())
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
}
# From the top floor down. A file imports from its own room and from rooms on floors below; "*" is every other room.
FLOORS: dict[str, list[set[str]]] = {
    ".": [{"orchestrator"}, {"search_spaces"}, {"trainables"}],
    "trainables": [
        {"tune"},
        {"work"},
        {"training", "results", "units"},
        {"specs"},
        {"measures", "defenses"},
        {"evaluation", "fitting"},
        {"attacks"},
        {"networks", "data"},
        {"judges"},
        {"registry"},
        {"runtime", "images", "values", "metrics"},
        {"errors"},
    ],
    "search_spaces": [{"__init__"}, {"*"}, {"study"}],
    "orchestrator": [
        {"__main__"},
        {"commands"},
        {"report"},
        {"searching", "tracking"},
        {"sweeping"},
        {"summary", "cluster"},
        {"planning", "storage"},
        {"uris", "terminal_style"},
    ],
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
        "orchestrator/storage/files.py",
        "orchestrator/storage/store.py",
        "orchestrator/storage/record_table.py",
        "trainables/data/from_parquet.py",
    },
    "pyautoattack": {"trainables/attacks/autoattack.py"},
    "foolbox": {"trainables/attacks/through_foolbox.py"},
}
FORBIDDEN = {
    "torch code knows no scheduler": ("trainables/*", {"ray", "mlflow", "optuna"}, {"trainables/tune.py"}),
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
    """Return all that is imported anywhere in a file, as dotted names: a module, or a name of one."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names |= {str(given.value) for given in node.args if isinstance(given, ast.Constant)}
    return names


def imports(tree: ast.AST, module: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for name in imported(tree))


Graph = Mapping[str, Iterable[str]]


def imported_files(files: Mapping[str, ast.AST]) -> dict[str, set[str]]:
    """Return which of these files each of them imports; a package is its `__init__.py`."""
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in files}
    graph = {}
    for file, tree in files.items():
        found = {name if name in modules else name.rpartition(".")[0] for name in imported(tree)}
        graph[file] = {modules[name] for name in found if name in modules} - {file}
    return graph


def siblings(graph: Graph) -> Iterator[tuple[str, str, str]]:
    """Yield each import as the folder where its two ends part, and what holds either end in there."""
    for file, others in graph.items():
        for other in others:
            one, two = file.removesuffix(".py").split("/"), other.removesuffix(".py").split("/")
            depth = next(i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
            yield "/".join(one[:depth]) or ".", one[depth], two[depth]


def climbs(graph: Graph, floors: Mapping[str, Sequence[set[str]]]) -> list[str]:
    """Return the imports that do not go down a floor, and those from or to a room that has no floor."""
    found = []
    for folder, room, other in siblings(graph):
        if folder in floors:
            at, below = (_floor(name, floors[folder]) for name in (room, other))
            if at is None or below is None or at >= below:
                found.append(f"{folder}: {room} -> {other}")
    return sorted(set(found))


def _floor(room: str, floors: Sequence[set[str]]) -> int | None:
    named = [number for number, rooms in enumerate(floors) if room in rooms]
    others = [number for number, rooms in enumerate(floors) if "*" in rooms]
    return next(iter(named or others), None)


def cycle_of(graph: Graph) -> list[str]:
    """Return the nodes that lie on a cycle, or between two of them; none if there is no cycle."""
    left = {node: set(others) - {node} for node, others in graph.items()}
    while True:
        known = {other for others in left.values() for other in others}
        ends = {node for node in left if not left[node] & left.keys() or node not in known}
        if not ends:
            return sorted(left)
        left = {node: others - ends for node, others in left.items() if node not in ends}


def folders_of(graph: Graph) -> dict[str, dict[str, set[str]]]:
    """Return, for each folder, how the files and folders in it import one another, a folder taken as a whole."""
    found: dict[str, dict[str, set[str]]] = {}
    for folder, one, other in siblings(graph):
        found.setdefault(folder, {}).setdefault(one, set()).add(other)
    return found


GRAPH = imported_files(FILES)


def test_imports_go_down_the_floors():
    assert climbs(GRAPH, FLOORS) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_has_a_floor(package):
    rooms = {name.split("/")[1].removesuffix(".py") for name in FILES if name.startswith(f"{package}/")} - {"__init__"}
    assert [room for room in sorted(rooms) if _floor(room, FLOORS[package]) is None] == []


def test_no_files_import_one_another_in_a_circle():
    assert cycle_of(GRAPH) == []


def test_no_folders_import_one_another_in_a_circle():
    assert {folder: found for folder, graph in folders_of(GRAPH).items() if (found := cycle_of(graph))} == {}


def test_the_packages_of_the_distribution_are_those_that_a_job_is_sent():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["packages"]["find"]["include"] == [f"{package}*" for package in PACKAGES]


# --- the checker itself, on made-up sources


def made_up(**sources: str) -> dict[str, set[str]]:
    """Return the graph of files; `a__b` is a/b.py, `a__` is a/__init__.py."""
    names = {name: name.replace("__", "/") for name in sources}
    files = {f"{path}__init__.py" if path.endswith("/") else f"{path}.py": name for name, path in names.items()}
    return imported_files({path: ast.parse(sources[name]) for path, name in files.items()})


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import p.low", {"p/low.py"}),
        ("from p import low", {"p/low.py"}),
        ("from p.low import thing", {"p/low.py"}),
        ("from p import thing", {"p/__init__.py"}),
        ("from p import low, thing", {"p/low.py", "p/__init__.py"}),
        ("import p", {"p/__init__.py"}),
        ("def f():\n    from p import low", {"p/low.py"}),
        ("if TYPE_CHECKING:\n    from p.low import Thing", {"p/low.py"}),
        ("import importlib\nimportlib.import_module('p.low')", {"p/low.py"}),
        ("import ray", set()),
    ],
)
def test_an_import_is_of_a_file(source, found):
    assert made_up(p__="", p__low="", q__high=source)["q/high.py"] == found


TWO_FLOORS = {"p": [{"high"}, {"low", "beside"}]}


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        pytest.param({"p__high": "import p.low", "p__low": ""}, [], id="down"),
        pytest.param({"p__high": "", "p__low": "import p.high"}, ["p: low -> high"], id="up"),
        pytest.param({"p__low": "def f():\n    import p.high", "p__high": ""}, ["p: low -> high"], id="up, lazily"),
        pytest.param({"p__low": "import p.beside", "p__beside": ""}, ["p: low -> beside"], id="on one floor"),
        pytest.param({"p__low__a": "import p.low.b", "p__low__b": ""}, [], id="within a room"),
        pytest.param({"p__high": "import p.new", "p__new": ""}, ["p: high -> new"], id="no floor"),
        pytest.param({"q__a": "import q.b", "q__b": "import q.a"}, [], id="elsewhere"),
    ],
)
def test_an_import_that_does_not_go_down_is_found(sources, found):
    assert climbs(made_up(**sources), TWO_FLOORS) == found


def test_a_star_is_the_floor_of_rooms_without_one_of_their_own():
    graph = made_up(p__="import p.a", p__a="import p.base", p__base="import p.b", p__b="")
    assert climbs(graph, {"p": [{"__init__"}, {"*"}, {"base"}]}) == ["p: base -> b"]


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        pytest.param({"p__a": "import p.b", "p__b": "import p.c", "p__c": ""}, [], id="none"),
        pytest.param(
            {"p__a": "import p.b", "p__b": "import p.c", "p__c": "def f():\n    import p.b"},
            ["p/b.py", "p/c.py"],
            id="lazily",
        ),
        pytest.param(
            {"p__a": "if TYPE_CHECKING:\n    import p.b", "p__b": "import p.a"}, ["p/a.py", "p/b.py"], id="for types"
        ),
        pytest.param({"p__": "import p.a", "p__a": "from p import thing"}, ["p/__init__.py", "p/a.py"], id="a face"),
    ],
)
def test_a_cycle_of_files_is_found(sources, found):
    assert cycle_of(made_up(**sources)) == found


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        pytest.param({"p__x__a": "import p.y.b", "p__y__b": "", "p__y__c": "import p.x.d", "p__x__d": ""}, ["x", "y"]),
        pytest.param({"p__x__a": "import p.y.b", "p__y__b": "", "p__x__c": "import p.x.a"}, []),
        pytest.param({"p__x__deep__a": "import p.x.b", "p__x__b": "", "p__x__c": "import p.x.deep.a"}, []),
        pytest.param({"p__x__deep__a": "import p.y", "p__y": "import p.x.b", "p__x__b": ""}, ["x", "y"]),
    ],
    ids=["two folders", "one way", "a folder in a folder", "a file beside a folder"],
)
def test_a_cycle_of_folders_is_found_where_files_have_none(sources, found):
    graph = made_up(**sources)
    assert cycle_of(graph) == []
    assert cycle_of(folders_of(graph).get("p", {})) == found


# --- vendors, and rooms that keep to themselves


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


FACES = sorted(name.removesuffix("/__init__.py").replace("/", ".") for name in FILES if name.endswith("/__init__.py"))


def loaded_by(imports: str, *modules: str) -> set[str]:
    """Return which of these modules a new process has loaded after some imports."""
    code = f"import sys, {imports}; print(*({set(modules)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_face_of_a_room_loads_no_ray_mlflow_or_optuna():
    assert loaded_by(", ".join(FACES), "ray", "mlflow", "optuna") == set()


def test_the_command_line_answers_help_before_it_loads_anything_slow():
    imports = "orchestrator.commands.cli, orchestrator.commands.argv, orchestrator.uris"
    assert loaded_by(imports, "ray", "mlflow", "optuna", "torch", "pyarrow", "pydantic") == set()


def test_a_defense_trains_and_is_attacked_in_a_process_without_ray_mlflow_or_optuna():
    imports = "trainables.training, trainables.evaluation.attacked, trainables.data.datasets"
    assert loaded_by(imports, "ray", "mlflow", "optuna") == set()
