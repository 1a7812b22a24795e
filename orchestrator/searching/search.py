"""A search: points from a ledger become units of a sweep, and the ledger receives the value of each point.

Nothing that the store has is run again: a point whose records are all there has its value at once.
"""

from __future__ import annotations

import itertools
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from orchestrator.cluster.resources import Resources
from orchestrator.planning.keys import DEFENSE
from orchestrator.planning.plan import Plan
from orchestrator.searching.history import History, SearchTrial, State
from orchestrator.searching.ledger import NO_PRUNER, Asked, Ledger, Options
from orchestrator.searching.objectives import WORST_CASE, Objective, probe_of, worth_of
from orchestrator.searching.space import SearchSpace, ranges_as_text
from orchestrator.storage.store import Store
from orchestrator.sweeping.driver import driving
from orchestrator.sweeping.remainder import Remainder, remainder
from orchestrator.sweeping.schedule import Peers, Schedule
from orchestrator.sweeping.tuner import STATE_SECONDS
from orchestrator.sweeping.units import Unit
from orchestrator.sweeping.watch import Listener, SweepResult, Watch, tell
from orchestrator.uris import scrubbed, without_password
from search_spaces.study import Study
from trainables.data.splits import Splits
from trainables.errors import InputError
from trainables.metrics import clean_name, robust_name
from trainables.specs import EvaluationSpec
from trainables.units import Probe

logger = logging.getLogger(__name__)
FIRST_RUNG = 8  # a training is probed after an eighth of the epochs, and whenever they have doubled since
NOTHING = Remainder((), (), frozenset(), frozenset())
REPEATS = 50  # points in a row that were tried before, after which a space counts as exhausted
Told = Callable[[SearchTrial], None]


def open_search(space: SearchSpace, objectives: Sequence[Objective], options: Options, store: Store) -> Search:
    """Open a search of a space from `objectives.judged_by`; raise InputError if it cannot be carried on."""
    options.check()
    _check_prunable(objectives, options, space.seeds, space.metric)
    corners = space.plan(space.corners())
    ledger = Ledger(
        options,
        objectives=[objective.name for objective in objectives],
        definition=_definition(space, objectives, corners),
        first_rung=_rungs(_longest(corners))[0],
    )
    return Search(space, objectives, options, store, ledger, corners)


def run_trials(
    search: Search,
    datasets: Mapping[str, Splits],
    *,
    resources: Resources,
    listeners: Sequence[Listener] = (),
    told: Told = lambda trial: None,
    state_seconds: float = STATE_SECONDS,
) -> SweepResult:
    """Try points until the search has its trials; `told` hears of every one that ends.

    Arguments are as of `sweep.run_plan`.
    """
    resources.check()
    if not search.wants_more:
        return SweepResult()
    with driving(search.store, resources) as driver:
        search.begin(driver.slots, listeners, told, peers=driver.claims)
        if search.exhausted:
            return SweepResult()
        watch = Watch(search, search.store, listeners, pruner=search)
        return driver.fit(watch, datasets, state_seconds=state_seconds)


@dataclass
class Live:
    """A trial under way, and the fingerprints of the specs that it still waits for."""

    trial: Asked
    plan: Plan
    facts: dict[str, Any]
    pending: frozenset[str]
    since: float = field(default_factory=time.monotonic)


