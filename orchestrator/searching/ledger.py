"""A search's trials in Optuna's database: which point is next, what each is worth, which trainings to give up.

The database is written as trials begin and end, so that a search of the same name goes on where the last driver was
killed. We use Optuna's pruners and not Tune's, since their state is that database, and not Optuna's integration with
Tune, since it takes neither a database's URL nor a pruner.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from orchestrator.planning.keys import Point
from orchestrator.planning.wording import as_text
from orchestrator.searching.history import SearchTrial
from orchestrator.searching.space import SearchSpace
from orchestrator.uris import scrubbed, without_password
from search_spaces.study import NAME, FloatRange, SearchRange
from trainables.errors import InputError, unknown

POPULATION = 10  # of NSGA-II; Optuna's 50 would make a search of tens of trials a random one
REDUCTION = 2  # of ASHA: the better half goes on from each rung; Optuna's quarter needs more epochs than the digits
TARGET_QUANTILE = 0.25  # the trials whose settings make a key important; Optuna's tenth needs hundreds of trials
SAMPLERS: Mapping[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "nsgaii": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=POPULATION),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}
NO_PRUNER = "none"
PRUNERS: Mapping[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "asha": lambda rung: optuna.pruners.SuccessiveHalvingPruner(min_resource=rung, reduction_factor=REDUCTION),
    "median": lambda rung: optuna.pruners.MedianPruner(),
    NO_PRUNER: lambda rung: optuna.pruners.NopPruner(),
}
STATES: Mapping[str, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
Asked = optuna.trial.Trial  # a trial that was asked for and has not ended
DEFINITION, NOTES, RETRY_OF = "robust_sweep.search", "robust_sweep.trial", "retry_of"  # attributes in the database


@dataclass(frozen=True)
class Options:
    """How a search is carried on; no option changes what its trials mean.

    `trials` counts all of them, those of earlier calls included. `storage` is a database as SQLAlchemy names it,
    such as sqlite:////tmp/optuna.db.
    """

    name: str
    storage: str
    trials: int = 20
    sampler: str = "tpe"
    pruner: str = NO_PRUNER
    sampler_seed: int = 0

    def check(self) -> None:
        """Raise InputError for an unknown sampler or pruner, or a name that cannot name a file."""
        if not re.fullmatch(NAME, self.name) or not self.name.strip("."):
            raise InputError(
                "a search's name must be of letters, digits, '_', '.' and '-', and not of dots alone, since it names "
                f"files, got {self.name!r} (--name)"
            )
        if self.sampler not in SAMPLERS:
            raise unknown("sampler", self.sampler, SAMPLERS)
        if self.pruner not in PRUNERS:
            raise unknown("pruner", self.pruner, PRUNERS)
        if self.trials < 1:
            raise InputError(f"trials must be >= 1, got {self.trials}")


class Ledger:
    """The trials of one search, each ended as complete, pruned or failed.

    A trial that a killed driver left running is ended when the ledger is opened, and its point is the next one asked
    for. If two drivers run the same search, the later one mistakes the other's trials for abandoned ones. That is
    harmless: the first driver's values of them are dropped, and the second finds their work in the store.
    """

    def __init__(
        self, options: Options, *, objectives: Sequence[str], definition: Mapping[str, Any], first_rung: int
    ) -> None:
        """Open the database; raise InputError if that fails, or if it has a search of this name with other settings."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.options = options
        pruner = PRUNERS[options.pruner](first_rung)
        with _database_errors(options.storage):
            self._study = optuna.create_study(
                study_name=options.name,
                storage=options.storage,
                directions=["maximize"] * len(objectives),
                pruner=pruner,
                load_if_exists=True,
            )
            self._define(definition, objectives)
            self._requeue()

    def _define(self, definition: Mapping[str, Any], objectives: Sequence[str]) -> None:
        """Note the search's definition; raise InputError if it has trials of another definition."""
        before = self._study.user_attrs.get(DEFINITION)
        if before == definition:
            return
        if self._study.get_trials(deepcopy=False):
            differing = sorted(key for key in definition if (before or {}).get(key) != definition[key])
            raise InputError(
                f"search {self.options.name!r} has trials with other {', '.join(differing)}: choose another --name"
            )
        with warnings.catch_warnings(action="ignore"):  # Optuna calls it experimental
            self._study.set_metric_names(list(objectives))
        self._study.set_user_attr(DEFINITION, dict(definition))

    def _requeue(self) -> None:
        """End the trials that were left running, and queue their points again."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.enqueue_trial(trial.params, user_attrs={RETRY_OF: trial.number})
            self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def trials(self) -> list[SearchTrial]:
        """Return the trials that have ended, without those that were left running and tried again."""
        trials = self._study.get_trials(deepcopy=False)
        orphans = {trial.user_attrs.get(RETRY_OF) for trial in trials}
        return [_as_trial(t) for t in trials if t.state in STATES.values() and t.number not in orphans]

    def ask(self, space: SearchSpace) -> tuple[Asked, Point]:
        """Return a new trial and its point.

        The sampler is made anew with a seed of the trial's own, so that a search that was interrupted draws what it
        would have drawn.
        """
        trials = self._study.get_trials(deepcopy=False)
        drawn = sum(RETRY_OF not in trial.user_attrs for trial in trials)
        self._study.sampler = SAMPLERS[self.options.sampler](_seed(self.options.sampler_seed, drawn))
        with warnings.catch_warnings(action="ignore"):  # of features that Optuna calls experimental
            trial = self._study.ask()
            return trial, space.draw(partial(_suggest, trial))

    def prunes(self, trial: Asked, *, epoch: int, value: float) -> bool:
        """Note the objective after an epoch; return whether to stop there."""
        with suppress(UpdateFinishedTrialError):
            trial.report(value, epoch)
            return trial.should_prune()
        return False

    def tell(self, trial: Asked, outcome: SearchTrial) -> None:
        """End a trial, and keep beside it what Optuna does not know about it."""
        notes = outcome.model_dump(mode="json", include={"label", "settings", "models", "work", "error", "same_as"})
        values = list(outcome.values) if outcome.state == "complete" else None
        with suppress(UpdateFinishedTrialError):
            trial.set_user_attr(NOTES, notes)
            if outcome.same_as is not None:
                for epoch, value in outcome.probed.items():
                    trial.report(value, epoch)
            self._study.tell(trial, values, STATES[outcome.state], skip_if_finished=True)

    def importance(self, objectives: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the share of each key in what makes trials good in each objective; none below two such trials."""
        if sum(t.state == TrialState.COMPLETE for t in self._study.get_trials(deepcopy=False)) < 2:
            return {}
        return {name: self._shares(number) for number, name in enumerate(objectives)}

    def _shares(self, objective: int) -> dict[str, float]:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=TARGET_QUANTILE)
        with warnings.catch_warnings(action="ignore"):  # of few trials, which the report says itself
            found = optuna.importance.get_param_importances(
                self._study,
                evaluator=evaluator,
                target=lambda trial: -trial.values[objective],  # the evaluator looks for what is low
                normalize=False,
            )
        total = sum(found.values())
        return {key: value / total for key, value in found.items()} if total else {}


