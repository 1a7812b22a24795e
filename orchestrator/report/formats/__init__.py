"""The formats of a report by name. Adding one is its file and a line here; `terminal.py` is printed and no file."""

from __future__ import annotations

from orchestrator.report.formats.contract import Figures, Format
from orchestrator.report.formats.latex import render_latex
from orchestrator.report.formats.markdown import render_markdown
from orchestrator.report.formats.page import render_page
from orchestrator.report.formats.terminal import render_terminal
from orchestrator.report.formats.tidy_csv import render_csv
from trainables.registry import Registry, names_of

FORMATS: Registry[Format] = Registry("format", "formats", needs=names_of(Format))
FORMATS.add("markdown", Format("report.md", render_markdown))
FORMATS.add("latex", Format("report.tex", render_latex))
FORMATS.add("csv", Format("report.csv", render_csv, has_figures=False))
FORMATS.add("html", Format("report.html", render_page))

__all__ = ["FORMATS", "Figures", "Format", "render_terminal"]
