"""The HTML format: one page that needs no other file, with its styles inline and its figures as data."""

from __future__ import annotations

import base64
import itertools
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from orchestrator.planning.plan import command
from orchestrator.planning.wording import assignments
from orchestrator.report.formats.contract import Figures
from orchestrator.report.notes import missing, notes, sample
from orchestrator.report.sections import accuracy_sections, more_sections
from orchestrator.report.settings import attack_settings, common_settings, crafted_on, own_settings, versions
from orchestrator.report.table import Table, eps_text
from orchestrator.summary import Summary

TEMPLATE = "page.html.jinja"


def render_page(summary: Summary, figures: Figures) -> str:
    """Return the page with its figures inside."""
    return template(TEMPLATE).render(
        study=summary.plan.study,
        sample=sample(summary),
        notes=notes(summary),
        missing=missing(summary),
        sections=accuracy_sections(summary),
        more_sections=more_sections(summary),
        groups=groups,
        figures={name: data_uri(content) for name, content in figures.items()},
        settings=_settings(summary),
        attacks=_attacks(summary),
        models=_models(summary),
        versions=versions(summary.provenance.values()),
        evaluations=sorted(summary.provenance),
    )


def template(name: str) -> Template:
    """Load a template from the folder `templates`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def groups(table: Table) -> list[tuple[str, int]]:
    """Return the groups of a table's headings, each with the number of columns it spans."""
    grouped = itertools.groupby(table.headings, key=lambda heading: heading.group)
    return [(group, len(list(members))) for group, members in grouped]


def data_uri(png: bytes) -> str:
    """Return a URI that contains an image."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _settings(summary: Summary) -> dict[str, str]:
    plan = summary.plan
    asked = {"command": command(plan), "scale": plan.scale, "seeds": ", ".join(map(str, plan.seeds))}
    return asked | common_settings(plan)


def _attacks(summary: Summary) -> list[dict[str, Any]]:
    attacks = {name: summary.plan.attack_of(name) for name in summary.attack_names}
    return [
        {
            "column": name,
            "settings": assignments(attack_settings(attack)),
            "eps": ", ".join(map(eps_text, attack.eps)),
            "crafted_on": crafted_on(summary.plan, name) or "each variant itself",
        }
        for name, attack in attacks.items()
        if attack
    ]


def _models(summary: Summary) -> list[dict[str, Any]]:
    return [
        {"label": v.label, "settings": assignments(own_settings(summary.plan, v)), "by_seed": v.models}
        for v in summary.plan.variants
    ]
