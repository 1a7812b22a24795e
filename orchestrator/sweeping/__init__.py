"""A sweep: the part of a plan that the store lacks becomes units, which run as Ray's trials or in this process.

`run_plan` is the way in; `remainder` finds the work that is left; a `Listener` receives the events.
"""

from __future__ import annotations

from orchestrator.sweeping.remainder import Remainder, only_failed
from orchestrator.sweeping.schedule import Schedule
from orchestrator.sweeping.sweep import check_builds, load_datasets, run_plan
from orchestrator.sweeping.units import Unit
from orchestrator.sweeping.watch import Listener, SweepResult, Watch

__all__ = [
    "Listener",
    "Remainder",
    "Schedule",
    "SweepResult",
    "Unit",
    "Watch",
    "check_builds",
    "load_datasets",
    "only_failed",
    "run_plan",
]
