from tiny_study import BIG, MEASURED, SMALL, STUDY

from orchestrator.report.sections.measure import measure_sections
from orchestrator.report.table import Entry

FOUND = {"linf_norm": [1.0, 2.0, 3.0, 40.0], "zero": [True, False, False, False], "pairs": [[1.0, 2.0]], "mean": 0.5}


def test_a_measure_is_shown_as_shares_medians_and_scalars_over_seeds(summary_of):
    values = {(SMALL, "slopes", 0): FOUND, (SMALL, "slopes", 1): FOUND | {"mean": 1.5}}
    (section,) = measure_sections(summary_of(study=MEASURED, values=values))
    settings = "name=gradients view=default loss=cross_entropy draws=5 vanishing_below=1e-08"
    assert section.title == f"Measure slopes: {settings}"
    assert [heading.flat for heading in section.table.headings] == ["median linf norm", "share zero", "mean"]
    assert section.table.rows == (
        (f"{SMALL} (baseline)", (Entry("2.5 ± 0"), Entry("0.25 ± 0"), Entry("1 ± 0.5"))),
        (BIG, (Entry("–"),) * 3),
    )


def test_a_measure_of_a_part_of_the_seeds_says_so(summary_of):
    cells = {(BIG, "slopes", 1): None}
    (section,) = measure_sections(summary_of(cells, study=MEASURED, values={(BIG, "slopes", 0): FOUND}))
    assert [entry.text for entry in dict(section.table.rows)[BIG]] == ["2.5 [1/2]", "0.25 [1/2]", "0.5 [1/2]"]


def test_a_measure_counts_in_no_worst_case_and_is_no_attack(summary_of):
    both = MEASURED.model_copy(update={"attacks": STUDY.attacks})
    summary = summary_of({(BIG, "slopes", 0): {0.0: "0000"}}, study=both)
    assert "slopes" not in summary.attack_names
    assert all("slopes" not in column.parts for column in summary.columns)
    assert all(summary.score(BIG, column).mean == 1.0 for column in summary.worst_cases)


def test_a_study_without_measures_has_no_section(summary_of):
    assert measure_sections(summary_of()) == ()
