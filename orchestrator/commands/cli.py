"""The command line: parses, calls, prints; what it shows is made in its neighbours and in `orchestrator.report`.

Heavy imports are inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from orchestrator.commands.options import (
    DEFAULT_DATA,
    STORES,
    TRIALS,
    Download,
    ResourceOptions,
    RetryFailed,
    SearchOptions,
    StoreOptions,
    StudyOptions,
    SweepOptions,
    TrackingUri,
)
from orchestrator.commands.spread import spread
from orchestrator.terminal_style import print_line

app = typer.Typer(
    name="robust-sweep",
    help=(
        "Find out whether an adversarial defense really works.\n\n"
        "A [bold]study[/] is a named question: defenses, settings to vary, attacks and seeds. "
        "Look at one with [cyan]plan[/], answer it with [cyan]run[/], read it again with [cyan]report[/]."
    ),
    epilog=(
        "[bold]Examples[/]\n\n"
        "robust-sweep studies\n\n"
        "robust-sweep run quickstart\n\n"
        "robust-sweep plan quickstart --set epochs=3 --set 'defense.centers=[8,16]' --seeds 0,1,2"
    ),
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
PIPE_WIDTH = 120


@app.command()
@spread
def studies(place: StoreOptions) -> None:
    """List every study: what it answers and how much work it is at each scale.

    [dim]robust-sweep studies[/]
    """
    from orchestrator.commands.listing import studies_table

    _console().print(studies_table())


@app.command()
@spread
def plan(
    asked: StudyOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    *,
    place: StoreOptions,
) -> None:
    """Show what would run, what is cached and what each axis varies. Runs nothing.

    [dim]robust-sweep plan quickstart --set epochs=3 --seeds 0,1,2[/]
    """
    from orchestrator.commands.listing import plan_json, plan_view
    from orchestrator.sweeping.remainder import remainder

    store = place.open()
    expanded = asked.plan(store)
    rest = remainder(expanded, store)
    if as_json:
        typer.echo(plan_json(expanded, rest))
    else:
        _console().print(plan_view(expanded, rest))


@app.command()
@spread
def run(
    asked: StudyOptions,
    where: SweepOptions,
    retry_failed: RetryFailed = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Run trials in this process, one after the other, so that a breakpoint() in a defense works.",
        ),
    ] = False,
    *,
    place: StoreOptions,
) -> None:
    """Run what is missing of a study, then print its table. Running again resumes; a finished study ends at once.

    [dim]robust-sweep run quickstart[/]
    [dim]robust-sweep run quickstart --set dataset=parquet:path/to/images --set epochs=3[/]
    [dim]robust-sweep run my_study.py:STUDY --address auto --gpus-per-trial 0.5[/]
    """
    from orchestrator.commands.run import run_study

    resources, store = where.resources(), place.open()
    code = run_study(
        asked.plan(store),
        store,
        resources=resources,
        tracking_uri=where.tracking_uri,
        data_folder=where.data,
        download=where.download,
        console=_console(),
        retry_failed=retry_failed,
        debug=debug,
    )
    raise typer.Exit(code)


@app.command()
@spread
def submit(
    address: Annotated[
        str,
        typer.Option(
            envvar="RAY_API_SERVER_ADDRESS",
            metavar="URL",
            rich_help_panel=TRIALS,
            help="The cluster's dashboard, e.g. http://head:8265.",
        ),
    ],
    asked: StudyOptions,
    reserved: ResourceOptions,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            envvar="MLFLOW_TRACKING_URI",
            metavar="URI",
            rich_help_panel=STORES,
            help="MLflow server that the head can reach (default: the head's own).",
        ),
    ] = None,
    data: Annotated[
        str,
        typer.Option(metavar="FOLDER", rich_help_panel=STORES, help="Folder of torchvision's datasets on the head."),
    ] = DEFAULT_DATA,
    download: Download = False,
    retry_failed: RetryFailed = False,
    shared: Annotated[bool, typer.Option("--shared", help="The root is a folder that every node mounts.")] = False,
    wait: Annotated[bool, typer.Option(help="Follow the job to its end.")] = True,
    *,
    place: StoreOptions,
) -> None:
    """Send a study and this code to a Ray cluster and follow the job; the exit code is the job's.

    Ctrl-C stops following the job but does not stop the job.

    [dim]robust-sweep submit quickstart --address http://head:8265 --root s3://bucket/prefix --gpus-per-trial 0.25[/]
    [dim]robust-sweep submit my_study.py:STUDY --address http://head:8265 --root /mnt/sweeps --shared[/]
    """
    from orchestrator.cluster.submission import check_root, check_tracking_uri, submission_of
    from orchestrator.cluster.submit import check_address
    from orchestrator.cluster.submit import submit as send

    check_address(address)
    check_root(place.root, is_shared=shared)
    check_tracking_uri(tracking_uri)
    resources = reserved.resources()
    resources.check()
    submission = submission_of(
        asked.plan(place.open()),
        root=place.root,
        resources=resources,
        tracking_uri=tracking_uri,
        data=data,
        download=download,
        retry_failed=retry_failed,
    )
    raise typer.Exit(send(submission, address=address, console=_console(), wait=wait))


@app.command(hidden=True)
def arrive(file: Path, tracking_uri: TrackingUri = None) -> None:
    """Run what `submit` sent; a job's own command."""
    from orchestrator.cluster.submission import load_submission
    from orchestrator.commands.run import run_study
    from orchestrator.storage.store import Store

    submission = load_submission(file)
    os.chdir(Path.home())  # a job's folder is deleted with the job, and databases go to the working directory
    code = run_study(
        submission.plan(),
        Store(submission.root),
        resources=submission.resources,
        tracking_uri=submission.tracking_uri or tracking_uri,
        data_folder=submission.data,
        download=submission.download,
        console=_console(),
        retry_failed=submission.retry_failed,
    )
    raise typer.Exit(code)


