"""A sweep's listener that writes to MLflow from a thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.planning.plan import Plan
from orchestrator.storage.store import Store
from orchestrator.sweeping.remainder import Remainder
from orchestrator.sweeping.units import Unit
from orchestrator.tracking.book import Book, Parent
from orchestrator.uris import scrubbed
from trainables.runtime.failures import Failure

logger = logging.getLogger(__name__)
EVERY_SECONDS = 2.0
FLUSH_SECONDS = 120.0


@dataclass(frozen=True)
class Epochs:
    """New epochs of a model that is being trained."""

    model: str
    history: list[Mapping[str, float]]


@dataclass(frozen=True)
class Stored:
    """The store has something new of these models."""

    models: frozenset[str]


@dataclass(frozen=True)
class Failed:
    """A model's training or one of its evaluations failed."""

    model: str
    error: str


@dataclass(frozen=True)
class GivenUp:
    """A model's training was given up."""

    model: str


@dataclass(frozen=True)
class Closed:
    """The sweep has ended; the report's files and its text go with the parent run."""

    files: Mapping[str, bytes]
    text: str
    status: str


@dataclass(frozen=True)
class Begun:
    """Work of a plan begins; the parent run shows it."""

    plan: Plan


Event = Begun | Epochs | Stored | Failed | GivenUp | Closed


class Tracker:
    """Collects a sweep's events and writes them every EVERY_SECONDS.

    If MLflow does not answer, the sweep goes on: `error` says why, and this run's end or the next run catches up.
    """

    def __init__(self, parent: Parent, plans: Iterable[Plan], store: Store, uri: str) -> None:
        """`plans` are those that are known before their work begins."""
        self.error: str | None = None
        self._where = parent, store, uri
        self._plans = list(plans)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def begin(self, plan: Plan, rest: Remainder, units: Sequence[Unit], slots: int) -> None:
        self._events.put(Begun(plan))

    def started(self, unit: Unit) -> None:
        pass

    def progressed(self, unit: Unit, metrics: Mapping[str, Any]) -> None:
        if unit.training:
            self._events.put(Epochs(unit.training.fingerprint, [metrics]))

    def finished(self, unit: Unit) -> None:
        self._events.put(Stored(frozenset(_models(unit))))

    def done_elsewhere(self, unit: Unit) -> None:
        pass  # that driver logs it; `Closed` logs what is missing then

    def failed(self, unit: Unit, failure: Failure) -> None:
        for model in _models(unit):
            self._events.put(Failed(model, failure.error))

    def given_up(self, unit: Unit) -> None:
        if unit.training:
            self._events.put(GivenUp(unit.training.fingerprint))

    def close(self, files: Mapping[str, bytes], text: str, *, status: str) -> None:
        """Write the rest and end the parent run as FINISHED, FAILED or KILLED; wait FLUSH_SECONDS at most."""
        self._events.put(Closed(files, text, status))
        self._thread.join(FLUSH_SECONDS)
        if self._thread.is_alive():
            self.error = f"still writing after {FLUSH_SECONDS:.0f} s"

    def _work(self) -> None:
        """Write batch after batch; after an error, open the book again for the next one and go on."""
        book: Book | None = None
        is_closed = False
        while not is_closed:
            events = self._collect()
            is_closed = any(isinstance(event, Closed) for event in events)
            self._plans += [event.plan for event in events if isinstance(event, Begun)]
            try:
                book = book or self._open()
                for event in _merged(events):
                    _write(book, event)
                self.error = None
            except Exception as error:
                self.error = self._shown(error)
                logger.debug("MLflow", exc_info=True)
                book = None  # `Closed` writes the rest of this batch from the store

    def _open(self) -> Book:
        book = Book(*self._where)
        for plan in self._plans:
            book.add(plan)
        return book

    def _shown(self, error: Exception) -> str:
        """Return an error's first line without the server's password."""
        text = f"{type(error).__name__}: {error}".partition("\n")[0]
        return scrubbed(text, self._where[2])

    def _collect(self) -> list[Event]:
        """Wait for an event, then return all that came within EVERY_SECONDS of it."""
        events = [self._events.get()]
        until = time.monotonic() + EVERY_SECONDS
        while not isinstance(events[-1], Closed) and (left := until - time.monotonic()) > 0:
            try:
                events.append(self._events.get(timeout=left))
            except queue.Empty:
                break
        return events


def _models(unit: Unit) -> set[str]:
    return {unit.training.fingerprint} if unit.training else {e.model for e in unit.evaluations}


def _merged(events: Sequence[Event]) -> list[Event]:
    """Merge each model's epochs and the news of all models; failures and the end come after them."""
    epochs: dict[str, list[Mapping[str, float]]] = {}
    for event in events:
        if isinstance(event, Epochs):
            epochs.setdefault(event.model, []).extend(event.history)
    stored = frozenset().union(*(event.models for event in events if isinstance(event, Stored)))
    news = [Stored(stored)] if stored else []
    failures = dict.fromkeys(event for event in events if isinstance(event, Failed | GivenUp))
    ends = [event for event in events if isinstance(event, Closed)]
    begun = [event for event in events if isinstance(event, Begun)]
    return [*begun, *(Epochs(model, history) for model, history in epochs.items()), *news, *failures, *ends]


def _write(book: Book, event: Event) -> None:
    match event:
        case Begun(plan):
            book.add(plan)
        case Epochs(model, history):
            book.epochs(model, history)
        case Stored(models):
            book.models(models)
        case Failed(model, error):
            book.failed(model, error)
        case GivenUp(model):
            book.given_up(model)
        case Closed(files, text, status):
            book.look_again()
            book.models(book.trainings)
            book.close(files, text, status=status)
