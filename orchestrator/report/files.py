"""The files of a study's report: which formats are asked for, what is in each, and where they are stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from orchestrator.planning.plan import Plan
from orchestrator.report.formats import FORMATS, Format
from orchestrator.storage.store import Store
from orchestrator.summary import Summary
from trainables.errors import unknown

ALL = "all"


def formats_of(names: Collection[str]) -> dict[str, Format]:
    """Return the formats of these names, every one for `all`; raise InputError for an unknown name."""
    for name in names:
        if name not in FORMATS and name != ALL:
            raise unknown("format", name, {*FORMATS, ALL})
    return {name: FORMATS[name] for name in FORMATS if name in names or ALL in names}


def render(summary: Summary, formats: Mapping[str, Format] = FORMATS) -> dict[str, bytes]:
    """Return a report's files by name, in the formats (default: all) and with the figures that belong to them."""
    figures = _figures(summary) if any(form.has_figures for form in formats.values()) else {}
    return {form.file: form.render(summary, figures).encode() for form in formats.values()} | figures


def write_files(plan: Plan, store: Store, files: Mapping[str, bytes]) -> dict[str, str]:
    """Write rendered files below reports/<slug>/ in the store and return where each is."""
    return {name: store.write_file(report_name(plan, name), data) for name, data in files.items()}


def report_name(plan: Plan, name: str) -> str:
    """Return the name within the store of a file of a plan's report."""
    return f"reports/{plan.slug}/{name}"


def _figures(summary: Summary) -> dict[str, bytes]:
    from orchestrator.report.figures import figures_of  # matplotlib is slow to import

    return figures_of(summary)
