import time

import pytest

from orchestrator.storage import remote
from orchestrator.storage.remote import RootError, ask

ROOT = "s3://KEY:secret@bucket/prefix"
AWAY = OSError("When uploading object: AWS Error NETWORK_CONNECTION during PutObject operation: no host for secret")
REFUSED = OSError("When uploading object: AWS Error ACCESS_DENIED during PutObject operation")


class Root:
    """Answers after it has raised these errors."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def __call__(self):
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(remote, "PAUSE_SECONDS", 0.01)


def test_a_root_that_comes_back_is_waited_for():
    assert ask(Root(AWAY, AWAY), ROOT, patience=10.0) == "answer"


def test_a_root_that_stays_away_is_given_up_and_its_secret_is_not_shown():
    start = time.monotonic()
    with pytest.raises(RootError, match=r"^root 's3://KEY:\*\*\*@bucket/prefix': .*NETWORK_CONNECTION.* for \*\*\*$"):
        ask(Root(*[AWAY] * 1000), ROOT, patience=0.1)
    assert time.monotonic() - start < 5.0


def test_a_root_that_refuses_is_not_asked_again():
    with pytest.raises(RootError, match="ACCESS_DENIED"):
        ask(Root(REFUSED), ROOT, patience=10.0)


def test_without_patience_a_root_is_asked_once():
    with pytest.raises(RootError, match="NETWORK_CONNECTION"):
        ask(Root(AWAY), ROOT, patience=0.0)


def test_what_is_not_there_is_no_matter_of_patience():
    with pytest.raises(FileNotFoundError, match="no such key"):
        ask(Root(FileNotFoundError("no such key")), ROOT, patience=10.0)
