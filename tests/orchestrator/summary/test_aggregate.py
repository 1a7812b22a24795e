import pytest
from tiny_study import BIG, SMALL, STUDY

from orchestrator.planning.plan import expand
from orchestrator.storage.store import Store
from orchestrator.summary import summarise
from search_spaces.study import Study
from trainables.attacks.registry import attack_spec
from trainables.errors import InputError


def column(summary, name, eps):
    return next(c for c in summary.columns if (c.name, c.eps) == (name, eps))


def test_mean_and_standard_error_are_over_seeds(summary_of):
    summary = summary_of({(SMALL, "fgsm", 0): {0.1: "1100"}, (SMALL, "fgsm", 1): {0.1: "1110"}})
    estimate = summary.score(SMALL, column(summary, "fgsm", 0.1))
    assert estimate.mean == pytest.approx(0.625)
    assert estimate.stderr == pytest.approx(0.125)  # sd 0.25 / sqrt 2, by sqrt 2
    assert estimate.n == 2


def test_one_seed_has_no_standard_error(summary_of):
    summary = summary_of({(SMALL, "fgsm", 3): {0.1: "1100"}}, seeds=[3])
    estimate = summary.score(SMALL, column(summary, "fgsm", 0.1))
    assert (estimate.mean, estimate.stderr, estimate.n) == (0.5, None, 1)


def test_difference_from_the_baseline_is_paired_by_seed(summary_of):
    summary = summary_of(
        {
            (SMALL, "pgd", 0): {0.1: "1000"},
            (SMALL, "pgd", 1): {0.1: "1110"},
            (BIG, "pgd", 0): {0.1: "1100"},
            (BIG, "pgd", 1): {0.1: "1111"},
        }
    )
    pgd = column(summary, "pgd", 0.1)
    assert summary.score(BIG, pgd).stderr == pytest.approx(0.25)
    assert summary.difference(BIG, pgd).mean == pytest.approx(0.25)
    assert summary.difference(BIG, pgd).stderr == pytest.approx(0.0)


def test_difference_uses_only_the_seeds_that_both_rows_have(summary_of):
    summary = summary_of({(SMALL, "pgd", 0): None, (SMALL, "pgd", 1): {0.1: "1100"}, (BIG, "pgd", 0): {0.1: "0000"}})
    difference = summary.difference(BIG, column(summary, "pgd", 0.1))
    assert (difference.mean, difference.stderr, difference.n) == (0.5, None, 1)


def test_a_study_without_baseline_has_no_differences(summary_of):
    summary = summary_of(study=STUDY.model_copy(update={"baseline": {}}))
    assert summary.difference(BIG, summary.columns[0]) is None


@pytest.mark.parametrize(
    ("clean", "fgsm", "pgd", "transfer", "robust"),
    [
        pytest.param("1111", "1100", "0110", "1111", 0.25, id="below the least attack's 0.5"),
        pytest.param("0111", "1111", "1111", "1111", 0.75, id="wrong when clean is not robust"),
        pytest.param("1111", "1111", "1111", "1000", 0.25, id="a transfer attack counts"),
    ],
)
def test_worst_case_is_judged_example_by_example(summary_of, clean, fgsm, pgd, transfer, robust):
    outcomes = {"clean": {0.0: clean}, "fgsm": {0.2: fgsm}, "pgd": {0.2: pgd}, "from_small": {0.2: transfer}}
    summary = summary_of({(BIG, name, seed): given for name, given in outcomes.items() for seed in (0, 1)})
    assert summary.score(BIG, column(summary, "worst case", 0.2)).mean == robust


def test_worst_case_of_a_seed_needs_all_its_attacks(summary_of):
    summary = summary_of({(BIG, "fgsm", 0): None, (BIG, "pgd", 1): {0.1: "0001"}})
    worst = column(summary, "worst case", 0.1)
    assert list(summary.cells[BIG, worst].tallies) == [1]
    assert summary.cells[BIG, worst].is_partial
    assert summary.score(BIG, worst).mean == 0.25


