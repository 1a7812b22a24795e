"""URIs as they may be shown, stored and logged: without what opens the door they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from trainables.errors import unknown

if TYPE_CHECKING:
    pass

HIDDEN = "***"
# A user's password up to the last @ of all, since one that is not percent-encoded may hold any sign; not a port.
PASSWORD = re.compile(r"(?<=://)([^:/?#@\s]*):(?!\d+(?:[/?#]|$))(.+)@")
IN_QUERY = re.compile(r"(?i)(?<=[?&])([^=&#]*(?:password|passwd|pwd|secret|token)[^=&#]*)=([^&#]+)")


def without_password(uri: str) -> str:
    """Return a URI without its user's password or secret key, and without those among its parameters."""
    return IN_QUERY.sub(rf"\1={HIDDEN}", PASSWORD.sub(rf"\1:{HIDDEN}@", uri))


def scrubbed(text: str, uri: str) -> str:
    """Return a text, such as a vendor's error, without the secrets of a URI that it may quote."""
    for secret in sorted(_secrets(uri), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _secrets(uri: str) -> Iterator[str]:
    """Yield each secret of a URI as it stands there and as it is meant."""
    for pattern in (PASSWORD, IN_QUERY):
        for found in pattern.finditer(uri):
            yield from {found[2], unquote(found[2])}


SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")


def check_uri(uri: str) -> None:
    """Raise InputError unless a tracking URI is of a kind that MLflow takes."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme not in SCHEMES:
        raise unknown("kind of tracking URI", scheme or without_password(uri), SCHEMES)
