"""Operations on a remote root: tried again while it does not answer, with errors that show no secret."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.uris import RootError, scrubbed, without_password

# The variables that open an S3 root; a driver sends its own to its workers, with the store.
KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
PATIENCE_SECONDS = 60.0  # beyond the filesystem's own retries, which take some seconds
PAUSE_SECONDS = 1.0
# Errors that may pass, by their names in AWS' SDK, as S3's filesystem reports them.
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


def driver_keys() -> dict[str, str]:
    """Return this process's variables that open an S3 root."""
    return {name: os.environ[name] for name in KEYS if name in os.environ}


def ask(operation: Callable[[], Answer], root: str, *, patience: float) -> Answer:
    """Return what an operation on a root gives; try it again for `patience` seconds while the root does not answer.

    Raise RootError, or FileNotFoundError if the file does not exist.
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
