"""The store: checkpoints, states, records, crafted examples and failures by fingerprint, and who works on what.

`files` is the floor: files under a root, written whole. `record_table` knows what a record looks like in Parquet.
"""

from __future__ import annotations

from orchestrator.storage.claims import Claims
from orchestrator.storage.litter import clear_litter
from orchestrator.storage.remote import driver_keys
from orchestrator.storage.store import KINDS, Store

__all__ = ["KINDS", "Claims", "Store", "clear_litter", "driver_keys"]
