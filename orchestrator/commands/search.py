"""One `search` from end to end: space, trials, progress, tracking, report, and the messages at the end."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape

from orchestrator.cluster.resources import Resources
from orchestrator.commands.session import (
    FINISHED,
    INTERRUPTED,
    checked_uri,
    installed,
    open_session,
    say_mlflow,
    warn_of_mlflow,
)
from orchestrator.planning.wording import arguments
from orchestrator.report.search import search_files, search_terminal, write_search_files
from orchestrator.searching import search
from orchestrator.searching.history import BEST, History, SearchTrial, save_history
from orchestrator.searching.ledger import Options
from orchestrator.searching.objectives import Objective, judged_by, objectives_of
from orchestrator.searching.space import search_space
from orchestrator.storage.store import Store
from orchestrator.sweeping import sweep
from orchestrator.sweeping.remainder import Remainder
from orchestrator.terminal_style import print_line
from orchestrator.tracking.book import Parent, is_current
from orchestrator.uris import without_password
from search_spaces.study import Study
from trainables.data.splits import Splits

SHOWN_FILES = ("report.html", "pareto_front.png", "history.png", "importance.png")


@dataclass(frozen=True)
class Request:
    """A search as the user asks for it; a field that is None or empty has a default that depends on the rest."""

    asked: str
    study: Study
    scale: str = "quick"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None
    objectives: str = ""
    trials: int = 20
    sampler: str = "tpe"
    pruner: str = "none"
    sampler_seed: int = 0
    storage: str | None = None
    name: str | None = None

    def options(self, store: Store) -> Options:
        """Return how the search goes on, and its database (default: an SQLite file under the root)."""
        storage = self.storage or f"sqlite:///{store.local_folder}/optuna.db"
        return Options(self.name or self._name(), storage, self.trials, self.sampler, self.pruner, self.sampler_seed)

    def _name(self) -> str:
        """Name the search by its study, and by a hash of what was changed of it."""
        name = self.study.name if self.scale == "quick" else f"{self.study.name}-{self.scale}"
        changes = [dict(self.overrides), self.seeds, self.objectives]
        if changes == [{}, None, ""]:
            return name
        return f"{name}-{hashlib.sha256(json.dumps(changes, sort_keys=True).encode()).hexdigest()[:6]}"

    def command(self) -> str:
        """Return the command line that goes on with the search."""
        words = ["robust-sweep", "search", *arguments(self.asked, self.scale, self.overrides, self.seeds)]
        given = {
            "--objectives": self.objectives,
            "--sampler": self.sampler if self.sampler != "tpe" else "",
            "--pruner": self.pruner if self.pruner != "none" else "",
            "--sampler-seed": str(self.sampler_seed or ""),
            "--storage": without_password(self.storage) if self.storage else "",
            "--name": self.name,
            "--trials": str(self.trials),
        }
        return shlex.join([*words, *(word for key, value in given.items() if value for word in (key, value))])


def run_search(
    request: Request,
    store: Store,
    *,
    resources: Resources,
    tracking_uri: str | None,
    data_folder: str,
    download: bool,
    console: Console,
) -> int:
    """Try the points that are left, write the report, bring MLflow up to date; return the process's exit code."""
    resources.check()
    space = search_space(request.study, scale=request.scale, overrides=request.overrides, seeds=request.seeds)
    objectives = objectives_of(request.objectives, space)
    judged = judged_by(space, objectives)
    options = request.options(store)
    options.check()
    uri = checked_uri(tracking_uri, store)
    found = search.open_search(judged, objectives, options, store)
    parent, plans = _parent(found, request), found.plans()

    def history_of(found: search.Search) -> History:
        return found.history(space.study, command=request.command())

    if not found.wants_more and is_current(parent, plans, store, uri):
        console.print(f"nothing to run: all {found.done} trials are in the storage")
        _publish_history(found, history_of(found), store, console)
        _say_where(found, options, uri, None, console)
        return FINISHED
    datasets: dict[str, Splits] = {}
    if found.wants_more:
        every_kind = Remainder(tuple(found.corners.trainings.values()), (), frozenset(), frozenset())
        datasets = sweep.load_datasets(found.corners, every_kind, folder=data_folder, download=download)
        sweep.check_builds(every_kind, datasets)
        warn_of_mlflow(uri, console)
    with open_session(parent, plans, store, uri, console) as session:
        with session.progress as progress:
            progress.search(options.trials - found.done)
            result = search.run_trials(
                found,
                datasets,
                resources=resources,
                listeners=session.listeners,
                told=lambda trial: progress.told(trial, outcome(trial, found.objectives)),
            )
        if found.error is None:
            session.files = _publish_history(found, history_of(found), store, console)
            session.code = INTERRUPTED if result.was_interrupted else FINISHED
    if session.code == INTERRUPTED:
        console.print("[yellow]stopped[/]: run the same command again to go on")
    _say_where(found, options, uri, session.tracker.error, console)
    return session.code


def outcome(trial: SearchTrial, objectives: Sequence[Objective]) -> str:
    """Return what became of a trial, for a line of the progress."""
    if trial.state == "complete":
        return "  ".join(f"{o.name} {value:.3f}" for o, value in zip(objectives, trial.values, strict=True))
    return f"after epoch {max(trial.probed)}" if trial.state == "pruned" and trial.probed else trial.error


def _parent(found: search.Search, request: Request) -> Parent:
    """Return what the search's run in MLflow is."""
    about = [found.options.name, found.corners.identity, [objective.name for objective in found.objectives]]
    params = {
        "objectives": ", ".join(objective.name for objective in found.objectives),
        "sampler": request.sampler,
        "pruner": request.pruner,
        "command": request.command(),
    }
    identity = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:20]
    return Parent(request.study, f"search-{found.options.name}", identity, params, found.corners.judge.metric)


def _publish_history(found: search.Search, history: History, store: Store, console: Console) -> dict[str, bytes]:
    """Store the history, write its report, print its tables, say where it is; return the report's files by name."""
    save_history(store, history)
    files = search_files(history)
    places = write_search_files(history, store, files)
    console.print(search_terminal(history, width=console.width))
    if found.done < found.options.trials and not found.wants_more:
        console.print(f"the last {search.REPEATS} points had been tried before: the space seems to have no others")
    for name in SHOWN_FILES:
        if name in places:
            kind = "report" if name.endswith("html") else "plot  "
            print_line(console, f"{kind}  {places[name]}")
    return files


def _say_where(found: search.Search, options: Options, uri: str, mlflow_error: str | None, console: Console) -> None:
    """Say where the trials are and what comes next."""
    storage = without_password(options.storage)
    if found.error is not None:
        console.print(
            f"[red]storage {escape(storage)} failed[/] ({escape(found.error)}): all trained models are in the store; "
            "run the same command again to go on"
        )
    else:
        print_line(console, f"trials  {storage}")
        command = f"{installed('optuna-dashboard')} {shlex.quote(storage)}"
        console.print(f"        open them: {command}  (pip install 'robust-sweep[dashboard]')", markup=False)
    say_mlflow(uri, mlflow_error, console)
    console.print(f"best    robust-sweep run {BEST}{options.name}", markup=False, highlight=False)
