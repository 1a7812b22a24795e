from tiny_study import BIG, SMALL, STUDY

from orchestrator.report.sections.area import area_sections
from orchestrator.report.table import Entry
from search_spaces.study import Study


def rows_of(summary):
    (section,) = area_sections(summary)
    return dict(section.table.rows)


def test_areas_are_fractions_with_the_best_in_bold(summary_of):
    summary = summary_of({(SMALL, "fgsm", 0): {0.2: "1100"}, (SMALL, "fgsm", 1): {0.1: "1110"}})
    (section,) = area_sections(summary)
    assert [heading.flat for heading in section.table.headings] == ["fgsm", "pgd", "from_small", "worst case"]
    low, tie = Entry("0.875 ± 0.000"), Entry("1.000 ± 0.000", is_best=True)
    assert section.table.rows == ((f"{SMALL} (baseline)", (low, tie, tie, low)), (BIG, (tie,) * 4))
    assert section.difference is None


def test_an_area_of_a_part_of_the_seeds_says_so(summary_of):
    rows = rows_of(summary_of({(BIG, "fgsm", 0): None, (BIG, "pgd", 0): None, (BIG, "pgd", 1): None}))
    assert [entry.text for entry in rows[BIG]] == ["1.000 [1/2]", "–", "1.000 ± 0.000", "–"]


def test_without_a_curve_there_is_no_section(summary_of):
    attacks = {"fgsm": {"name": "fgsm", "eps": (0.1,)}}
    study = Study.model_validate(STUDY.model_dump() | {"attacks": attacks, "transfers": {}})
    assert area_sections(summary_of(study=study)) == ()


def test_curves_that_end_at_different_eps_are_not_to_be_compared(summary_of):
    attacks = {"fgsm": {"name": "fgsm", "eps": (0.1, 0.2)}, "pgd": {"name": "pgd", "eps": (0.1, 0.2, 0.3)}}
    study = Study.model_validate(STUDY.model_dump() | {"attacks": attacks, "transfers": {}})
    (section,) = area_sections(summary_of(study=study))
    ends = "fgsm at 0.2, pgd at 0.3, worst case at 0.2"
    assert f"end at different eps ({ends}), so compare areas within a column only" in section.table.caption
    (same,) = area_sections(summary_of())
    assert "different eps" not in same.table.caption
