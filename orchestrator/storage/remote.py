"""What is asked of a remote root: again while it is away, and with an error that shows no secret."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.uris import scrubbed, without_password

# What opens an S3 root; a driver's goes to its workers with the store.
KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
PATIENCE_SECONDS = 60.0  # beyond the retries of the filesystem's own, some seconds of them
PAUSE_SECONDS = 1.0
# Of the errors that S3's filesystem reports by their names in AWS' SDK, those that another moment may mend.
PASSING = (
    "NETWORK_CONNECTION",
    "INTERNAL_FAILURE",
    "SERVICE_UNAVAILABLE",
    "SLOW_DOWN",
    "THROTTLING",
    "REQUEST_TIMEOUT",
    "HTTP status 50",
)
Answer = TypeVar("Answer")


class RootError(OSError):
    """A remote root did not answer, or refused."""


def driver_keys() -> dict[str, str]:
    """Return what opens an S3 root from this process."""
    return {name: os.environ[name] for name in KEYS if name in os.environ}


def ask(operation: Callable[[], Answer], root: str, *, patience: float) -> Answer:
    """Return what an operation on a root gives; try it again for `patience` seconds while the root is away.

    Raise RootError, or FileNotFoundError for what is not there.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return operation()
        except FileNotFoundError:
            raise
        except OSError as error:
            reason = scrubbed(str(error), root)
            if time.monotonic() >= until or not any(sign in reason for sign in PASSING):
                raise RootError(f"root {without_password(root)!r}: {reason}") from None
        time.sleep(PAUSE_SECONDS)
