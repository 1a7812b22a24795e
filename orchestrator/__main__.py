"""`python -m orchestrator` is `robust-sweep`."""

from orchestrator.cli import main

main()