class Search:
    """A source of units for the ledger's points, and the pruner of their trainings.

    If the ledger's database fails on the way, no more points are asked for, and `error` says why. Not safe for
    several threads; Tune's loop is one.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        options: Options,
        store: Store,
        ledger: Ledger,
        corners: Plan,
    ) -> None:
        self.space, self.objectives, self.options, self.store, self.ledger = space, objectives, options, store, ledger
        self.corners = corners
        self.error: str | None = None
        self._rungs = _rungs(_longest(corners))
        self._live: list[Live] = []
        trials = ledger.trials()
        self._repeats = _trailing_repeats(trials)
        self._ended = {trial.work: trial for trial in reversed(trials) if trial.work}
        self.done = sum(trial.same_as is None for trial in trials)
        self._schedule = Schedule(NOTHING, slots=1)
        self._work: dict[str, frozenset[str]] = {}  # unit -> what is in the store when it has ended

    def begin(self, slots: int, listeners: Sequence[Listener], told: Told, *, peers: Peers | None = None) -> None:
        """Ask for the first points that have work to do."""
        self._schedule = Schedule(NOTHING, slots=slots, peers=peers, on_done_elsewhere=self._done_elsewhere)
        self._slots, self._listeners, self._told = slots, listeners, told
        self._failures = self.store.fingerprints("failures")
        self._ask_for_work()

    @property
    def units(self) -> Mapping[str, Unit]:
        return self._schedule.units

    @property
    def exhausted(self) -> bool:
        return not self.wants_more and self._schedule.exhausted

    @property
    def wants_more(self) -> bool:
        """Whether there are points to ask for."""
        under_way = sum(live.facts["same_as"] is None for live in self._live)
        return self.error is None and self._repeats < REPEATS and self.done + under_way < self.options.trials

    def take(self) -> Unit | None:
        """Return the next unit: evaluations that are ready, else work of a new point."""
        self._ask_for_work()
        return self._schedule.take()

    def retry(self, name: str, *, after: float) -> None:
        self._schedule.retry(name, after=after)

    def finish(self, name: str, *, error: str | None = None) -> list[EvaluationSpec]:
        lost = self._schedule.finish(name, error=error)
        self._note_end(self._work[name].union(spec.fingerprint for spec in lost), error=error)
        return lost

    def gives_up(self, name: str, *, epoch: int, value: float) -> bool:
        with self._guarded():
            (model,) = self._schedule.units[name].fingerprints
            owners = [live for live in self._live if model in live.pending]
            owners[0].facts["probed"][epoch] = value
            if self.ledger.prunes(owners[0].trial, epoch=epoch, value=value):
                self._schedule.finish(name, error="given up")
                self.store.delete("states", model)
                for live in owners:
                    self._end(live, "pruned")
                return True
        return False

    def plans(self) -> list[Plan]:
        """Return the plans of all points that were tried, in this call or before."""
        return [self.space.plan([dict(trial.settings)]) for trial in self.ledger.trials() if trial.work]

    def history(self, study: Study, *, command: str) -> History:
        """Return the search so far; `study` is the searched one with all its attacks."""
        names = tuple(objective.name for objective in self.objectives)
        return History(
            name=self.options.name,
            study=study,
            command=command,
            objectives=names,
            ranges=dict(ranges_as_text(self.space.ranges)),
            seeds=self.space.seeds,
            sampler=self.options.sampler,
            pruner=self.options.pruner,
            storage=without_password(self.options.storage),
            trials=tuple(self.ledger.trials()),
            importance=self.ledger.importance(names),
        )

    def _done_elsewhere(self, unit: Unit) -> None:
        self._note_end(self._work[unit.name])
        tell(self._listeners, "done_elsewhere", unit)

    def _note_end(self, ended: frozenset[str], *, error: str | None = None) -> None:
        """End the trials that now have all they waited for, or that would wait in vain."""
        with self._guarded():
            for live in [live for live in self._live if live.pending & ended]:
                if error is not None:
                    self._end(live, "failed", error=error)
                    continue
                live.pending -= ended
                if not live.pending:
                    self._end(live, "complete")

    def _ask_for_work(self) -> None:
        while self.wants_more and not self._schedule.is_ready:
            with self._guarded():
                self._ask()

    def _ask(self) -> None:
        """Ask for a point; end its trial at once if its outcome is known, otherwise add the rest of its work."""
        trial, point = self.ledger.ask(self.space)
        facts: dict[str, Any] = {"number": trial.number, "settings": point, "same_as": None, "probed": {}}
        try:
            plan = self.space.plan([point])
        except InputError as error:
            self._tell(trial, SearchTrial(**facts, state="failed", label=str(point.get(DEFENSE, "")), error=str(error)))
            return
        (variant,) = plan.variants
        facts |= {"label": variant.label, "models": variant.models, "work": plan.identity}
        earlier = self._ended.get(plan.identity)
        alive = next((live.trial.number for live in self._live if live.facts["work"] == plan.identity), None)
        self._repeats = self._repeats + 1 if earlier or alive is not None else 0
        if earlier:
            self._tell(trial, earlier.model_copy(update={"number": trial.number, "same_as": earlier.number}))
            return
        facts["same_as"] = alive
        rest = remainder(plan, self.store)
        live = Live(trial, plan, facts, rest.fingerprints)
        self._live.append(live)
        if rest.is_empty:
            self._end(live, "complete")
            return
        for fingerprint in rest.fingerprints & self._failures:
            self.store.delete("failures", fingerprint)
        units = self._schedule.add(rest, probe=self._probe(plan))
        self._work |= {unit.name: frozenset(unit.fingerprints) for unit in units}
        tell(self._listeners, "begin", plan, rest, units, self._slots)

    def _probe(self, plan: Plan) -> Probe | None:
        if self.options.pruner == NO_PRUNER:
            return None
        return Probe(evaluation=probe_of(self.objectives[0], plan), epochs=self._rungs)

    def _end(self, live: Live, state: State, *, error: str = "") -> None:
        values = worth_of(self.objectives, live.plan, self.store) if state == "complete" else []
        self._live.remove(live)
        outcome = SearchTrial(
            **live.facts, state=state, values=tuple(values), error=error, seconds=time.monotonic() - live.since
        )
        self._tell(live.trial, outcome)

    def _tell(self, trial: Asked, outcome: SearchTrial) -> None:
        self.ledger.tell(trial, outcome)
        if outcome.work:
            self._ended.setdefault(outcome.work, outcome)
        self.done += outcome.same_as is None
        self._told(outcome)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Keep an error of the database or the store from Tune, whose experiment it would end."""
        try:
            yield
        except Exception as error:
            logger.debug("search", exc_info=True)
            self.error = scrubbed(f"{type(error).__name__}: {error}".partition("\n")[0], self.options.storage)