def test_worst_cases_of_different_norms_stand_apart(summary_of):
    attacks = {
        "pgd_linf": {"name": "pgd", "norm": "linf", "eps": (0.1, 0.2)},
        "pgd_l2": {"name": "pgd", "norm": "l2", "eps": (0.2,)},
        "fgsm": {"name": "fgsm", "norm": "linf", "eps": (0.2,)},
    }
    study = Study.model_validate(STUDY.model_dump() | {"attacks": attacks, "transfers": {}})
    summary = summary_of({(BIG, "pgd_l2", 0): {0.2: "0000"}}, study=study)
    assert [(c.name, c.eps, c.parts) for c in summary.worst_cases] == [
        ("worst case linf", 0.2, ("clean", "pgd_linf", "fgsm")),
        ("worst case l2", 0.2, ("clean", "pgd_l2")),
    ]
    assert summary.score(BIG, column(summary, "worst case linf", 0.2)).mean == 1.0
    assert summary.score(BIG, column(summary, "worst case l2", 0.2)).mean == 0.5


def test_a_transfer_that_its_source_cannot_meet_is_in_no_rows_worst_case(summary_of):
    cells = {(SMALL, "pgd", 0): {0.1: "1110"}, (BIG, "from_small", 0): {0.1: "0000"}}
    summary = summary_of(cells, seeds=[0])
    assert "from_small" not in column(summary, "worst case", 0.1).parts
    assert summary.score(BIG, column(summary, "worst case", 0.1)).mean > 0
    transfer, worst = column(summary, "from_small", 0.1), column(summary, "worst case", 0.1)
    assert summary.cells[SMALL, transfer].planned == 0
    assert summary.score(SMALL, transfer) is None
    assert summary.score(SMALL, worst).mean == 0.75
    assert not summary.missing


def test_a_row_that_no_attack_meets_has_no_worst_case(summary_of):
    study = STUDY.model_copy(
        update={
            "space": ({"defense": ("none", "rbf_cnn")},),
            "baseline": {"defense": "none"},
            "attacks": {"static": attack_spec({"name": "fgsm", "eps": (0.1,), "view": "static"})},
            "transfers": {},
        }
    )
    summary = summary_of(study=study)
    (worst,) = summary.worst_cases
    assert (summary.score("none", worst), summary.cells["none", worst].planned) == (None, 0)
    assert summary.score("rbf_cnn", worst).mean == 1.0


def test_missing_evaluations_are_counted_and_leave_the_rest_alone(summary_of):
    summary = summary_of({(BIG, "clean", 0): None, (BIG, "clean", 1): None, (BIG, "pgd", 0): None})
    assert len(summary.missing) == 3
    assert summary.score(BIG, summary.columns[0]) is None
    assert summary.score(SMALL, summary.columns[0]).mean == 1.0


def test_best_is_the_highest_mean(summary_of):
    summary = summary_of({(SMALL, "pgd", 0): {0.1: "1110"}})
    assert summary.best(column(summary, "pgd", 0.1)) == {BIG}


def test_rows_that_tie_are_all_best(summary_of):
    """0.1 + 0.7 and 0.3 + 0.5 differ as floats, in the last bit, but not as counts."""
    tens = {1: "1000000000", 3: "1110000000", 5: "1111100000", 7: "1111111000"}
    summary = summary_of(
        {
            (SMALL, "pgd", 0): {0.1: tens[1]},
            (SMALL, "pgd", 1): {0.1: tens[7]},
            (BIG, "pgd", 0): {0.1: tens[3]},
            (BIG, "pgd", 1): {0.1: tens[5]},
        },
        otherwise="1111111111",
    )
    assert summary.best(column(summary, "pgd", 0.1)) == {SMALL, BIG}


def test_a_single_competitor_is_not_best(summary_of):
    summary = summary_of({(BIG, "pgd", 0): None, (BIG, "pgd", 1): None})
    assert summary.best(column(summary, "pgd", 0.1)) == frozenset()


def test_a_store_without_records_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match=r"no records in .*: run `robust-sweep run tiny_study --seeds 5` first"):
        summarise(expand(STUDY, seeds=[5]), Store(tmp_path))
