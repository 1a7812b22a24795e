import numpy as np
import pytest
from tiny_study import BIG, SMALL, STUDY

from orchestrator.summary.area import area_of, curves
from search_spaces.study import Study


def with_eps(*eps):
    attacks = {"pgd": {"name": "pgd", "eps": eps}}
    return Study.model_validate(STUDY.model_dump() | {"attacks": attacks, "transfers": {}})


@pytest.mark.parametrize(
    ("clean", "attacked", "expected"),
    [
        pytest.param("1111", {0.1: "1111", 0.4: "1111"}, 1.0, id="perfect"),
        pytest.param("0000", {0.1: "0000", 0.4: "0000"}, 0.0, id="never right"),
        pytest.param("1111", {0.1: "0000", 0.4: "0000"}, 0.125, id="a triangle"),
        pytest.param("1111", {0.2: "1100", 0.4: "0000"}, 0.5, id="a straight line to 0"),
        pytest.param("1110", {0.1: "1100", 0.3: "1000", 0.4: "0000"}, 0.375, id="steps of different widths"),
    ],
)
def test_area_is_that_of_the_trapezoids_over_the_largest_eps(summary_of, clean, attacked, expected):
    """The last: (.1 (.75+.5) + .2 (.5+.25) + .1 (.25+0)) / 2 / .4."""
    cells = {(BIG, "clean", 0): {0.0: clean}, (BIG, "pgd", 0): attacked}
    summary = summary_of(cells, study=with_eps(*attacked), seeds=[0])
    assert area_of(summary, BIG, "pgd").mean == pytest.approx(expected)
    assert area_of(summary, SMALL, "pgd").mean == pytest.approx(1.0)


def test_a_curve_sampled_anywhere_on_a_line_has_the_lines_area(summary_of):
    """Accuracy 1 - eps is a line, so where it is sampled plays no part."""
    eps = (0.25, 0.5, 0.75)
    attacked = {e: "1" * round(4 * (1 - e)) + "0" * round(4 * e) for e in eps}
    coarse = {e: attacked[e] for e in (0.5, 0.75)}
    areas = [
        area_of(summary_of({(BIG, "pgd", 0): a}, study=with_eps(*a), seeds=[0]), BIG, "pgd").mean
        for a in (attacked, coarse)
    ]
    assert areas == pytest.approx([1 - 0.75 / 2] * 2)


def test_mean_and_standard_error_are_over_the_seeds_that_have_the_whole_curve(summary_of):
    cells = {(BIG, "fgsm", 0): {0.2: "1100"}, (SMALL, "clean", 1): None}
    summary = summary_of(cells)
    both, one = area_of(summary, BIG, "fgsm"), area_of(summary, SMALL, "fgsm")
    assert (both.mean, both.stderr, both.n) == (0.9375, np.std([0.875, 1.0], ddof=1) / 2**0.5, 2)
    assert (one.mean, one.n) == (1.0, 1)


def test_one_eps_is_no_curve(summary_of):
    assert curves(summary_of(study=with_eps(0.1))) == ()
    assert curves(summary_of(study=with_eps(0.1, 0.2))) == ("pgd", "worst case")


def test_without_records_there_is_no_area(summary_of):
    cells = {(BIG, "pgd", seed): None for seed in (0, 1)}
    assert area_of(summary_of(cells), BIG, "pgd") is None
