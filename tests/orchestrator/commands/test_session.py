"""A session's end in MLflow, on a real database."""

import io

import pytest
from mlflow import MlflowClient
from rich.console import Console

from orchestrator.commands.session import FINISHED, INTERRUPTED, checked_uri, open_session
from orchestrator.tracking.book import default_uri, parent_of
from trainables.errors import InputError


def parent_run(plan, store):
    client = MlflowClient(default_uri(store))
    (run,) = client.search_runs([client.get_experiment_by_name(plan.study.name).experiment_id])
    return client, run.info


def session_of(plan, store):
    return open_session(parent_of(plan), [], store, checked_uri(None, store), Console(file=io.StringIO()))


@pytest.mark.parametrize(("code", "status"), [(FINISHED, "FINISHED"), (INTERRUPTED, "KILLED"), (None, "FAILED")])
def test_a_session_ends_with_the_status_of_its_exit_code(small_plan, store, code, status):
    with session_of(small_plan, store) as session:
        session.files = {"report.md": b"a report"}
        session.code = session.code if code is None else code
    client, info = parent_run(small_plan, store)
    assert session.tracker.error is None
    assert info.status == status
    assert [file.path for file in client.list_artifacts(info.run_id, "report")] == ["report/report.md"]


def test_a_session_that_breaks_off_has_failed_and_raises(small_plan, store):
    with (
        pytest.raises(ZeroDivisionError, match="in the middle"),
        session_of(small_plan, store) as session,
        session.progress,
    ):
        raise ZeroDivisionError("in the middle")
    assert parent_run(small_plan, store)[1].status == "FAILED"


def test_a_uri_that_mlflow_would_not_take_is_refused(store):
    with pytest.raises(InputError, match="ftp"):
        checked_uri("ftp://host", store)
