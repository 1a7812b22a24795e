"""Defenses, attacks and networks as plain torch code; only `tune.py` knows Ray."""

from __future__ import annotations
