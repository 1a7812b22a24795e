from pathlib import Path

import pytest
import tiny_study
from tiny_study import BIG, SMALL
from typer.testing import CliRunner

from orchestrator.commands.cli import app
from orchestrator.report import FORMATS, Format
from trainables.errors import InputError

STUDY = f"{tiny_study.__file__}:STUDY"


def toy(summary, figures):
    return "\n".join([*summary.labels, *figures])


def report(store, *arguments):
    return CliRunner().invoke(app, ["report", STUDY, *arguments, "--root", str(store.root)], catch_exceptions=False)


@pytest.fixture
def folder(fill, monkeypatch):
    """The folder of a report whose records are in the store, with a format that is registered here alone."""
    monkeypatch.setitem(FORMATS.added, "toy", Format("report.toy", toy))
    plan, store = fill()
    return store, Path(store.root) / "reports" / plan.slug


def test_a_format_is_one_registration(folder):
    store, reports = folder
    assert report(store, "--format", "toy").exit_code == 0
    figures = ["accuracy_against_eps.png", "robustness_against_accuracy.png"]
    assert (reports / "report.toy").read_text().splitlines() == [SMALL, BIG, *figures]
    assert {path.name for path in reports.iterdir()} == {"report.toy", *figures}


def test_all_formats_are_all_that_are_registered(folder):
    store, reports = folder
    assert report(store, "--format", "all").exit_code == 0
    assert {path.name for path in reports.glob("report.*")} == {form.file for form in FORMATS.values()}


def test_an_unknown_format_lists_the_known_ones_and_the_nearest(folder):
    store, reports = folder
    with pytest.raises(
        InputError, match=r"unknown format 'toi'\. Did you mean 'toy'\? Known: all, csv, html, latex, markdown, toy\."
    ):
        report(store, "--format", "toi")
    assert not reports.exists()
