"""No two things share a name: a public class or function of the three packages is defined in one file only."""

import ast
from collections import defaultdict
from pathlib import Path

from orchestrator.cluster.submit import PACKAGES

ROOT = Path(__file__).resolve().parents[1]
# Commands are named after what they call, and the two ways to run a sweep's units have one verb.
ONE_VERB = {"plan", "run", "search", "submit", "status", "report", "show", "describe", "studies", "fit"}


def defined() -> dict[str, list[str]]:
    """Return where each public class and function is defined."""
    found = defaultdict(list)
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                    found[node.name].append(f"{file.relative_to(ROOT)}:{node.lineno}")
    return found


def test_no_two_things_share_a_name():
    assert {name: places for name, places in defined().items() if len(places) > 1 and name not in ONE_VERB} == {}


def test_files_are_not_named_for_nothing():
    vague = {"utils", "util", "helpers", "common", "misc", "manager", "handler"}
    assert not [file for package in PACKAGES for file in (ROOT / package).rglob("*.py") if file.stem in vague]


def test_no_file_is_left_to_be_described():
    files = [file for package in (*PACKAGES, "tests") for file in (ROOT / package).rglob("*.py")]
    unfinished = "TO" + "DO"
    assert not [str(file.relative_to(ROOT)) for file in files if unfinished in file.read_text()]