def _trailing_repeats(trials: Sequence[SearchTrial]) -> int:
    return sum(1 for _ in itertools.takewhile(lambda trial: trial.same_as is not None, reversed(trials)))


def _longest(corners: Plan) -> int:
    """Return the most epochs that a point may have."""
    return max(spec.epochs for spec in corners.trainings.values())


def _rungs(epochs: int) -> tuple[int, ...]:
    """Return the epochs after which a training is probed; the last epoch is not among them."""
    rungs = [max(1, epochs // FIRST_RUNG)]
    while 2 * rungs[-1] < epochs:
        rungs.append(2 * rungs[-1])
    return tuple(rungs)


def _check_prunable(objectives: Sequence[Objective], options: Options, seeds: Sequence[int], metric: str) -> None:
    """Raise InputError if one evaluation of one model cannot tell what a training is worth."""
    is_one = len(objectives) == len(seeds) == 1 and objectives[0].column != WORST_CASE
    if options.pruner != NO_PRUNER and not is_one:
        names = ", ".join(objective.name for objective in objectives)
        raise InputError(
            f"pruner {options.pruner} needs one objective that is one column and one seed, since it probes a model "
            f"while it is trained; got objectives {names} and seeds {', '.join(map(str, seeds))}. "
            f"--pruner {NO_PRUNER} goes with any; "
            f"--objectives {clean_name(metric)} or {robust_name(metric)}:COLUMN with all"
        )


def _definition(space: SearchSpace, objectives: Sequence[Objective], corners: Plan) -> dict[str, str]:
    """Return, as texts, what all trials of a search share; trials with another definition mean something else."""
    study = space.study
    return {
        "settings": json.dumps(dict(study.base), sort_keys=True, default=str),
        "ranges": json.dumps(dict(ranges_as_text(space.ranges)), sort_keys=True),
        "objectives": ", ".join(objective.name for objective in objectives),
        "attacks": json.dumps({column: attack.model_dump(mode="json") for column, attack in study.attacks.items()}),
        "examples": str(study.examples),
        "seeds": ", ".join(map(str, space.seeds)),
        "data": ", ".join(sorted({spec.dataset.key for spec in corners.trainings.values()})),
    }
