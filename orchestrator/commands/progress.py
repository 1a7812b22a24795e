"""The display of a sweep while it runs: a live panel on a terminal, a line a unit elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.planning.plan import Plan
from orchestrator.planning.wording import counted
from orchestrator.searching.history import SearchTrial
from orchestrator.sweeping.remainder import Remainder
from orchestrator.sweeping.units import Unit
from orchestrator.terminal_style import print_line
from trainables.judges import JUDGES
from trainables.metrics import VALIDATION
from trainables.runtime.failures import Failure

ROWS = 12


@dataclass
class Running:
    """A unit under way: when it started, how many steps it did, and its last metrics."""

    since: float = field(default_factory=time.monotonic)
    steps: int = 0
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Bar:
    """Units of one kind: how many there are, how many ended and how, and the seconds of those done."""

    total: int = 0
    done: int = 0
    failed: int = 0
    given_up: int = 0
    seconds: float = 0.0

    @property
    def ended(self) -> int:
        return self.done + self.failed + self.given_up

    @property
    def left(self) -> int:
        return self.total - self.ended


class Progress:
    """A sweep's listener that shows trials done, running and failed, the current metrics and the time left.

    Use it as a context manager around the sweep. In `detail` it prints a line for every step and the traceback of every
    failure, and shows no live panel, over which nobody could type to a debugger.
    """

    def __init__(self, console: Console, *, detail: bool = False) -> None:
        self.console, self._detail = console, detail
        self._is_live = console.is_terminal and not detail
        self.tallies = {"trainings": Bar(), "evaluations": Bar()}
        self._trials: Bar | None = None
        self.running: dict[str, Running] = {}
        self._units: dict[str, Unit] = {}
        self._labels: dict[str, str] = {}
        self._slots = 1
        self._start = time.monotonic()
        self._live = Live(
            get_renderable=self._panel, console=console, refresh_per_second=4, transient=True, auto_refresh=True
        )

    def __enter__(self) -> Progress:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def search(self, trials: int) -> None:
        """Count trials, so many of them, and not the units that they turn out to need."""
        self._trials = Bar(total=trials)
        self.tallies = {"trials": self._trials, **self.tallies}

    def told(self, trial: SearchTrial, outcome: str) -> None:
        """Count a trial of a search that has ended."""
        assert self._trials is not None
        if trial.same_as is None:
            self._trials.failed += trial.state == "failed"
            self._trials.given_up += trial.state == "pruned"
            if trial.state == "complete":
                self._trials.done += 1
                self._trials.seconds += trial.seconds
        line = f"{trial.state:8} trial {trial.number}: {trial.label}  {outcome}"
        self._say(line if trial.same_as is None else f"{line} (the same as {trial.same_as})")

    def begin(self, plan: Plan, rest: Remainder, units: Sequence[Unit], slots: int) -> None:
        self._slots = slots
        self._units |= {unit.name: unit for unit in units}
        for unit in units:
            self._tally(unit).total += 1
        self._labels |= {model: f"{plan.name_of(model)} seed={s.seed}" for model, s in plan.trainings.items()}
        if self._trials is None:
            self._say(f"{counted(len(units), 'trial')} to run, {slots} at a time")

    def started(self, unit: Unit) -> None:
        self.running[unit.name] = Running()
        if self._detail:
            self._say(f"start   {self._name(unit)}")

    def progressed(self, unit: Unit, metrics: Mapping[str, Any]) -> None:
        running = self.running.setdefault(unit.name, Running())
        running.steps = int(metrics.get("epoch", running.steps + 1))
        running.metrics = metrics
        if self._detail:
            self._say(f"{_steps(unit, running)}  {self._name(unit)}  {_numbers(metrics)}")

    def finished(self, unit: Unit) -> None:
        running = self.running.pop(unit.name, Running())
        tally = self._tally(unit)
        tally.done += 1
        tally.seconds += time.monotonic() - running.since
        if self._trials is None:
            self._say(f"done    {self._name(unit)}  {_numbers(running.metrics)}")

    def done_elsewhere(self, unit: Unit) -> None:
        self._tally(unit).done += 1
        self._say(f"done by another driver  {self._name(unit)}")

    def failed(self, unit: Unit, failure: Failure) -> None:
        self.running.pop(unit.name, None)
        self._tally(unit).failed += 1
        self.console.print(Text.assemble(("failed", "red"), f"  {self._name(unit)}: {failure.error}"), soft_wrap=True)
        if self._detail and failure.traceback:
            print_line(self.console, failure.traceback, markup=False)

    def given_up(self, unit: Unit) -> None:
        self.running.pop(unit.name, None)
        self._tally(unit).given_up += 1

    def seconds_left(self) -> float | None:
        """Estimate from the mean time of the units done; None before any kind has one."""
        left = 0.0
        counted = self._counted()
        seen = sum(tally.seconds for tally in counted), sum(tally.done for tally in counted)
        if not seen[1]:
            return None
        for tally in counted:
            mean = tally.seconds / tally.done if tally.done else seen[0] / seen[1]
            left += tally.left * mean
        spent = sum(time.monotonic() - running.since for running in self.running.values())
        return max(0.0, left - spent) / self._slots

    def _counted(self) -> list[Bar]:
        """Return the tallies that tell how far the whole is."""
        return [self._trials] if self._trials else list(self.tallies.values())

    def _tally(self, unit: Unit) -> Bar:
        return self.tallies["trainings" if unit.training else "evaluations"]

    def _name(self, unit: Unit) -> str:
        if unit.training:
            return f"train     {self._labels[unit.training.fingerprint]}"
        first = unit.evaluations[0]
        kind = "transfer " if first.source else "evaluate "
        return f"{kind} {self._labels[first.crafted_on]}"

    def _say(self, text: str) -> None:
        if not self._is_live:
            done = sum(t.ended if self._trials else t.done for t in self._counted())
            total = sum(t.total for t in self._counted())
            elapsed = time.monotonic() - self._start
            print_line(self.console, f"{elapsed:6.0f} s  {done:3}/{total}  {text}")

    def _panel(self) -> RenderableType:
        head = Table.grid(padding=(0, 2))
        for name, tally in self.tallies.items():
            counts = f"{tally.done}/{tally.total} done"
            if tally is not self._trials:
                running = sum(1 for unit in self.running if self._tally(self._units[unit]) is tally)
                counts += f", {running} running"
            counts += f", {tally.given_up} given up" if tally.given_up else ""
            text = Text(counts + (f", {tally.failed} failed" if tally.failed else ""))
            text.stylize("red" if tally.failed else "")
            head.add_row(name, ProgressBar(tally.total or 1, tally.ended, width=30), text)
        left = self.seconds_left()
        clock = f"{_clock(time.monotonic() - self._start)} elapsed"
        if self._units:
            clock += f", about {_clock(left)} left" if left is not None else ", estimating the time left"
        else:
            clock += ", starting Ray"
        return Group(head, Text(clock, style="dim"), self._table())

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, running in list(self.running.items())[:ROWS]:
            unit = self._units[name]
            table.add_row(f"  {self._name(unit)}", _steps(unit, running), _numbers(running.metrics))
        if len(self.running) > ROWS:
            table.add_row(f"  and {len(self.running) - ROWS} more")
        return table


def _steps(unit: Unit, running: Running) -> str:
    total = unit.training.epochs if unit.training else len(unit.evaluations)
    return f"{'epoch' if unit.training else 'evaluation'} {running.steps}/{total}"


def _numbers(metrics: Mapping[str, Any]) -> str:
    """Write the loss and the scores; a defense's other metrics are in the history."""
    shown = ("loss", VALIDATION, *(judge.metric for judge in JUDGES.imported().values()))
    return "  ".join(f"{name} {metrics[name]:.3f}" for name in metrics if name.startswith(shown))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"
