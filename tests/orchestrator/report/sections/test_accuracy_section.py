import pytest
from tiny_study import BIG, SMALL

from orchestrator.report.sections.accuracy import accuracy_sections
from orchestrator.report.table import Entry, Heading, eps_text


def entries(table, label):
    return next(entries for row, entries in table.rows if row == label)


def test_headline_shows_clean_and_worst_case_with_the_best_in_bold(summary_of):
    headline = accuracy_sections(summary_of({(SMALL, "fgsm", 0): {0.1: "1100"}, (SMALL, "fgsm", 1): {0.1: "1110"}}))[0]
    assert headline.table.headings == (
        Heading("", "clean"),
        Heading("worst case", "0.1"),
        Heading("worst case", "0.2"),
    )
    tie = Entry("100.0 ± 0.0", is_best=True)
    assert entries(headline.table, f"{SMALL} (baseline)") == (tie, Entry("62.5 ± 12.5"), tie)
    assert entries(headline.table, BIG) == (tie, tie, tie)


def test_differences_carry_their_sign_and_leave_out_the_baseline(summary_of):
    summary = summary_of({(BIG, "fgsm", 0): {0.1: "1100"}, (SMALL, "fgsm", 1): {0.2: "1110"}})
    fgsm = accuracy_sections(summary)[1].difference
    assert fgsm.rows == ((BIG, (Entry("+0.0 ± 0.0"), Entry("−25.0 ± 25.0"), Entry("+12.5 ± 12.5"))),)


def test_every_attack_has_a_section_that_says_what_it_is(summary_of):
    titles = [section.title for section in accuracy_sections(summary_of())]
    assert titles == [
        "Clean accuracy and worst case over all attacks",
        "fgsm: name=fgsm norm=linf",
        "pgd: name=pgd norm=linf steps=40 random_start=true restarts=1 relative_step=0.0625",
        f"from_small: crafted on variant {SMALL}, "
        "name=pgd norm=linf steps=40 random_start=true restarts=1 relative_step=0.0625",
    ]


def test_missing_cells_are_dashes_and_partial_ones_say_how_many_seeds(summary_of):
    summary = summary_of({(BIG, "clean", 0): None, (BIG, "fgsm", 0): None, (BIG, "fgsm", 1): None})
    fgsm = accuracy_sections(summary)[1]
    assert [entry.text for entry in entries(fgsm.table, BIG)] == ["100.0 [1/2]", "–", "–"]
    assert [entry.text for entry in entries(fgsm.difference, BIG)] == ["+0.0 [1/2]", "–", "–"]


def test_a_plan_of_one_row_has_no_differences_and_nothing_in_bold(summary_of):
    summary = summary_of(overrides={"network.width": 4})
    for section in accuracy_sections(summary):
        assert section.difference is None
        assert not any(entry.is_best for _, row in section.table.rows for entry in row)


@pytest.mark.parametrize(
    ("eps", "text"),
    [(0.1, "0.1"), (8 / 255, "8/255"), (0.5, "0.5"), (1 / 3, "85/255"), (0.0123456, "0.0123456")],
)
def test_eps_is_written_exactly(eps, text):
    assert eps_text(eps) == text
