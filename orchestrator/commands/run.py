"""One `run` from end to end: sweep, progress, tracking, report, and what the user is told afterwards."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from orchestrator.cluster.preflight import tracking_refusal
from orchestrator.cluster.resources import Resources
from orchestrator.commands.progress import Progress
from orchestrator.planning.plan import Plan
from orchestrator.report import render, report_name, summarise, write_files
from orchestrator.report.formats.terminal import terminal
from orchestrator.storage.store import Store
from orchestrator.sweeping import sweep, tuner
from orchestrator.sweeping.remainder import Remainder, only_failed, remainder
from orchestrator.sweeping.watch import SweepResult
from orchestrator.tracking.book import default_uri, is_current, parent_of
from orchestrator.tracking.tracker import Tracker
from orchestrator.uris import check_uri, without_password
from trainables.errors import InputError

FINISHED, FAILED, INTERRUPTED = 0, 1, 130
SHOWN_FILES = (
    ("report", "report.html"),
    ("plot  ", "accuracy_against_eps.png"),
    ("plot  ", "robustness_against_accuracy.png"),
)
MLFLOW_STATUS = {FINISHED: "FINISHED", FAILED: "FAILED", INTERRUPTED: "KILLED"}


def run_study(
    plan: Plan,
    store: Store,
    *,
    resources: Resources,
    tracking_uri: str | None,
    data_folder: str,
    download: bool,
    console: Console,
    retry_failed: bool = False,
    state_seconds: float = tuner.STATE_SECONDS,
) -> int:
    """Run what is missing, write the report, bring MLflow up to date; return the process's exit code.

    `retry_failed` runs only what was tried before and failed; `state_seconds` is as of `sweep.run`.
    """
    resources.check()
    store.check_writable()
    uri = tracking_uri or default_uri(store)
    check_uri(uri)
    rest = remainder(plan, store)
    if rest.is_empty and is_current(parent_of(plan), [plan], store, uri):
        console.print(f"nothing to run: all {len(plan.evaluations)} evaluations are in the store")
        _publish(plan, store, console, again=False)
        say_mlflow(uri, None, console)
        return FINISHED
    if retry_failed and (rest := only_failed(rest, store)).is_empty:
        console.print("nothing to retry: nothing of this study has failed")
        return FINISHED
    datasets = sweep.load_datasets(plan, rest, folder=data_folder, download=download)
    sweep.check_builds(plan, rest, datasets)
    warn_of_mlflow(uri, console)
    tracker = Tracker(parent_of(plan), [plan], store, uri)
    files: dict[str, bytes] = {}
    code = FAILED
    try:
        with Progress(console) as progress:
            result = sweep.run(
                plan,
                store,
                datasets,
                resources=resources,
                listeners=(progress, tracker),
                state_seconds=state_seconds,
                rest=rest,
            )
        rest = remainder(plan, store)
        code = _code(rest, result)
        files = _publish(plan, store, console, again=True)
    finally:
        with console.status("writing to MLflow"):
            tracker.close(files, files.get("report.md", b"").decode(), status=MLFLOW_STATUS[code])
    _say_failures(result.failures, console)
    if result.gpu_peak_mib:
        console.print(f"GPU memory: a trial's tensors took up to {result.gpu_peak_mib} MiB, beside CUDA's own context")
    if code == INTERRUPTED or result.was_interrupted:
        console.print(f"[yellow]stopped[/] with {_left(rest)} left: run the same command again to go on")
    say_mlflow(uri, tracker.error, console)
    return code


def _code(rest: Remainder, result: SweepResult) -> int:
    if result.failures:
        return FAILED
    return FINISHED if rest.is_empty else INTERRUPTED


def _publish(plan: Plan, store: Store, console: Console, *, again: bool) -> dict[str, bytes]:
    """Write the report unless it is there and not asked for again, print its tables, say where it is.

    Return the files that were written, by name.
    """
    try:
        summary = summarise(plan, store)
    except InputError:  # not one record: every unit failed, or it was stopped at once, as is said below
        return {}
    is_there = store.read_file(report_name(plan, "report.html")) is not None
    files = render(summary) if again or not is_there else {}
    write_files(plan, store, files)
    console.print(terminal(summary, width=console.width))
    for kind, name in SHOWN_FILES:
        if name in files or is_there:
            console.print(f"{kind}  {store.place(report_name(plan, name))}", highlight=False, soft_wrap=True)
    return files


def installed(name: str) -> str:
    """Return a command that was installed with this Python, by its name if the shell would find that one."""
    beside = Path(sys.executable).with_name(name)
    return shlex.quote(str(beside)) if beside.exists() and shutil.which(name) != str(beside) else name


def _left(rest: Remainder) -> str:
    return f"{len(rest.trainings)} trainings and {len(rest.evaluations)} evaluations"


def _say_failures(failures: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    if not failures:
        return
    console.print(f"[red]{len(failures)} trials failed[/]; the next run tries them again:")
    for name, failure in failures.items():
        console.print(f"  {name}: {failure['error']}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        "by cause: robust-sweep status STUDY; a traceback: robust-sweep show FINGERPRINT; "
        "only these again: robust-sweep run STUDY --retry-failed",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def warn_of_mlflow(uri: str, console: Console) -> None:
    """Say before a sweep that the tracking server does not answer; it goes on without."""
    if (reason := tracking_refusal(uri)) is not None:
        console.print(
            f"[yellow]MLflow at {escape(without_password(uri))} does not answer[/] ({escape(reason)}): the results go "
            "to the store, and a later run writes what MLflow misses",
            highlight=False,
        )


def say_mlflow(uri: str, error: str | None, console: Console) -> None:
    """Say where MLflow's data are and how to open them, or why they were not written."""
    shown = without_password(uri)
    if error is not None:
        console.print(
            f"[yellow]MLflow at {escape(shown)} was not written[/] ({escape(error)}); the results are in the "
            "store, and the next run writes what is missing"
        )
    elif uri.startswith("sqlite:"):
        console.print(f"MLflow  {shown}", highlight=False, soft_wrap=True)
        command = f"{installed('mlflow')} ui --backend-store-uri {shlex.quote(shown)}"
        console.print(f"        open it: {command}", highlight=False, soft_wrap=True)
    else:
        console.print(f"MLflow  {shown}", highlight=False, soft_wrap=True)
