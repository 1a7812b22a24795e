"""Litter: files that killed drivers left in a store and that nobody will read again; the next driver deletes them."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from orchestrator.storage import claims
from orchestrator.storage.store import KINDS, Store

logger = logging.getLogger(__name__)
HALF_WRITTEN = re.compile(r".+\.[0-9a-f]{32}\.tmp")
FOLDERS = (".", claims.FOLDER, "tracking", *KINDS)
DEEP_FOLDERS = ("reports",)


def clear_litter(store: Store) -> None:
    """Delete files that no living driver uses: claims of dead drivers, states of trained models.

    Half-written files do not tell their owner: they are deleted if no other driver lives. Only a driver may call this.
    """
    try:
        living, dead = claims.drivers(store)
        for name in dead:
            store.delete_file(name)
        for fingerprint in store.fingerprints("states") & store.fingerprints("checkpoints"):
            store.delete("states", fingerprint)
        if store.is_local and len(living) == 1:
            _clear_half_written(Path(store.root))
    except OSError:
        logger.warning("the files of killed drivers could not be deleted", exc_info=True)


def _clear_half_written(root: Path) -> None:
    """Delete half-written files older than a dead driver's last beat may be; its workers end before that."""
    found = [path for folder in FOLDERS for path in (root / folder).glob("*.tmp")]
    found += [path for folder in DEEP_FOLDERS for path in (root / folder).rglob("*.tmp")]
    now = max(path.stat().st_mtime for path in (root / claims.FOLDER).iterdir())  # this driver's beat, in its time
    for path in found:
        if HALF_WRITTEN.fullmatch(path.name) and now - path.stat().st_mtime >= claims.STALE_SECONDS:
            path.unlink()
