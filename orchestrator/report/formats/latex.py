"""The LaTeX format: a report's tables, to be \\input into a paper."""

from __future__ import annotations

import itertools
import re

from orchestrator.planning.plan import command
from orchestrator.report.formats.contract import Figures
from orchestrator.report.notes import missing, notes, sample
from orchestrator.report.sections import accuracy_sections, more_sections
from orchestrator.report.table import Entry, Section, Table
from orchestrator.summary import Summary

ESCAPES = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "−": "$-$",
    "–": "--",
}
FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


def render_latex(summary: Summary, _: Figures) -> str:
    """Return one table environment for each section; they need the packages booktabs and graphicx."""
    name = summary.plan.study.name
    comments = [r"\usepackage{booktabs,graphicx}", f"Made from the records of: {command(summary.plan)}"]
    lines = [f"% {' '.join(comment.split())}" for comment in (*comments, *notes(summary))]
    for number, section in enumerate((*accuracy_sections(summary), *more_sections(summary)), start=1):
        lines += ["", *_environment(summary, section, f"tab:{name}-{number}")]
    return "\n".join([*lines, ""])


def escaped_latex(text: str) -> str:
    """Escape plain text so that LaTeX prints it as it is."""
    return "".join(ESCAPES.get(character, character) for character in text)


def _environment(summary: Summary, section: Section, key: str) -> list[str]:
    study = summary.plan.study
    caption = f"{study.title}. {section.title}. {section.table.caption} ({sample(summary)})."
    caption += f" {gaps}" if (gaps := missing(summary)) else ""
    return [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_worded(f'{caption} Study: `{study.name}`.')}}}",
        rf"\label{{{key}}}",
        FIT,
        *_tabular(section),
        "}",
        r"\end{table}",
    ]


def _worded(text: str) -> str:
    """Escape text and set its `code` in typewriter."""
    return re.sub("`([^`]*)`", r"\\texttt{\1}", escaped_latex(text))


def _tabular(section: Section) -> list[str]:
    headings = section.table.headings
    lines = [rf"\begin{{tabular}}{{l{'r' * len(headings)}}}", r"\toprule", *_head(section.table), r"\midrule"]
    lines += _rows(section.table)
    if section.difference:
        caption = rf"\emph{{{escaped_latex(section.difference.caption)}}}"
        span = rf"\multicolumn{{{len(headings) + 1}}}{{l}}{{{caption}}} \\"
        lines += [r"\midrule", span, *_rows(section.difference)]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _head(table: Table) -> list[str]:
    """Return two lines, the groups that span their columns and the names, with rules between them."""
    groups, rules, at = [""], [], 2
    for group, members in itertools.groupby(table.headings, key=lambda heading: heading.group):
        width = len(list(members))
        groups.append(rf"\multicolumn{{{width}}}{{c}}{{{escaped_latex(group and f'{group} at eps')}}}")
        rules += [rf"\cmidrule(lr){{{at}-{at + width - 1}}}"] if group else []
        at += width
    names = [escaped_latex(table.stub), *(escaped_latex(heading.name) for heading in table.headings)]
    return [" & ".join(groups) + r" \\", *rules, " & ".join(names) + r" \\"]


def _rows(table: Table) -> list[str]:
    return [" & ".join([escaped_latex(label), *map(_entry, entries)]) + r" \\" for label, entries in table.rows]


def _entry(entry: Entry) -> str:
    text = escaped_latex(entry.text)
    return rf"\textbf{{{text}}}" if entry.is_best else text
