import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cluster.resources import Resources
from orchestrator.cluster.submission import (
    FILE,
    Submission,
    check_root,
    check_tracking_uri,
    load_submission,
    submission_of,
)
from orchestrator.commands.lookup import find_study
from orchestrator.planning.plan import expand
from search_spaces import STUDIES
from search_spaces.study import SCALES
from trainables.errors import InputError

WIDE = Resources(None, 2.0, 0.25, 8)
OWN = """\
from search_spaces import Study

MINE = Study(name="mine", title="Mine", base={"defense": "none"}, space=({"epochs": (1, 2)},))
"""


def sent(plan, **options):
    """Return a submission after its way to the cluster, which is JSON."""
    submission = submission_of(plan, root="s3://b/p", resources=WIDE, **options)
    return Submission.model_validate_json(submission.model_dump_json())


def arrived(plan):
    """Return the plan of what was sent; its study has lists where the original may have tuples."""
    return replace(sent(plan).plan(), study=plan.study)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_arrives_as_the_plan_that_was_sent(name, scale):
    plan = expand(STUDIES[name], scale=scale)
    assert arrived(plan) == plan


def test_what_was_changed_of_a_study_arrives_too():
    overrides = {"epochs": [1, 3], "attack.pgd_linf.eps": [0.1], "defense.psi": "factor"}
    plan = expand(STUDIES["quickstart"], scale="paper", overrides=overrides, seeds=(4, 5))
    assert arrived(plan) == plan
    assert arrived(plan).slug == plan.slug


def test_a_study_of_the_users_own_file_arrives_without_the_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    plan = expand(find_study(f"{file}:MINE"), asked="mine.py:MINE")
    submission = sent(plan)
    file.unlink()
    assert submission.plan() == plan
    assert submission.plan().asked == "mine.py:MINE"


def test_a_cluster_asks_for_what_was_asked_for_here(small_plan):
    submission = sent(small_plan, tracking_uri="http://mlflow:5000", data="/data", download=True, retry_failed=True)
    assert submission.resources == Resources("auto", 2.0, 0.25, 8)
    assert (submission.tracking_uri, submission.data) == ("http://mlflow:5000", "/data")
    assert submission.download
    assert submission.retry_failed


def test_a_plan_that_comes_to_something_else_on_the_cluster_is_refused(small_plan, write_images):
    changed = sent(small_plan).model_copy(update={"seeds": (0,)})
    with pytest.raises(InputError, match="that was submitted, and 11 of its 20 trainings and evaluations"):
        changed.plan()
    folder = write_images("images")
    submission = sent(expand(small_plan.study, overrides={"dataset.name": f"parquet:{folder}"}))
    assert submission.plan().trainings
    for file in folder.iterdir():
        file.unlink()
    write_images("images2", label=1)
    (folder.parent / "images2").rename(folder / "data")
    with pytest.raises(InputError, match="the code or the data of the cluster differ"):
        submission.plan()


def test_a_submission_is_read_from_its_file(tmp_path, small_plan):
    submission = sent(small_plan)
    (tmp_path / FILE).write_text(submission.model_dump_json())
    assert load_submission(tmp_path / FILE) == submission
    with pytest.raises(InputError, match="submission 'none' does not exist"):
        load_submission(Path("none"))


@pytest.mark.parametrize(
    ("root", "is_shared"), [("s3://bucket/prefix", False), ("gs://b", True), ("/nfs/a", True), ("file:///nfs/a", True)]
)
def test_a_root_that_nodes_share_is_accepted(root, is_shared):
    check_root(root, is_shared=is_shared)


@pytest.mark.parametrize(
    ("root", "is_shared", "message"),
    [
        pytest.param("./results", False, "s3://bucket/prefix or an absolute path, got './results'", id="relative"),
        pytest.param("./results", True, "s3://bucket/prefix or an absolute path, got './results'", id="said, relative"),
        pytest.param("~/results", True, "or an absolute path, got '~/results'", id="somebody's home"),
        pytest.param("/results", False, "such as NFS: if it is one, say so with --shared", id="a folder"),
        pytest.param("file:///results", False, "say so with --shared", id="a folder's URI"),
        pytest.param("s3://me:secret@b/p", False, "must hold no password", id="password"),
        pytest.param("s3://me:sec/secret@b/p", False, "must hold no password", id="password with a slash"),
        pytest.param("s3://b/p?token=secret", False, "must hold no password", id="secret parameter"),
    ],
)
def test_a_root_that_nodes_may_not_share_is_refused(root, is_shared, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        check_root(root, is_shared=is_shared)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("uri", [None, "http://mlflow:5000", "https://mlflow.example", "postgresql://me@db/mlflow"])
def test_a_tracking_server_is_accepted(uri):
    check_tracking_uri(uri)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        pytest.param("sqlite:////home/me/mlflow.db", "must be of a server that the cluster's head reaches", id="file"),
        pytest.param("ftp://mlflow", "unknown kind of tracking URI 'ftp'", id="kind"),
        pytest.param("http://me:secret@mlflow", "set MLFLOW_TRACKING_URI, or MLFLOW_TRACKING_PASSWORD", id="password"),
    ],
)
def test_a_tracking_uri_that_is_of_no_use_on_a_cluster_is_refused(uri, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        check_tracking_uri(uri)
    assert "secret" not in str(error.value)


def test_a_submission_holds_no_more_than_it_says(small_plan):
    assert set(json.loads(sent(small_plan).model_dump_json())) == set(Submission.model_fields)
