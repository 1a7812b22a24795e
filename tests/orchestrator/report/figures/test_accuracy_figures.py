import io

import numpy as np
import pytest
from PIL import Image
from tiny_study import BIG, SMALL, STUDY

from orchestrator.report.figures.accuracy import accuracy_against_eps, most_telling, robustness_against_accuracy, spaced

FIGURES = pytest.mark.parametrize("figure", [accuracy_against_eps, robustness_against_accuracy])


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def count(png, colour, tolerance=12):
    return int((abs(pixels(png) - np.array(colour)).max(axis=-1) < tolerance).sum())


@FIGURES
def test_every_variant_is_drawn_in_its_colour(summary_of, figure):
    png = figure(summary_of({(SMALL, "pgd", seed): {0.1: "1000", 0.2: "0000"} for seed in (0, 1)}))
    blue, vermilion = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
    assert min(count(png, blue), count(png, vermilion)) > 100


@FIGURES
def test_figures_show_the_outcomes(summary_of, figure):
    all_right = figure(summary_of())
    half_right = figure(summary_of({(BIG, "pgd", seed): {0.1: "1100"} for seed in (0, 1)}))
    assert all_right != half_right


@FIGURES
def test_missing_cells_are_not_drawn(summary_of, figure):
    vermilion = (0xD5, 0x5E, 0x00)
    some_missing = figure(summary_of({(BIG, "pgd", 0): None, (BIG, "pgd", 1): None}))
    assert count(some_missing, vermilion) < count(figure(summary_of()), vermilion)


def test_a_panel_is_added_for_every_attack(summary_of):
    one_attack = summary_of(study=STUDY.model_copy(update={"transfers": {}}))
    assert pixels(accuracy_against_eps(summary_of())).shape[1] > pixels(accuracy_against_eps(one_attack)).shape[1]


@pytest.mark.parametrize("eps", [0.1, 0.2])
def test_the_scatter_is_at_the_eps_that_tells_variants_apart(summary_of, eps):
    assert most_telling(summary_of({(BIG, "pgd", 0): {eps: "0000"}})).eps == eps


@pytest.mark.parametrize(
    ("eps", "labelled"),
    [([0, 0.05, 0.1, 0.2, 0.3], [0, 0.05, 0.1, 0.2, 0.3]), ([0, 1, 2, 4, 8, 16, 32, 64], [0, 16, 32, 64])],
)
def test_labels_of_the_eps_axis_do_not_touch(eps, labelled):
    assert spaced(eps) == labelled
