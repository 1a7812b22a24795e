import io

import numpy as np
import pytest
from PIL import Image
from tiny_study import BIG, SMALL, STUDY

from orchestrator.report.figures.transfer import transfer_heat_maps
from orchestrator.report.sections.transfer import matrix_sections
from orchestrator.summary.matrices import transfer_matrices
from search_spaces.study import Transfer

MATRIX = STUDY.model_copy(
    update={
        "transfers": {
            "from_small": Transfer(attack="pgd", source={"network.width": 4}),
            "from_big": Transfer(attack="pgd", source={"network.width": 8}),
        }
    }
)
# Correct of four at eps .1: a row attacked in the white box, then on what the other crafted.
OUTCOMES = {
    (SMALL, "pgd"): "1000",
    (BIG, "pgd"): "0000",
    (SMALL, "from_big"): "1110",
    (BIG, "from_small"): "1100",
}


@pytest.fixture
def summary(summary_of):
    outcomes = {(*cell, seed): {0.1: text} for cell, text in OUTCOMES.items() for seed in (0, 1)}
    return summary_of(outcomes, study=MATRIX)


def test_a_matrix_has_a_cell_a_target_and_source_and_the_white_box_between(summary):
    first, second = transfer_matrices(summary)
    assert (first.attack, first.eps, second.eps) == ("pgd", 0.1, 0.2)
    assert first.sources == first.targets == (SMALL, BIG)
    found = {(t, s): first.score(summary, t, s).mean for t in first.targets for s in first.sources}
    assert found == {(SMALL, SMALL): 0.25, (BIG, BIG): 0.0, (SMALL, BIG): 0.75, (BIG, SMALL): 0.5}


def test_a_section_shows_it(summary):
    section, _ = matrix_sections(summary)
    assert section.title == "Transfer of pgd at eps 0.1"
    assert [h.name for h in section.table.headings] == [SMALL, BIG]
    assert [(label, [e.text for e in row]) for label, row in section.table.rows] == [
        (SMALL, ["25.0 ± 0.0 *", "75.0 ± 0.0"]),
        (BIG, ["50.0 ± 0.0", "0.0 ± 0.0 *"]),
    ]
    assert section.table.caption.endswith("* on its own, in white box")


def test_sources_of_each_row_s_own_are_columns_by_what_selects_them(summary_of):
    """Two widths without and with a defense: each meets both of its own width, one of which is itself."""
    space = ({"network.width": (4, 8), "defense": ("none", "madry")},)
    transfers = {f"from_{name}": Transfer(attack="pgd", source={"defense.name": name}) for name in ("none", "madry")}
    study = STUDY.model_copy(update={"space": space, "transfers": transfers})
    outcomes = {("madry width=8", "pgd", 0): {0.1: "1000"}, ("madry width=8", "from_none", 0): {0.1: "1100"}}
    summary = summary_of(outcomes, study=study, seeds=[0])
    matrix, _ = transfer_matrices(summary)
    assert matrix.sources == ("name=none", "name=madry")
    assert matrix.white_boxes == {(f"{name} width={w}", f"name={name}") for name in ("none", "madry") for w in (4, 8)}
    assert matrix.score(summary, "madry width=8", "name=madry").mean == 0.25
    assert matrix.score(summary, "madry width=8", "name=none").mean == 0.5
    section, _ = matrix_sections(summary)
    assert section.table.caption.endswith("the one most like the row crafts them")


def test_a_study_of_one_source_has_no_matrix(summary_of):
    summary = summary_of()
    assert matrix_sections(summary) == ()
    assert transfer_heat_maps(summary) == {}


def test_the_heat_map_has_a_panel_an_eps_and_shows_the_outcomes(summary, summary_of):
    (name, png), *others = transfer_heat_maps(summary).items()
    assert name == "transfer_pgd.png"
    assert not others
    colours = len(np.unique(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3), axis=0))
    flat = transfer_heat_maps(summary_of(study=MATRIX))["transfer_pgd.png"]
    assert png != flat
    assert colours > 4
