"""URIs as they may be shown, stored and logged: without their passwords and keys; and the error of a remote root."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from trainables.errors import unknown

HIDDEN = "***"
# A user's password up to the last @ of all, since one that is not percent-encoded may hold any sign; not a port.
PASSWORD = re.compile(r"(?<=://)([^:/?#@\s]*):(?!\d+(?:[/?#]|$))(.+)@")
IN_QUERY = re.compile(r"(?i)(?<=[?&])([^=&#]*(?:password|passwd|pwd|secret|token)[^=&#]*)=([^&#]+)")


class RootError(OSError):
    """A remote root did not answer, or refused."""


def without_password(uri: str) -> str:
    """Return a URI with the passwords and secret keys of its user and its parameters hidden."""
    return IN_QUERY.sub(rf"\1={HIDDEN}", PASSWORD.sub(rf"\1:{HIDDEN}@", uri))


def scrubbed(text: str, uri: str) -> str:
    """Return a text, such as a vendor's error that quotes a URI, with the URI's secrets hidden."""
    for secret in sorted(_secrets(uri), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _secrets(uri: str) -> Iterator[str]:
    """Yield each secret of a URI, as written and percent-decoded."""
    for pattern in (PASSWORD, IN_QUERY):
        for found in pattern.finditer(uri):
            yield from {found[2], unquote(found[2])}


SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")


def check_uri(uri: str) -> None:
    """Raise InputError if MLflow does not take a tracking URI of this kind."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme not in SCHEMES:
        raise unknown("kind of tracking URI", scheme or without_password(uri), SCHEMES)
