"""The pages for readers: every command parses, every study plans, every link and every file name leads somewhere."""

import os
import subprocess
import sys

import pyarrow
import pytest
import typer
from pyarrow import parquet
from readmes import PACKAGES, PAGES, ROOT
from typer.testing import CliRunner

from orchestrator.commands.cli import app
from orchestrator.commands.lookup import find_study
from orchestrator.planning.plan import expand
from orchestrator.planning.wording import parse_assignments, parse_seeds
from orchestrator.searching.history import BEST
from orchestrator.searching.objectives import judged_by, objectives_of
from orchestrator.searching.space import search_space
from search_spaces import Study
from search_spaces.study import SCALES
from trainables.attacks import ATTACKS
from trainables.defenses import DEFENSES
from trainables.measures import MEASURES
from trainables.networks import NETWORKS

COMMANDS = typer.main.get_command(app).commands
STUDIES_PAGE = PAGES["search_spaces/README.md"]
YOURS = {"path/to/images", "mine.py"}  # what a command of a page asks of a reader's machine

every_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


def cases(commands):
    found = [(page, words) for page in PAGES.values() for words in commands(page)]
    return [pytest.param(page, words, id=f"{page.name}: {' '.join(words)}") for page, words in found]


def of_a_study(page):
    return [words for words in page.commands if words[0] not in ("studies", "show", "describe")]


def study_files():
    found = [(page, name) for page in PAGES.values() for name, code in page.files.items() if "Study(" in code]
    return [pytest.param(page, name, id=f"{page.name}: {name}") for page, name in found]


def parsed(words, **options):
    """Return what the command line reads of a command; it fails as the program would."""
    return COMMANDS[words[0]].make_context(words[0], list(words[1:]), **options).params


@pytest.fixture
def desk(tmp_path, monkeypatch, my_package):
    """A working directory of a reader who has saved a page's files, and has images."""
    monkeypatch.chdir(tmp_path)
    images = tmp_path / "path" / "to" / "images"
    images.mkdir(parents=True)
    one = pyarrow.table({"image": [{"bytes": b"decoded by a run alone", "path": ""}], "label": [0]})
    parquet.write_table(one, images / "train.parquet")
    parquet.write_table(one, images / "test.parquet")

    def save(page):
        page.save(tmp_path)
        if page.entry_points:
            monkeypatch.syspath_prepend(my_package)

    return save


@every_page
def test_every_link_leads_to_a_file_and_a_heading(page):
    for link in page.links:
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        assert target.exists(), link
        if anchor:
            assert anchor in PAGES[target.relative_to(ROOT).as_posix()].anchors, link


@every_page
def test_every_file_that_it_names_exists(page):
    missing = {name for name in page.mentioned_files if name not in YOURS}
    missing -= {name for name in missing if (ROOT / name).exists() or (page.path.parent / name).exists()}
    assert not missing - {file.name for package in PACKAGES for file in (ROOT / package).rglob("*.*")}


@pytest.mark.parametrize(("page", "words"), cases(lambda page: page.commands))
def test_a_command_is_one_of_the_command_line(page, words):
    parsed(words)


@pytest.mark.parametrize(("page", "words"), cases(lambda page: page.mentioned_commands))
def test_a_command_in_a_sentence_has_a_name_and_options_of_the_command_line(page, words):
    if words != ["COMMAND", "--help"]:
        parsed(words, resilient_parsing=True)


@pytest.mark.parametrize("command", [name for name, command in COMMANDS.items() if not command.hidden])
def test_the_first_page_has_every_command(command):
    assert f"| `robust-sweep {command}" in PAGES["README.md"].text


@pytest.mark.parametrize(("page", "words"), cases(of_a_study))
def test_a_command_s_study_and_settings_make_a_plan(desk, page, words):
    desk(page)
    given = parsed(words)
    if given["study"].startswith(BEST):
        pytest.skip("is there once the search was")
    study, overrides, scale = find_study(given["study"]), parse_assignments(given["settings"]), given["scale"]
    seeds = None if given["seeds"] is None else parse_seeds(given["seeds"])
    if words[0] == "search":
        space = search_space(study, scale=scale, overrides=overrides, seeds=seeds)
        assert judged_by(space, objectives_of(given["objectives"], space))
    else:
        assert expand(study, scale=scale, overrides=overrides, seeds=seeds).evaluations


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("page", "name"), study_files())
def test_a_study_of_a_page_is_planned_by_the_command_line(desk, page, name, scale):
    desk(page)
    done = CliRunner().invoke(app, ["plan", f"{name}:STUDY", "--scale", scale, "--root", "results"])
    assert done.exit_code == 0, done.output
    assert find_study(f"{name}:STUDY").name in done.output


@pytest.mark.parametrize("name", [name for name, code in STUDIES_PAGE.files.items() if "search=" in code])
def test_ranges_of_a_page_can_be_searched(desk, name):
    desk(STUDIES_PAGE)
    space = search_space(find_study(f"{name}:STUDY"), scale="quick", overrides={}, seeds=None)
    assert space.plan(space.corners()).trainings


@pytest.mark.slow
def test_the_first_study_runs_from_the_file_to_the_table(desk):
    desk(STUDIES_PAGE)
    small = "--set epochs=1 --set examples=64 --set attack.*.steps=2 --seeds 0 --root results"
    command = [sys.executable, "-m", "orchestrator", "run", "my_study.py:STUDY", *small.split()]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rbf_mapping centers=64" in done.stdout


@pytest.mark.parametrize("field", Study.model_fields)
def test_the_page_of_studies_has_every_field(field):
    rows = STUDIES_PAGE.text.partition("## Every field")[2].partition("\n## ")[0].splitlines()
    assert [row for row in rows if row.startswith("| ") and f"`{field}`" in row.split("|")[1]]


@pytest.mark.parametrize("name", [*DEFENSES, *NETWORKS, *ATTACKS, *MEASURES])
def test_the_page_of_studies_has_every_name_that_a_study_can_use(name):
    assert f"`{name}`" in STUDIES_PAGE.text.partition("## What a study can name")[2]
