"""MLflow as a view of the store: `Book` writes runs, `Tracker` does so while a sweep goes on.

MLflow is imported when a book is opened.
"""

from __future__ import annotations

from orchestrator.tracking.book import Book, Parent, default_uri, is_current, parent_of
from orchestrator.tracking.tracker import Tracker

__all__ = [
    "Book",
    "Parent",
    "Tracker",
    "default_uri",
    "is_current",
    "parent_of",
]
