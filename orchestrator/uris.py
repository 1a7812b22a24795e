"""URIs as they may be shown, stored and logged: without their passwords."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def without_password(uri: str) -> str:
    """Return a URI without its user's password or secret key."""
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))


def scrubbed(text: str, uri: str) -> str:
    """Return a text, such as a vendor's error, without the password of a URI that it may quote."""
    password = urlsplit(uri).password
    return text.replace(password, "***") if password else text
