"""A report's sections: tables with a title, rounded and worded once for every format."""

from __future__ import annotations

from orchestrator.report.sections.accuracy import accuracy_sections
from orchestrator.report.sections.order import SECTIONS, more_sections

__all__ = ["SECTIONS", "accuracy_sections", "more_sections"]
