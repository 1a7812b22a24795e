"""The session of a `run` or a `search`: checks before it, its listeners, its end, and messages about MLflow."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from orchestrator.cluster.preflight import tracking_refusal
from orchestrator.commands.progress import Progress
from orchestrator.planning.plan import Plan
from orchestrator.storage.store import Store
from orchestrator.terminal_style import print_line
from orchestrator.tracking.book import Parent, default_uri
from orchestrator.tracking.tracker import Tracker
from orchestrator.uris import check_uri, without_password

FINISHED, FAILED, INTERRUPTED = 0, 1, 130
MLFLOW_STATUS = {FINISHED: "FINISHED", FAILED: "FAILED", INTERRUPTED: "KILLED"}


@dataclass
class Session:
    """A sweep that is shown and tracked. Its owner sets the exit code and the report's files before it closes."""

    progress: Progress
    tracker: Tracker
    code: int = FAILED
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def listeners(self) -> tuple[Progress, Tracker]:
        return self.progress, self.tracker


@contextmanager
def open_session(
    parent: Parent, plans: Iterable[Plan], store: Store, uri: str, console: Console, *, detail: bool = False
) -> Iterator[Session]:
    """Track a sweep in MLflow and yield its session; whatever happens, close MLflow's run with the session's status.

    The session's progress is a context manager of its own, since a report is printed when its panel has gone; `detail`
    is as of `Progress`.
    """
    session = Session(Progress(console, detail=detail), Tracker(parent, plans, store, uri))
    try:
        yield session
    finally:
        text = session.files.get("report.md", b"").decode()
        with console.status("writing to MLflow"):
            session.tracker.close(session.files, text, status=MLFLOW_STATUS[session.code])


def checked_uri(tracking_uri: str | None, store: Store) -> str:
    """Return the URI of MLflow's data (default: SQLite under the root), once the root and the URI have been checked."""
    store.check_writable()
    uri = tracking_uri or default_uri(store)
    check_uri(uri)
    return uri


def warn_of_mlflow(uri: str, console: Console) -> None:
    """Report before a sweep that the MLflow server does not answer; the sweep goes on without it."""
    if (reason := tracking_refusal(uri)) is not None:
        console.print(
            f"[yellow]MLflow at {escape(without_password(uri))} does not answer[/] ({escape(reason)}): the results go "
            "to the store, and a later run writes what MLflow misses",
            highlight=False,
        )


def say_mlflow(uri: str, error: str | None, console: Console) -> None:
    """Print where MLflow's data are and how to open them, or why they were not written."""
    shown = without_password(uri)
    if error is not None:
        console.print(
            f"[yellow]MLflow at {escape(shown)} was not written[/] ({escape(error)}); the results are in the "
            "store, and the next run writes what is missing"
        )
        return
    print_line(console, f"MLflow  {shown}")
    if uri.startswith("sqlite:"):
        command = f"{installed('mlflow')} ui --backend-store-uri {shlex.quote(shown)}"
        print_line(console, f"        open it: {command}")


def installed(name: str) -> str:
    """Return a command that was installed with this Python, by its name if the shell would find that one."""
    beside = Path(sys.executable).with_name(name)
    return shlex.quote(str(beside)) if beside.exists() and shutil.which(name) != str(beside) else name