@app.command()
@spread
def status(asked: StudyOptions, place: StoreOptions) -> None:
    """Show how far a study is: done, under way, left, and its failures by cause.

    [dim]robust-sweep status quickstart[/]
    """
    from orchestrator.commands.status import status_view

    store = place.open()
    _console().print(status_view(asked.plan(store), store))


@app.command()
@spread
def search(chosen: SearchOptions, asked: StudyOptions, where: SweepOptions, place: StoreOptions) -> None:
    """Search a study's space for the most accurate and most robust settings.

    Running again continues the search; run best:NAME runs the study with the best settings.

    [dim]robust-sweep search cross_paper --trials 40[/]
    [dim]robust-sweep search cross_paper --set defense=trades --objectives robust_accuracy:pgd_linf --pruner asha[/]
    """
    from orchestrator.commands.search import Request, run_search

    store = place.open()
    code = run_search(
        Request(asked=asked.study, study=asked.found(store), **asked.changes(), **vars(chosen)),
        store,
        resources=where.resources(),
        tracking_uri=where.tracking_uri,
        data_folder=where.data,
        download=where.download,
        console=_console(),
    )
    raise typer.Exit(code)


@app.command()
@spread
def report(
    asked: StudyOptions,
    formats: Annotated[
        list[str],
        typer.Option(
            "--format",
            metavar="NAME",
            help="markdown, latex, csv, html, a format of an installed package, or all. Repeatable.",
        ),
    ] = ["all"],
    *,
    place: StoreOptions,
) -> None:
    """Write a study's report from the store alone; with all formats (the default), print its tables too.

    [dim]robust-sweep report quickstart --format latex[/]
    """
    from orchestrator.report import formats_of, render, render_terminal, write_files
    from orchestrator.summary import summarise

    wanted = formats_of(formats)
    store = place.open()
    expanded = asked.plan(store)
    summary = summarise(expanded, store)
    files = render(summary, wanted)
    console = _console()
    if "all" in formats:
        console.print(render_terminal(summary, width=console.width))
    for location in write_files(expanded, store, files).values():
        print_line(console, f"wrote {location}")


@app.command()
@spread
def show(
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="A fingerprint or its beginning, from plan or a report.")
    ],
    place: StoreOptions,
) -> None:
    """Show a model's spec, history and records, or an evaluation's spec and records.

    [dim]robust-sweep show 8f3a21[/]
    """
    from orchestrator.commands.listing import entry_view

    _console().print(entry_view(place.open(), fingerprint))


@app.command()
def describe(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="defense, attack, training, ... (default: list them all).")
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One thing of that kind.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="FILE", hidden=True, help="Write the reference between the markers of a Markdown file."),
    ] = None,
) -> None:
    """Explain what there is to choose from: without a KIND all kinds, without a NAME all of its names.

    [dim]robust-sweep describe defense rbf_mapping[/]
    [dim]robust-sweep describe attack[/]
    """
    from orchestrator.commands import describe_view

    if markdown is not None:
        markdown.write_text(describe_view.with_reference(markdown.read_text()))
    elif as_json:
        typer.echo(describe_view.described_json(kind, name))
    else:
        _console().print(describe_view.description_view(kind, name))


def main() -> None:
    """Run the command line; a user's mistake, or a root that does not answer, ends with a message and exit code 2."""
    from orchestrator.commands.argv import hide_secrets
    from orchestrator.uris import RootError
    from trainables.errors import InputError

    hide_secrets()
    try:
        app()
    except (InputError, RootError) as error:
        print_line(Console(stderr=True), f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(2)


def _console() -> Console:
    """Return standard output: as wide as the terminal; in a file or a pipe, wide enough for a table."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)
