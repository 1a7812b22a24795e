"""Records to reports: tables and figures of a study, from the store and the plan alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from orchestrator.planning.plan import Plan
from orchestrator.report.formats.latex import latex
from orchestrator.report.formats.markdown import markdown
from orchestrator.report.formats.page import page
from orchestrator.report.formats.terminal import terminal
from orchestrator.report.formats.tidy_csv import tidy_csv
from orchestrator.storage.store import Store
from orchestrator.summary.aggregate import Summary, summarise
from trainables.errors import unknown

FORMATS = {"markdown": "report.md", "latex": "report.tex", "csv": "report.csv", "html": "report.html"}
ALL = "all"
__all__ = [
    "ALL",
    "FORMATS",
    "Summary",
    "checked",
    "render",
    "report_name",
    "summarise",
    "terminal",
    "write_files",
    "write_report",
]


def write_report(plan: Plan, store: Store, formats: Collection[str] = (ALL,)) -> dict[str, str]:
    """Write a plan's report below reports/<slug>/ in the store and return where each file is.

    Raises InputError for an unknown format, and if the store has no records of the plan.
    """
    wanted = checked(formats)
    return write_files(plan, store, render(summarise(plan, store), wanted))


def write_files(plan: Plan, store: Store, files: Mapping[str, bytes]) -> dict[str, str]:
    """Write rendered files below reports/<slug>/ in the store and return where each is."""
    return {name: store.write_file(report_name(plan, name), data) for name, data in files.items()}


def report_name(plan: Plan, name: str) -> str:
    """Name a file of a plan's report within the store."""
    return f"reports/{plan.slug}/{name}"


def render(summary: Summary, formats: Collection[str] = (ALL,)) -> dict[str, bytes]:
    """Return the files of a report by name; the figures come with every format but a lone CSV."""
    wanted = checked(formats)
    figures = _figures(summary) if wanted - {"csv"} else {}
    texts = {
        "markdown": lambda: markdown(summary, figures=tuple(figures)),
        "latex": lambda: latex(summary),
        "csv": lambda: tidy_csv(summary),
        "html": lambda: page(summary, figures=figures),
    }
    return {FORMATS[f]: texts[f]().encode() for f in FORMATS if f in wanted} | figures


def checked(formats: Collection[str]) -> set[str]:
    """Return the formats that are asked for, `all` spelled out; raise InputError for an unknown one."""
    for name in formats:
        if name not in {*FORMATS, ALL}:
            raise unknown("format", name, {*FORMATS, ALL})
    return set(FORMATS) if ALL in formats else set(formats)


def _figures(summary: Summary) -> dict[str, bytes]:
    from orchestrator.report.figures.accuracy import accuracy_against_eps, robustness_against_accuracy
    from orchestrator.report.figures.measure import measure_maps
    from orchestrator.report.figures.transfer import transfer_heat_maps

    if not summary.worst_cases:
        return measure_maps(summary)
    return {
        **transfer_heat_maps(summary),
        "accuracy_against_eps.png": accuracy_against_eps(summary),
        "robustness_against_accuracy.png": robustness_against_accuracy(summary),
        **measure_maps(summary),
    }
