"""Secrets on the command line: taken to the environment, and the command started anew without them.

Every user of a machine can list the command lines of all processes, and Ray shows a driver's in its dashboard and
writes it into its logs; an environment is its owner's to see.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from orchestrator.uris import without_password

VARIABLES = {
    "--root": "ROBUST_SWEEP_ROOT",
    "--address": "RAY_API_SERVER_ADDRESS",  # of submit; no other address has a password
    "--tracking-uri": "MLFLOW_TRACKING_URI",
    "--storage": "ROBUST_SWEEP_STORAGE",
}


def hide_secrets() -> None:
    """Start this process anew if its command line has a URI with a password; return if it has none."""
    kept, hidden = without_secrets(sys.argv[1:])
    before = sys.orig_argv[: -len(sys.argv[1:]) or None]
    if hidden and [*before, *sys.argv[1:]] == sys.orig_argv:
        os.execve(sys.executable, [*before, *kept], os.environ | hidden)


def without_secrets(arguments: Sequence[str]) -> tuple[list[str], Mapping[str, str]]:
    """Return the arguments but those with a password, and the environment variables that take their place."""
    kept: list[str] = []
    hidden: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        option, mark, value = rest[0].partition("=")
        words = 1 if mark else 2
        value = value if mark else "".join(rest[1:2])
        if option in VARIABLES and without_password(value) != value:
            hidden[VARIABLES[option]] = value
        else:
            words = 1
            kept.append(rest[0])
        rest = rest[words:]
    return kept, hidden
