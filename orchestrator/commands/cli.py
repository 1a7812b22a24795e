"""The command line: parses, calls, prints; what it shows is made in `orchestrator.listing` and `report`.

Heavy imports stand inside the commands, so that --help answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from orchestrator.cluster.resources import Resources
    from orchestrator.planning.plan import Plan
    from orchestrator.storage.store import Store

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
StudyName = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="A study's name, path/to/file.py:VARIABLE for one of your own, or best:NAME for the best of a search.",
    ),
]
Root = Annotated[
    str,
    typer.Option("--root", envvar="ROBUST_SWEEP_ROOT", help="Where results are kept: a folder or s3://bucket/prefix."),
]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, e.g. epochs=3, dataset=parquet:images, attack.pgd_linf.eps=[0.1,0.2]. "
        "A list for a key that holds one value is a new axis. Repeatable.",
    ),
]
Seeds = Annotated[
    str | None, typer.Option(metavar="0,1,2", help="Seeds, each a repetition; the study's own unless given.")
]
Scale = Annotated[str, typer.Option(help="quick: minutes on two CPU cores. paper: the paper's settings.")]
Address = Annotated[
    str | None, typer.Option(help="A Ray cluster's address, e.g. auto on one of its nodes; else this machine.")
]
CpusPerTrial = Annotated[float, typer.Option(help="CPUs a trial reserves.")]
GpusPerTrial = Annotated[float, typer.Option(help="GPUs a trial reserves, e.g. 0.25 to pack four on one.")]
GpuMemoryPerTrial = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory that a trial needs, e.g. 6GiB; as many share a GPU as it has room for."),
]
MaxConcurrent = Annotated[int | None, typer.Option(help="Trials at once; as many as fit unless given.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow server or database; unless given, SQLite under the root."),
]
Data = Annotated[str, typer.Option(envvar="ROBUST_SWEEP_DATA", help="Where torchvision's datasets lie.")]
Download = Annotated[bool, typer.Option(help="Download a torchvision dataset that is not there.")]
RetryFailed = Annotated[bool, typer.Option(help="Run only what was tried before and failed.")]
DEFAULT_DATA = "~/.cache/robust-sweep"
PIPE_WIDTH = 120
DEFAULT_ROOT = "./robust-sweep-results"


@app.command()
def studies(root: Root = DEFAULT_ROOT) -> None:
    """List every study: what it answers and how much work it is at each scale.

    [dim]robust-sweep studies[/]
    """
    from orchestrator.commands.listing import studies_table

    _console().print(studies_table())


@app.command()
def plan(
    study: StudyName,
    settings: Settings = [],
    seeds: Seeds = None,
    scale: Scale = "quick",
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Show what would run, what is cached and what each axis varies. Runs nothing.

    [dim]robust-sweep plan quickstart --set epochs=3 --seeds 0,1,2[/]
    """
    from orchestrator.commands.listing import plan_json, plan_view
    from orchestrator.storage.store import Store
    from orchestrator.sweeping.remainder import remainder

    store = Store(root)
    expanded = _expand(study, settings, seeds, scale, store)
    rest = remainder(expanded, store)
    if as_json:
        typer.echo(plan_json(expanded, rest))
    else:
        _console().print(plan_view(expanded, rest))