def _suggest(trial: Asked, key: str, values: SearchRange) -> Any:
    if isinstance(values, tuple):
        by_text = {as_text(value): value for value in values}  # Optuna's choices are texts and numbers alone
        return by_text[trial.suggest_categorical(key, list(by_text))]
    if isinstance(values, FloatRange):
        return trial.suggest_float(key, values.low, values.high, log=values.log)
    return trial.suggest_int(key, values.low, values.high, log=values.log)


def _seed(seed: int, number: int) -> int:
    """Return a seed for one trial of a search."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4], "big")


def _as_trial(trial: FrozenTrial) -> SearchTrial:
    state = next(name for name, known in STATES.items() if known == trial.state)
    return SearchTrial(
        number=trial.number,
        state=state,
        values=tuple(trial.values) if state == "complete" else (),
        probed=trial.intermediate_values,
        seconds=trial.duration.total_seconds() if trial.duration else 0.0,
        **trial.user_attrs.get(NOTES, {}),
    )


@contextmanager
def _database_errors(storage: str) -> Iterator[None]:
    """Turn a database's errors on opening into an InputError without its password."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  (each database's driver raises its own)
        reason = scrubbed(f"{type(error).__name__}: {error}".partition("\n")[0], storage)
        raise InputError(f"storage {without_password(storage)!r} cannot be opened: {reason}") from None
