"""Claims: which driver works on what, so that two drivers on one store share a plan instead of both running it.

Each driver keeps one file, `drivers/<name>.json`, with the fingerprints that it has under way and since when; it
writes the file anew at every change and every BEAT_SECONDS. A driver whose file is older than STALE_SECONDS by the
store's own clock is dead, and its claims are free. There is no lock: if two drivers claim a thing in the same moment,
the later one lets go, and at worst both do the work, which corrupts nothing.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterable
from types import TracebackType

from orchestrator.storage.store import Store

logger = logging.getLogger(__name__)
FOLDER = "drivers"
BEAT_SECONDS = 5.0
STALE_SECONDS = 30.0


class Claims:
    """One driver's claims on a store; a context manager that keeps them alive. Safe for its own heartbeat alone."""

    def __init__(self, store: Store) -> None:
        self.store, self.name = store, f"{FOLDER}/{uuid.uuid4().hex}.json"
        self._since: dict[str, float] = {}
        self._has_met = False  # another driver, at any time; before that nobody else writes to the store
        self._at_first: set[str] | None = None  # the entries at the first look
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._beat = threading.Thread(target=self._keep_alive, name="claims", daemon=True)

    def __enter__(self) -> Claims:
        self._write()
        self._beat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._beat.join()
        try:
            self.store.delete_file(self.name)
        except OSError:
            logger.warning(
                "this driver's claims could not be deleted; they expire in %s s", STALE_SECONDS, exc_info=True
            )

    def take(self, fingerprints: Iterable[str]) -> bool:
        """Claim all of these, or none if another living driver has claimed one of them."""
        wanted = set(fingerprints)
        try:
            if not wanted.isdisjoint(self._others()):
                return False
            now = time.time()
            with self._lock:
                self._since |= dict.fromkeys(wanted, now)
            self._write()
            if any(since <= now for f, since in self._others().items() if f in wanted):
                self.release(wanted)
                return False
        except OSError:  # better done twice than not at all
            logger.warning("the claims of other drivers cannot be seen", exc_info=True)
        return True

    def done(self, fingerprints: Iterable[str]) -> set[str]:
        """Return which of these another driver may have put into the store by now."""
        try:
            if self._at_first is None:
                self._at_first = self.store.fingerprints("checkpoints") | self.store.fingerprints("records")
            return {f for f in fingerprints if f in self._at_first or (self._has_met and self._is_there(f))}
        except OSError:
            logger.warning("the store cannot be looked at", exc_info=True)
            return set()

    def release(self, fingerprints: Iterable[str]) -> None:
        """Give up the claims on these, since they are done or were not taken."""
        with self._lock:
            for fingerprint in fingerprints:
                self._since.pop(fingerprint, None)
        try:
            self._write()
        except OSError:
            logger.warning("this driver's claims could not be written", exc_info=True)

    def _is_there(self, fingerprint: str) -> bool:
        return self.store.has("checkpoints", fingerprint) or self.store.has("records", fingerprint)

    def _others(self) -> dict[str, float]:
        """Return what other living drivers have claimed, and since when."""
        found: dict[str, float] = {}
        living, dead = drivers(self.store)
        self._has_met = self._has_met or {*living, *dead} != {self.name}
        for name in living:
            if name != self.name:
                found |= json.loads(self.store.read_file(name) or b"{}")
        return found

    def _write(self) -> None:
        with self._lock:
            content = json.dumps(self._since).encode()
            self.store.write_file(self.name, content)

    def _keep_alive(self) -> None:
        while not self._closed.wait(BEAT_SECONDS):
            try:
                self._write()
                self._others()  # so that no driver comes and goes unseen
            except OSError:  # the next beat may reach the store again
                logger.warning("this driver's claims could not be renewed", exc_info=True)


def drivers(store: Store) -> tuple[list[str], list[str]]:
    """Return the files of the living drivers and of the dead ones, as seen by a driver."""
    files = store.files(FOLDER)
    now = max((changed for _, changed in files), default=0.0)  # the looking driver's own beat is among them
    dead = [name for name, changed in files if now - changed >= STALE_SECONDS]
    return [name for name, _ in files if name not in dead], dead
