"""One `run` from end to end: sweep, progress, tracking, report, and the messages at the end."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich.console import Console

from orchestrator.cluster.resources import Resources
from orchestrator.commands.session import (
    FAILED,
    FINISHED,
    INTERRUPTED,
    checked_uri,
    open_session,
    say_mlflow,
    warn_of_mlflow,
)
from orchestrator.planning.plan import Plan, command
from orchestrator.planning.wording import counted
from orchestrator.report import accuracy_figure_names, render, render_terminal, report_name, write_files
from orchestrator.storage.store import Store
from orchestrator.summary import summarise
from orchestrator.sweeping import in_process, sweep, tuner
from orchestrator.sweeping.remainder import Remainder, only_failed, remainder
from orchestrator.sweeping.watch import SweepResult
from orchestrator.terminal_style import print_line
from orchestrator.tracking.book import is_current, parent_of
from trainables.errors import InputError
from trainables.runtime.failures import Failure


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
    debug: bool = False,
    state_seconds: float = tuner.STATE_SECONDS,
) -> int:
    """Run what is missing, write the report, bring MLflow up to date; return the process's exit code.

    `retry_failed` runs only what was tried before and failed; `debug` and `state_seconds` are as of `sweep.run_plan`.
    """
    resources.check()
    if debug:
        in_process.check_debug(resources)
    uri = checked_uri(tracking_uri, store)
    rest = remainder(plan, store)
    if rest.is_empty and is_current(parent_of(plan), [plan], store, uri):
        console.print(f"nothing to run: all {len(plan.evaluations)} evaluations are in the store")
        _publish_report(plan, store, console, again=False)
        say_mlflow(uri, None, console)
        return FINISHED
    if retry_failed and (rest := only_failed(rest, store)).is_empty:
        console.print("nothing to retry: nothing of this study has failed")
        return FINISHED
    datasets = sweep.load_datasets(plan, rest, folder=data_folder, download=download)
    sweep.check_builds(rest, datasets)
    warn_of_mlflow(uri, console)
    with open_session(parent_of(plan), [plan], store, uri, console, detail=debug) as session:
        with session.progress:
            result = sweep.run_plan(
                plan,
                store,
                datasets,
                resources=resources,
                listeners=session.listeners,
                state_seconds=state_seconds,
                rest=rest,
                debug=debug,
            )
        rest = remainder(plan, store)
        session.code = _code(rest, result)
        session.files = _publish_report(plan, store, console, again=True)
    _say_failures(result.failures, plan, console)
    if result.gpu_peak_mib:
        console.print(f"GPU memory: a trial's tensors took up to {result.gpu_peak_mib} MiB, beside CUDA's own context")
    if session.code == INTERRUPTED or result.was_interrupted:
        console.print(f"[yellow]stopped[/] with {_left(rest)} left: {_way_on(result)}")
    say_mlflow(uri, session.tracker.error, console)
    return session.code


def _code(rest: Remainder, result: SweepResult) -> int:
    if result.failures:
        return FAILED
    return FINISHED if rest.is_empty else INTERRUPTED


def _publish_report(plan: Plan, store: Store, console: Console, *, again: bool) -> dict[str, bytes]:
    """Write the report if it is missing or asked for again, print its tables, say where it is.

    Return the files that were written, by name.
    """
    try:
        summary = summarise(plan, store)
    except InputError:  # not one record: every unit failed, or it was stopped at once, which is reported below
        return {}
    is_there = store.read_file(report_name(plan, "report.html")) is not None
    files = render(summary) if again or not is_there else {}
    write_files(plan, store, files)
    console.print(render_terminal(summary, width=console.width))
    plots = (("plot  ", name) for name in accuracy_figure_names(summary))
    for kind, name in (("report", "report.html"), *plots):
        if name in files or is_there:
            print_line(console, f"{kind}  {store.place(report_name(plan, name))}")
    return files


def _way_on(result: SweepResult) -> str:
    if result.quit_debugger and not (sys.stdin and sys.stdin.isatty()):
        return "a breakpoint needs a terminal, and the standard input is none; run in one, or remove the breakpoint"
    return "run the same command again to go on"


def _left(rest: Remainder) -> str:
    return f"{counted(len(rest.trainings), 'training')} and {counted(len(rest.evaluations), 'evaluation')}"


def _say_failures(failures: Mapping[str, Failure], plan: Plan, console: Console) -> None:
    if not failures:
        return
    console.print(f"[red]{counted(len(failures), 'trial')} failed[/]; the next run tries again:")
    for name, failure in failures.items():
        print_line(console, f"  {name}: {failure.error}", markup=False)
    print_line(
        console,
        f"by cause: {command(plan, 'status')}; a traceback: robust-sweep show {next(iter(failures))}; "
        f"only these again: {command(plan)} --retry-failed",
        markup=False,
    )
