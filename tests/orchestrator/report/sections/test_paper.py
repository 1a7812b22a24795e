import pytest

from orchestrator.report.sections.paper import datasets_of, printed_sections, tables_of
from search_spaces import STUDIES
from search_spaces.study import Study


@pytest.mark.parametrize(
    ("text", "tables", "datasets"),
    [
        ("Table 1 (FGSM, BIM and PGD columns)", {"1"}, set()),
        ("Tables 4 and 5 (CIFAR-10)", {"4", "5"}, {"cifar10"}),
        ("Table VII (MNIST)", {"VII"}, {"mnist"}),
        ("Table A5 (CIFAR-10 and CIFAR-100)", {"A5"}, {"cifar10", "cifar100"}),
        ("Figure 3", set(), set()),
    ],
)
def test_the_name_of_a_table_says_which_numbers_are_meant(text, tables, datasets):
    assert tables_of(text) == tables
    assert datasets_of(text) == datasets


def study(**settings):
    return Study(name="s", title="S", base={}, space=({"defense": ("none",)},), **settings)


def test_a_tables_numbers_are_as_printed():
    (section,) = printed_sections(study(paper="rbf_mapping", table="Table 1"))
    row = dict(section.table.rows)["none cnn3"]
    by_heading = {(h.group, h.name): e.text for h, e in zip(section.table.headings, row, strict=True)}
    assert section.title == "What the paper prints: Table 1, mnist"
    assert by_heading["clean", ""] == "99.3"
    assert by_heading["pgd linf", "eps=0.1;iterations=40"] == "13.65"
    assert by_heading["mim linf", "eps=0.3;iterations=10;decay=1"].startswith("0.51 [")
    assert "text of Sec. 4.1 says 0.58% for this cell" in section.table.caption


def test_only_the_datasets_that_are_named_are_shown():
    both = printed_sections(study(paper="rbf_cnn", table="Table I"))
    mnist = printed_sections(study(paper="rbf_cnn", table="Table I (MNIST)"))
    assert {s.title for s in mnist} == {"What the paper prints: Table I, mnist"} < {s.title for s in both}


def test_a_study_of_no_table_has_no_section():
    assert printed_sections(STUDIES["cross_paper"]) == ()


@pytest.mark.parametrize(
    "name", [n for n, s in STUDIES.items() if tables_of(s.table) and "on a classifier" not in s.table]
)
def test_every_study_that_names_a_table_finds_it(name):
    assert printed_sections(STUDIES[name])
