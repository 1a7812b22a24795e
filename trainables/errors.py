"""The one error that a user's mistake raises, and how it names the nearest valid choice."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A user's mistake: the message gives the rule, the value got and what is allowed."""


def unknown(kind: str, name: object, known: Iterable[str]) -> InputError:
    """Return the error for a `name` that is not among the `known` ones, with the nearest of them."""
    return not_in(f"unknown {kind}", name, known)


def not_in(rule: str, name: object, known: Iterable[str]) -> InputError:
    """Return the error that says a `rule`, such as "this study has no attack", and then as `unknown` does."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return InputError(f"{rule} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its class if it has none."""
    return str(error).partition("\n")[0] or type(error).__name__
