from types import SimpleNamespace
from typing import Literal

import pytest
from grid_study import BOTH, WIDTHS, labels, study, values

from orchestrator.planning.plan import expand
from trainables.defenses import DEFENSES
from trainables.defenses.contract import DefenseConfig, NoInference
from trainables.specs import TrainingSpec


@pytest.mark.parametrize(
    "space",
    [
        pytest.param((WIDTHS, WIDTHS), id="a grid twice"),
        pytest.param((WIDTHS, {"network.width": (8,)}), id="a point in two grids"),
        pytest.param(({"network.width": (4, 8, 4)},), id="a value twice"),
        pytest.param(({"network.width": (4, 8), "network.name": ("cnn3",)}, WIDTHS), id="a default spelt out"),
        pytest.param(({"network.width": (4, "8", 8.0)},), id="one value in three types"),
    ],
)
def test_rows_with_one_spec_are_one_row_and_trained_once(space):
    plan = expand(study(*space))
    assert values(plan, "network.width") == [4, 8]
    assert len(plan.trainings) == 2
    assert len(plan.evaluations) == 4


def test_a_row_that_two_grids_ask_for_has_the_first_one_s_label():
    default = TrainingSpec.model_validate({"defense": "none"}).epochs
    plan = expand(study(WIDTHS, {"epochs": (default, 99), "network.width": (8,)}))
    assert labels(plan) == ["none width=4", "none width=8", "none epochs=99 width=8"]
    assert dict((axis.key, axis.values) for axis in plan.axes)["epochs"] == (default, 99)


def test_the_base_gives_way_to_an_axis():
    plan = expand(study(WIDTHS, {"epochs": (1, 2)}, base={"defense": "none", "network.width": 16, "epochs": 9}))
    assert list(zip(values(plan, "network.width"), values(plan, "epochs"), strict=True)) == [
        (4, 9),
        (8, 9),
        (16, 1),
        (16, 2),
    ]


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        pytest.param(({},), ["none"], id="defense alone"),
        pytest.param((WIDTHS,), ["none width=4", "none width=8"], id="last word of the key"),
        pytest.param(({"network": ("cnn3",)},), ["none network=cnn3"], id="a section's name is the section"),
        pytest.param(({"optimisation.milestones": ((1, 2),)},), ["none milestones=[1, 2]"], id="list"),
        pytest.param(({"network.width": (None,)},), ["none width=null"], id="none"),
        pytest.param(
            (BOTH | {"defense.psi": ("identity",)},), ["none", "rbf_mapping psi=identity"], id="only what concerns it"
        ),
    ],
)
def test_a_row_is_labelled_by_its_defense_and_its_point(space, expected):
    assert labels(expand(study(*space))) == expected


def test_rows_that_would_share_a_label_spell_out_their_keys(monkeypatch):
    class Config(DefenseConfig):
        name: Literal["wide"] = "wide"
        width: int = 1

    monkeypatch.setitem(
        DEFENSES.added,
        "wide",
        SimpleNamespace(Config=Config, Inference=NoInference, views=frozenset({"default"}), judges=None),
    )
    plan = expand(study(WIDTHS, {"defense.width": (8, 9)}, base={"defense": "wide"}))
    assert labels(plan) == ["wide width=4", "wide width=8", "wide defense.width=8", "wide width=9"]
    assert len(plan.layout) == len(plan.variants) * len(plan.columns)


@pytest.mark.parametrize(
    ("baseline", "label"),
    [
        pytest.param({}, None, id="none asked for"),
        pytest.param({"network.width": 8}, "none width=8", id="by a setting"),
        pytest.param({"defense": "none"}, "none width=4", id="a baseline is its own"),
        pytest.param({"network.width": 5}, None, id="not a row"),
        pytest.param({"optimisation.milestones": []}, "none width=4", id="a list equals a tuple"),
    ],
)
def test_a_row_is_compared_with_the_row_that_the_baselines_settings_select(baseline, label):
    assert expand(study(WIDTHS, baseline=baseline)).baselines.get("none width=4") == label


def test_a_row_is_compared_with_the_baseline_most_like_it():
    grids = {"defense": ("none", "rbf_mapping"), "network.width": (4, 8)}
    plan = expand(study(grids, baseline={"defense": "none"}))
    assert plan.baselines["rbf_mapping width=8"] == "none width=8"
    assert plan.baselines["rbf_mapping width=4"] == "none width=4"
