"""`python -m orchestrator` is `robust-sweep`."""

from __future__ import annotations

from orchestrator.commands.cli import main

main()
