import re

import pytest

from orchestrator.commands.lookup import find_study
from orchestrator.searching.history import History, SearchTrial, save_history
from search_spaces import STUDIES
from trainables.errors import InputError

GOOD = """\
from search_spaces import Study

MINE = Study(name="mine", title="Mine", base={"defense": "none"}, space=({},))
OTHER = 3
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a study file into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="mine.py"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_found_by_its_name(name):
    assert find_study(name) is STUDIES[name]


@pytest.mark.parametrize("path", ["mine.py", "./mine.py", "{absolute}"])
def test_a_study_is_found_in_a_file(write, path):
    absolute = write(GOOD)
    assert find_study(f"{path.format(absolute=absolute)}:MINE").title == "Mine"


def test_a_file_is_read_anew_each_time(write):
    write(GOOD)
    find_study("mine.py:MINE")
    write(GOOD.replace('"Mine"', '"Yours, and longer"'))
    assert find_study("mine.py:MINE").title == "Yours, and longer"


def test_the_best_of_a_search_is_a_study(store):
    study = STUDIES["quickstart"]
    history = History(
        name="mine",
        study=study,
        command="",
        objectives=("clean_accuracy",),
        ranges={},
        seeds=(0,),
        sampler="tpe",
        pruner="none",
        storage="",
        trials=(SearchTrial(number=0, state="complete", values=(0.5,), settings={"defense": "madry"}),),
    )
    save_history(store, history)
    found = find_study("best:mine", store)
    assert found.name == "best-mine"
    assert {"defense.name": ("madry",)} in found.space
    with pytest.raises(InputError, match="search 'other' is not in"):
        find_study("best:other", store)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("quickstrat", "unknown study 'quickstrat'. Did you mean 'quickstart'? Known: ", id="near miss"),
        pytest.param("zzz", "unknown study 'zzz'. Known: ", id="nothing near"),
        pytest.param("", "unknown study ''. Known: ", id="empty"),
        pytest.param("mine.py", "a study in a file is named file.py:VARIABLE, got 'mine.py'", id="file alone"),
        pytest.param("none.py:MINE", "study file 'none.py' does not exist: a study in a file is named", id="no file"),
        pytest.param("mine.py:MIEN", "mine.py has no study 'MIEN'. Did you mean 'MINE'? Known: MINE.", id="variable"),
        pytest.param("mine.py:OTHER", "'OTHER' in mine.py must be a Study, got ", id="no study"),
        pytest.param("mine.py:", "mine.py has no study ''. Known: MINE.", id="no variable"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(write, text, message):
    write(GOOD)
    with pytest.raises(InputError, match=re.escape(message)):
        find_study(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("\n\n1 / 0\n", "mine.py, line 3: ZeroDivisionError: division by zero", id="raises"),
        pytest.param("def f():\n    1 / 0\n\nf()\n", "mine.py, line 2: ZeroDivisionError", id="raises in a function"),
        pytest.param("import json\n\njson.loads('')\n", "mine.py, line 3: JSONDecodeError: ", id="raises elsewhere"),
        pytest.param("x = 1\ny = (\n", "mine.py, line 2: SyntaxError: '(' was never closed", id="syntax"),
        pytest.param("import nothing_of_that_name\n", "mine.py, line 1: ModuleNotFoundError: No module", id="import"),
        pytest.param(
            GOOD.replace("search_spaces", "orchestrator.study"),
            "mine.py, line 1: ModuleNotFoundError: No module named 'orchestrator.study'. "
            "Study moved: write `from search_spaces import Study`",
            id="import of before the move",
        ),
        pytest.param(
            GOOD.replace("space=", "spce="),
            "mine.py, line 3: unknown key 'spce'. Did you mean 'space'? Known: attacks, base,",
            id="unknown field",
        ),
        pytest.param(
            GOOD.replace("({},)", '({},), attacks={"a": {"name": "pgdd", "eps": (0.1,)}}'),
            "mine.py, line 3: attacks.a: unknown attack 'pgdd'. Did you mean 'pgd'? Known: ",
            id="unknown attack",
        ),
        pytest.param(
            GOOD.replace("({},)", '({},), attacks={"a": {"name": "pgd", "eps": (8,)}}'),
            "mine.py, line 3: attacks.a: eps must be in (0, 1] for norm linf, got 8.0 (did you mean 8/255?)",
            id="eps on the 0..255 scale",
        ),
        pytest.param(GOOD.replace('name="mine", ', ""), "mine.py, line 3: name: field required", id="field missing"),
        pytest.param(
            GOOD + "from trainables.errors import InputError\nraise InputError('no')\n",
            "mine.py, line 6: no",
            id="ours",
        ),
    ],
)
@pytest.mark.parametrize("place", ["", "./"])
def test_a_mistake_in_a_file_is_told_with_its_line(write, place, text, message):
    write(text)
    with pytest.raises(InputError, match=re.escape(message)):
        find_study(f"{place}mine.py:MINE")
