"""Judges by name: what an answer is worth for each kind of task. Adding one is a file and a line here."""

from __future__ import annotations

from trainables.judges.classification import CLASSIFICATION
from trainables.judges.judge import JUDGES, Judge

JUDGES.add_all(classification=CLASSIFICATION)

__all__ = ["CLASSIFICATION", "JUDGES", "Judge"]
