"""The sections after the attacks' own, in the order in which every format shows them.

A new section is a file and a line here.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.report.sections.area import area_sections
from orchestrator.report.sections.cost import cost_sections
from orchestrator.report.sections.effect import effect_sections
from orchestrator.report.sections.measure import measure_sections
from orchestrator.report.sections.paper import printed_sections
from orchestrator.report.sections.transfer import matrix_sections
from orchestrator.report.sections.verdict import verdict_sections
from orchestrator.report.table import Section
from orchestrator.summary import Summary

SECTIONS: tuple[Callable[[Summary], tuple[Section, ...]], ...] = (
    verdict_sections,
    area_sections,
    matrix_sections,
    effect_sections,
    measure_sections,
    cost_sections,
)


def more_sections(summary: Summary, *, printed: bool = True) -> tuple[Section, ...]:
    """Return all sections but the attacks' own, most of which a plain study lacks.

    `printed` includes what the papers print, which is long for a terminal.
    """
    own = tuple(section for sections_of in SECTIONS for section in sections_of(summary))
    return (*own, *printed_sections(summary.plan.study)) if printed else own
