import io

import numpy as np
from matplotlib.image import imread
from tiny_study import BIG, MEASURED, SMALL, STUDY

from orchestrator.report import FORMATS, render
from orchestrator.report.figures.measure import measure_maps


def test_a_matrix_is_a_picture_with_a_panel_a_variant(summary_of):
    values = {(label, "slopes", seed): {"steep": np.eye(3) * seed} for label in (SMALL, BIG) for seed in (0, 1)}
    (name, png), *others = measure_maps(summary_of(study=MEASURED, values=values)).items()
    assert (name, others) == ("slopes_steep.png", [])
    height, width, _ = imread(io.BytesIO(png)).shape
    assert width > 1.5 * height


def test_it_shows_the_mean_over_seeds_and_what_is_not_finite_is_left_blank(summary_of):
    low = {"steep": np.array([[0.0, -np.inf], [np.nan, 0.0]])}
    high = {"steep": np.array([[2.0, -np.inf], [np.nan, 2.0]])}
    one = {"steep": np.array([[1.0, -np.inf], [np.nan, 1.0]])}
    spread = measure_maps(
        summary_of(
            study=MEASURED, values={(BIG, "slopes", 0): low, (BIG, "slopes", 1): high, (SMALL, "slopes", 0): one}
        )
    )
    same = measure_maps(
        summary_of(study=MEASURED, values={(v, "slopes", s): one for v in (SMALL, BIG) for s in (0, 1)})
    )
    assert spread == same


def test_a_report_has_it_beside_its_other_figures(summary_of):
    values = {(BIG, "slopes", 0): {"steep": np.eye(3)}}
    with_attacks = MEASURED.model_copy(update={"attacks": STUDY.attacks})
    for study in (MEASURED, with_attacks):
        files = render(summary_of(study=study, values=values), {"markdown": FORMATS["markdown"]})
        assert b"slopes_steep.png" in files["report.md"]
        assert "slopes_steep.png" in files


def test_without_a_matrix_there_is_no_picture(summary_of):
    assert measure_maps(summary_of(study=MEASURED, values={(BIG, "slopes", 0): {"norm": [1.0]}})) == {}
