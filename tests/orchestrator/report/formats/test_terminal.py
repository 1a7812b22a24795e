import io

import pytest
from rich.console import Console
from tiny_study import BIG, MEASURED, SMALL, STUDY

from orchestrator.report.formats.terminal import render_terminal


def shown(summary, width=100):
    stream = io.StringIO()
    Console(file=stream, width=width).print(render_terminal(summary, width=width))
    return stream.getvalue()


def test_the_headline_comes_last_where_a_terminals_reader_looks(summary_of):
    text = shown(summary_of({(SMALL, "pgd", 0): {0.1: "0000"}}))
    *attacks, headline, _ = text.split("Accuracy in %")
    assert len(attacks) > 1
    row = next(line for line in headline.splitlines() if line.strip().startswith(SMALL))
    assert row.split()[-9:] == ["100.0", "±", "0.0", "50.0", "±", "50.0", "100.0", "±", "0.0"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_long_grid_of_eps_is_continued_below_and_every_row_keeps_its_name(summary_of, width):
    grid = [round(0.05 * k, 2) for k in range(1, 10)]
    text = shown(summary_of(overrides={"attack.pgd.eps": grid, "attack.fgsm.eps": grid}), width)
    tables = text.split("•")[0]
    assert "…" not in tables
    assert max(map(len, tables.splitlines())) <= width
    assert [eps for eps in grid if f"eps {eps} " in tables.replace("\n", " \n")] == grid
    parts = tables.split(" variant ")[1:]
    assert len(parts) > 3
    assert all("none" in part for part in parts)


def test_what_is_missing_and_how_to_read_it_are_said(summary_of):
    text = " ".join(shown(summary_of({(BIG, "pgd", 0): None})).split())
    assert "1 of 16 evaluations missing: run `robust-sweep run tiny_study`" in text
    assert "Worst case: each example counts with its worst result" in text


def test_areas_and_measures_are_shown_before_the_headline(summary_of):
    study = MEASURED.model_copy(update={"attacks": STUDY.attacks})
    found = {f"a_rather_long_name_of_{k}": 0.5 for k in range(9)}
    text = shown(summary_of(study=study, values={(BIG, "slopes", s): found for s in (0, 1)}), width=80)
    assert text.index("Area under") < text.index("Measure slopes: name=gradients") < text.index("Clean accuracy and")
    assert "…" not in text
    assert text.count("0.5 ± 0") == len(found)