@app.command()
def run(
    study: StudyName,
    settings: Settings = [],
    seeds: Seeds = None,
    scale: Scale = "quick",
    address: Address = None,
    cpus_per_trial: CpusPerTrial = 1.0,
    gpus_per_trial: GpusPerTrial = 0.0,
    gpu_memory_per_trial: GpuMemoryPerTrial = None,
    max_concurrent: MaxConcurrent = None,
    tracking_uri: TrackingUri = None,
    data: Data = DEFAULT_DATA,
    download: Download = False,
    retry_failed: RetryFailed = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Run what is missing of a study, then print its table. Running again resumes; a finished study ends at once.

    [dim]robust-sweep run quickstart[/]
    [dim]robust-sweep run quickstart --set dataset=parquet:path/to/images --set epochs=3[/]
    [dim]robust-sweep run my_study.py:STUDY --address auto --gpus-per-trial 0.5[/]
    """
    from orchestrator.commands.run import run_study
    from orchestrator.storage.store import Store

    resources = _resources(address, cpus_per_trial, gpus_per_trial, max_concurrent, gpu_memory_per_trial)
    store = Store(root)
    expanded = _expand(study, settings, seeds, scale, store)
    code = run_study(
        expanded,
        store,
        resources=resources,
        tracking_uri=tracking_uri,
        data_folder=data,
        download=download,
        console=_console(),
        retry_failed=retry_failed,
    )
    raise typer.Exit(code)


@app.command()
def submit(
    study: StudyName,
    address: Annotated[
        str,
        typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="The cluster's dashboard, e.g. http://head:8265."),
    ],
    settings: Settings = [],
    seeds: Seeds = None,
    scale: Scale = "quick",
    cpus_per_trial: CpusPerTrial = 1.0,
    gpus_per_trial: GpusPerTrial = 0.0,
    gpu_memory_per_trial: GpuMemoryPerTrial = None,
    max_concurrent: MaxConcurrent = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            envvar="MLFLOW_TRACKING_URI", help="MLflow server that the head reaches; unless given, the head's own."
        ),
    ] = None,
    data: Annotated[str, typer.Option(help="Where torchvision's datasets lie on the head.")] = DEFAULT_DATA,
    download: Download = False,
    retry_failed: RetryFailed = False,
    shared: Annotated[bool, typer.Option("--shared", help="The root is a folder that every node mounts.")] = False,
    wait: Annotated[bool, typer.Option(help="Follow the job to its end.")] = True,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Send a study to a Ray cluster, with this code, and follow it; its exit code is the job's. Ctrl-C lets it go on.

    [dim]robust-sweep submit quickstart --address http://head:8265 --root s3://bucket/prefix --gpus-per-trial 0.25[/]
    [dim]robust-sweep submit my_study.py:STUDY --address http://head:8265 --root /mnt/sweeps --shared[/]
    """
    from orchestrator.cluster.submission import check_root, check_tracking_uri, submission_of
    from orchestrator.cluster.submit import check_address
    from orchestrator.cluster.submit import submit as send
    from orchestrator.storage.store import Store

    check_address(address)
    check_root(root, is_shared=shared)
    check_tracking_uri(tracking_uri)
    resources = _resources(None, cpus_per_trial, gpus_per_trial, max_concurrent, gpu_memory_per_trial)
    resources.check()
    submission = submission_of(
        _expand(study, settings, seeds, scale, Store(root)),
        root=root,
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
def status(
    study: StudyName,
    settings: Settings = [],
    seeds: Seeds = None,
    scale: Scale = "quick",
    root: Root = DEFAULT_ROOT,
) -> None:
    """Show how far a study is: done, under way, left, and its failures by cause.

    [dim]robust-sweep status quickstart[/]
    """
    from orchestrator.commands.status import status_view
    from orchestrator.storage.store import Store

    store = Store(root)
    _console().print(status_view(_expand(study, settings, seeds, scale, store), store))


@app.command()
def search(
    study: StudyName,
    trials: Annotated[int, typer.Option(help="Points to try, those of earlier calls included.")] = 20,
    objectives: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="What to maximise on validation examples: clean_accuracy, robust_accuracy:COLUMN, COLUMN@EPS, "
            "robust_accuracy:worst_case. Clean and worst case unless given.",
        ),
    ] = "",
    sampler: Annotated[str, typer.Option(help="tpe, nsgaii, gp or random.")] = "tpe",
    pruner: Annotated[
        str, typer.Option(help="asha, median or none; gives up trainings that fall behind, of one objective.")
    ] = "none",
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="ROBUST_SWEEP_STORAGE",
            help="Database of the trials, e.g. postgresql://host/db; unless given, SQLite under the root.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Names the search; unless given, its study and settings do.")] = None,
    sampler_seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 0,
    settings: Settings = [],
    seeds: Seeds = None,
    scale: Scale = "quick",
    address: Address = None,
    cpus_per_trial: CpusPerTrial = 1.0,
    gpus_per_trial: GpusPerTrial = 0.0,
    gpu_memory_per_trial: GpuMemoryPerTrial = None,
    max_concurrent: MaxConcurrent = None,
    tracking_uri: TrackingUri = None,
    data: Data = DEFAULT_DATA,
    download: Download = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Search a study's space for what is most accurate and most robust. Running again goes on; run best:NAME tests it.

    [dim]robust-sweep search cross_paper --trials 40[/]
    [dim]robust-sweep search cross_paper --set defense=trades --objectives robust_accuracy:pgd_linf --pruner asha[/]
    """
    from orchestrator.commands.lookup import find_study
    from orchestrator.commands.search import Request, run_search
    from orchestrator.planning.keys import parse_assignments, parse_seeds
    from orchestrator.storage.store import Store

    store = Store(root)
    request = Request(
        asked=study,
        study=find_study(study, store),
        scale=scale,
        overrides=parse_assignments(settings),
        seeds=None if seeds is None else parse_seeds(seeds),
        objectives=objectives,
        trials=trials,
        sampler=sampler,
        pruner=pruner,
        sampler_seed=sampler_seed,
        storage=storage,
        name=name,
    )
    code = run_search(
        request,
        store,
        resources=_resources(address, cpus_per_trial, gpus_per_trial, max_concurrent, gpu_memory_per_trial),
        tracking_uri=tracking_uri,
        data_folder=data,
        download=download,
        console=_console(),
    )
    raise typer.Exit(code)


@app.command()
def report(
    study: StudyName,
    settings: Settings = [],
    seeds: Seeds = None,
    scale: Scale = "quick",
    formats: Annotated[list[str], typer.Option("--format", help="markdown, latex, csv, html or all. Repeatable.")] = [
        "all"
    ],
    root: Root = DEFAULT_ROOT,
) -> None:
    """Write a study's report from the store alone, and print its tables unless one format is asked for.

    [dim]robust-sweep report quickstart --format latex[/]
    """
    from orchestrator.report import checked, render, summarise, write_files
    from orchestrator.report.formats.terminal import terminal
    from orchestrator.storage.store import Store

    checked(formats)
    store = Store(root)
    expanded = _expand(study, settings, seeds, scale, store)
    summary = summarise(expanded, store)
    files = render(summary, formats)
    console = _console()
    if "all" in formats:
        console.print(terminal(summary, width=console.width))
    for location in write_files(expanded, store, files).values():
        console.print(f"wrote {location}", highlight=False, soft_wrap=True)


@app.command()
def show(
    fingerprint: Annotated[str, typer.Argument(help="A fingerprint or its beginning, from plan or a report.")],
    root: Root = DEFAULT_ROOT,
) -> None:
    """Show a model's spec, history and records, or an evaluation's.

    [dim]robust-sweep show 8f3a21[/]
    """
    from orchestrator.commands.listing import entry_view
    from orchestrator.storage.store import Store

    _console().print(entry_view(Store(root), fingerprint))


def main() -> None:
    """Run the command line; a user's mistake, or a root that is away, ends with a message and exit code 2."""
    from orchestrator.commands.argv import hide_secrets
    from orchestrator.storage.remote import RootError
    from trainables.errors import InputError

    hide_secrets()
    try:
        app()
    except (InputError, RootError) as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)


def _resources(
    address: str | None, cpus: float, gpus: float, max_concurrent: int | None, gpu_memory: str | None
) -> Resources:
    from orchestrator.cluster.packing import parse_memory
    from orchestrator.cluster.resources import Resources

    memory = None if gpu_memory is None else parse_memory(gpu_memory)
    return Resources(address, cpus, gpus, max_concurrent, memory)


def _expand(study: str, settings: list[str], seeds: str | None, scale: str, store: Store) -> Plan:
    from orchestrator.commands.lookup import find_study
    from orchestrator.planning.keys import parse_assignments, parse_seeds
    from orchestrator.planning.plan import expand

    return expand(
        find_study(study, store),
        asked=study,
        scale=scale,
        overrides=parse_assignments(settings),
        seeds=None if seeds is None else parse_seeds(seeds),
    )


def _console() -> Console:
    """Return standard output: as wide as the terminal; in a file or a pipe, wide enough for a table."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)
