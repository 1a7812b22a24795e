"""Reports: the tables and figures of a study, made from the store and the plan alone.

`sections/` has the tables, `figures/` the pictures and `formats/` the files that show both. `search.py` makes the
report of a search.
"""

from __future__ import annotations

from orchestrator.report.files import ALL, formats_of, render, report_name, write_files
from orchestrator.report.formats import FORMATS, Format, render_terminal
from orchestrator.report.words import accuracy_figure_names

__all__ = [
    "ALL",
    "FORMATS",
    "Format",
    "accuracy_figure_names",
    "formats_of",
    "render",
    "render_terminal",
    "report_name",
    "write_files",
]
