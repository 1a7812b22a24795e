"""Studies, their plans, sweeps, records and reports."""

from __future__ import annotations
