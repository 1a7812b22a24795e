"""Find a study by its name, in a file of the user's own (`path/to/file.py:STUDY`), or as the best of a search."""

from __future__ import annotations

import importlib.util
import traceback
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.searching.history import BEST, best_study, load_history
from orchestrator.storage.store import Store
from search_spaces import STUDIES
from search_spaces.study import Study
from trainables.errors import InputError, not_in, unknown
from trainables.values import explain


def find_study(text: str, store: Store | None = None) -> Study:
    """Return a named study, the one that a file defines, or `best:<search>` from the store.

    Raise InputError if there is none.
    """
    if store is not None and text.startswith(BEST):
        return best_study(load_history(store, text.removeprefix(BEST)))
    path, colon, attribute = text.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(Path(path), attribute)
    if text in STUDIES:
        return STUDIES[text]
    if text.endswith(".py"):
        raise InputError(f"a study in a file is named file.py:VARIABLE, got {text!r}")
    raise unknown("study", text, STUDIES)


def _from_file(path: Path, attribute: str) -> Study:
    if not path.is_file():
        raise InputError(
            f"study file {str(path)!r} does not exist: a study in a file is named path/to/file.py:VARIABLE, with the "
            "path from the current folder"
        )
    values = _variables(path)
    studies = [name for name, value in values.items() if isinstance(value, Study)]
    if attribute not in studies and attribute in values:
        kind, known = type(values[attribute]).__name__, ", ".join(sorted(studies)) or "none"
        raise InputError(f"{attribute!r} in {path.name} must be a Study, got {kind}. Its studies: {known}.")
    if attribute not in studies:
        raise not_in(f"{path.name} has no study", attribute, studies)
    study: Study = values[attribute]
    return study


def _variables(path: Path) -> dict[str, Any]:
    """Run the file, which is the user's own code, and return its variables."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ValidationError as error:
        raise InputError(f"{path}, line {_line(error, path)}: {explain(error)}") from None
    except Exception as error:  # noqa: BLE001  (whatever the user's file raises is a mistake in it)
        text = error.msg if isinstance(error, SyntaxError) else f"{error}{_moved(error)}"
        what = text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
        raise InputError(f"{path}, line {_line(error, path)}: {what}") from None
    return vars(module)


def _moved(error: Exception) -> str:
    """Return the way out where a file was written for the time when Study was in `orchestrator`."""
    is_moved = isinstance(error, ModuleNotFoundError) and error.name == "orchestrator.study"
    return ". Study moved: write `from search_spaces import Study`" if is_moved else ""


def _line(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return str(error.lineno)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.absolute()]
    return str(frames[-1].lineno) if frames else "?"
