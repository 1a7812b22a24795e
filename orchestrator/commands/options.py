"""The options that several commands share, in groups; a group turns what the user gave into what the program wants.

Heavy imports are inside the methods, so that --help answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.cluster.resources import Resources
    from orchestrator.planning.plan import Plan
    from orchestrator.storage.store import Store
    from search_spaces.study import Study

DEFAULT_DATA = "~/.cache/robust-sweep"
# Headings of --help: each is a table of its own, so that a long name in one leaves the others their width.
STUDY, SEARCH, TRIALS, STORES = "Study", "Search", "Trials", "Data and results"
Download = Annotated[bool, typer.Option(rich_help_panel=STORES, help="Download a torchvision dataset that is missing.")]
RetryFailed = Annotated[bool, typer.Option(help="Run only what was tried before and failed.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI",
        metavar="URI",
        rich_help_panel=STORES,
        help="MLflow server or database (default: SQLite under the root).",
    ),
]


@dataclass(frozen=True)
class StudyOptions:
    """A study, and what the user changes of it."""

    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help="A study's name, path/to/file.py:VARIABLE for one of your own, or best:NAME for the best of a search.",
        ),
    ]
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            rich_help_panel=STUDY,
            help="Change a setting, e.g. epochs=3, dataset=parquet:images, attack.pgd_linf.eps=[0.1,0.2]. "
            "A list for a key that holds one value is a new axis. Repeatable.",
        ),
    ] = field(default_factory=list)
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="0,1,2", rich_help_panel=STUDY, help="Seeds, each a repetition (default: the study's own)."
        ),
    ] = None
    scale: Annotated[
        str,
        typer.Option(
            metavar="NAME", rich_help_panel=STUDY, help="quick: minutes on two CPU cores. paper: the paper's settings."
        ),
    ] = "quick"

    def found(self, store: Store) -> Study:
        """Return the study as it was written; raise InputError if there is none."""
        from orchestrator.commands.lookup import find_study

        return find_study(self.study, store)

    def changes(self) -> dict[str, Any]:
        """Return the scale, the overrides and the seeds, as `expand` and a search's `Request` take them."""
        from orchestrator.planning.wording import parse_assignments, parse_seeds

        seeds = None if self.seeds is None else parse_seeds(self.seeds)
        return {"scale": self.scale, "overrides": parse_assignments(self.settings), "seeds": seeds}

    def plan(self, store: Store) -> Plan:
        """Return the study's plan."""
        from orchestrator.planning.plan import expand

        return expand(self.found(store), asked=self.study, **self.changes())


@dataclass(frozen=True)
class StoreOptions:
    """Where results are kept."""

    root: Annotated[
        str,
        typer.Option(
            envvar="ROBUST_SWEEP_ROOT",
            metavar="ROOT",
            rich_help_panel=STORES,
            help="Where results are kept: a folder or s3://bucket/prefix.",
        ),
    ] = "./robust-sweep-results"

    def open(self) -> Store:
        from orchestrator.storage.store import Store

        return Store(self.root)


@dataclass(frozen=True)
class ResourceOptions:
    """What each trial reserves, and how many run at once."""

    cpus_per_trial: Annotated[
        float, typer.Option(metavar="N", rich_help_panel=TRIALS, help="CPUs that a trial reserves.")
    ] = 1.0
    gpus_per_trial: Annotated[
        float,
        typer.Option(
            metavar="N", rich_help_panel=TRIALS, help="GPUs that a trial reserves, e.g. 0.25 to pack four on one."
        ),
    ] = 0.0
    gpu_memory_per_trial: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            rich_help_panel=TRIALS,
            help="GPU memory that a trial needs, e.g. 6GiB; as many trials share a GPU as it has room for.",
        ),
    ] = None
    max_concurrent: Annotated[
        int | None, typer.Option(metavar="N", rich_help_panel=TRIALS, help="Trials at once (default: as many as fit).")
    ] = None

    def resources(self, address: str | None = None) -> Resources:
        """Return these as of a Ray cluster, or of this machine if there is no address."""
        from orchestrator.cluster.packing import parse_memory
        from orchestrator.cluster.resources import Resources

        memory = None if self.gpu_memory_per_trial is None else parse_memory(self.gpu_memory_per_trial)
        return Resources(address, self.cpus_per_trial, self.gpus_per_trial, self.max_concurrent, memory)


@dataclass(frozen=True)
class SweepOptions:
    """Where trials run from this machine, and what they read and write."""

    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            rich_help_panel=TRIALS,
            help="Address of a Ray cluster, e.g. auto on one of its nodes (default: this machine).",
        ),
    ] = None
    reserved: ResourceOptions = field(default_factory=ResourceOptions)
    tracking_uri: TrackingUri = None
    data: Annotated[
        str,
        typer.Option(
            envvar="ROBUST_SWEEP_DATA",
            metavar="FOLDER",
            rich_help_panel=STORES,
            help="Folder of torchvision's datasets.",
        ),
    ] = DEFAULT_DATA
    download: Download = False

    def resources(self) -> Resources:
        return self.reserved.resources(self.address)


@dataclass(frozen=True)
class SearchOptions:
    """How a search goes; its fields are those of a `Request` that have no other source."""

    trials: Annotated[
        int, typer.Option(metavar="N", rich_help_panel=SEARCH, help="Points to try, including those of earlier calls.")
    ] = 20
    objectives: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            rich_help_panel=SEARCH,
            help="Objectives to maximise on validation examples: clean_METRIC (clean_accuracy for classes), "
            "robust_METRIC:COLUMN, robust_METRIC:COLUMN@EPS, robust_METRIC:worst_case (default: clean and worst case).",
        ),
    ] = ""
    sampler: Annotated[str, typer.Option(metavar="NAME", rich_help_panel=SEARCH, help="tpe, nsgaii, gp or random.")] = (
        "tpe"
    )
    pruner: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            rich_help_panel=SEARCH,
            help="asha, median or none; stops trainings that fall behind; needs a single objective.",
        ),
    ] = "none"
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="ROBUST_SWEEP_STORAGE",
            metavar="URI",
            rich_help_panel=SEARCH,
            help="Database of the trials, e.g. postgresql://host/db (default: SQLite under the root).",
        ),
    ] = None
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=SEARCH,
            help="Name of the search (default: derived from the study and its settings).",
        ),
    ] = None
    sampler_seed: Annotated[int, typer.Option(metavar="N", rich_help_panel=SEARCH, help="Seed of the sampler.")] = 0
