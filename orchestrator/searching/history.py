"""The trials of a search and their results, as the store keeps them: `searches/<name>.json`.

The database that the search goes on from is Optuna's; reports and runs of the best trials read this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from orchestrator.searching.space import with_rows
from orchestrator.storage.store import Store
from search_spaces.study import Study
from trainables.errors import InputError
from trainables.values import Frozen

BEST = "best:"  # best:NAME is a study: the best trials of the search NAME
TOP = 3  # trials that are best where there is one objective and so no front
State = Literal["complete", "pruned", "failed"]


class SearchTrial(Frozen):
    """One point that was tried. `values` are the objectives', in [0, 1]; `probed` the first one's after some epochs.

    `work` identifies its evaluations; `same_as` is the number of an earlier trial of the same work, whose outcome it
    has. `models` are fingerprints by seed.
    """

    number: int
    state: State
    work: str = ""
    label: str = ""
    settings: Mapping[str, Any] = {}
    models: Mapping[int, str] = {}
    values: tuple[float, ...] = ()
    probed: Mapping[int, float] = {}
    error: str = ""
    same_as: int | None = None
    seconds: float = 0.0


class History(Frozen):
    """A search: the command that goes on with it, and its trials in the order in which they were drawn.

    `study` is the searched one with all that was fixed in its base; `importance` says of each objective which share
    of its differences a key explains.
    """

    name: str
    study: Study
    command: str
    objectives: tuple[str, ...]
    ranges: Mapping[str, str]
    seeds: tuple[int, ...]
    sampler: str
    pruner: str
    storage: str
    trials: tuple[SearchTrial, ...]
    importance: Mapping[str, Mapping[str, float]] = {}

    @property
    def complete(self) -> list[SearchTrial]:
        """The trials that have values, each point once."""
        return [trial for trial in self.trials if trial.state == "complete" and trial.same_as is None]

    @property
    def best(self) -> list[SearchTrial]:
        """The trials that none beats in every objective, best first in the first; of one objective, the TOP best."""
        ranked = sorted(self.complete, key=lambda trial: trial.values, reverse=True)
        if len(self.objectives) == 1:
            return ranked[:TOP]
        return [trial for trial in ranked if not any(_dominates(other, trial) for other in ranked)]


def _dominates(one: SearchTrial, other: SearchTrial) -> bool:
    """Whether a trial is at least as good in every objective, and better in one."""
    pairs = list(zip(one.values, other.values, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def save_history(store: Store, history: History) -> None:
    store.write_file(_name(history.name), history.model_dump_json(indent=1).encode())


def load_history(store: Store, name: str) -> History:
    """Return a search's history; raise InputError if the store has none of that name."""
    content = store.read_file(_name(name))
    if content is None:
        raise InputError(f"search {name!r} is not in {store.shown}: run `robust-sweep search STUDY` first")
    return History.model_validate_json(content)


def best_study(history: History) -> Study:
    """Return the searched study with its best trials for rows, beside its baseline; every attack, its own seeds."""
    if not history.best:
        raise InputError(f"search {history.name!r} has no complete trial yet: run the search again to go on")
    study, points = history.study, [trial.settings for trial in history.best]
    rows = [study.baseline, *points] if study.baseline else points
    title = f"Best of {len(history.trials)} trials of a search: {study.title}"
    return with_rows(study, rows).model_copy(update={"name": f"best-{history.name}", "title": title})


def _name(search: str) -> str:
    return f"searches/{search}.json"
