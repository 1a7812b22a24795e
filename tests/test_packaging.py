"""What pyproject.toml promises of the package, held against the tree."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("orchestrator", "trainables", "search_spaces")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_ships_the_mark_that_its_types_are_meant_to_be_read(package):
    assert (ROOT / package / "py.typed").is_file()
    assert "py.typed" in PYPROJECT["tool"]["setuptools"]["package-data"][package]
    assert "Typing :: Typed" in PYPROJECT["project"]["classifiers"]


def test_every_file_that_is_no_python_and_no_text_to_read_is_shipped():
    """A template or a table that package-data forgets is missing only once the package is installed."""
    shipped = {
        file
        for package, patterns in PYPROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for file in (ROOT / package).glob(pattern)
    }
    others = {
        file
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc", ".md"}
    }
    assert others == shipped
