import itertools

import pytest
from grid_study import BOTH, QUICKSTART, WIDTHS, labels, models, study, values

from orchestrator.planning.plan import expand
from search_spaces.study import Study

RBF = {"defense": ("rbf_mapping",), "defense.psi": ("identity", "factor"), "defense.learn_beta": (False, True)}


@pytest.mark.parametrize(
    "axes",
    [
        pytest.param({}, id="no axis"),
        pytest.param({"epochs": (1, 2, 3)}, id="one axis"),
        pytest.param(
            {"epochs": (1, 2), "network.width": (2, None), "optimisation.lr": (0.1, 0.2, 0.3)}, id="three axes"
        ),
        pytest.param({"optimisation.milestones": ((), (1,), (1, 2)), "epochs": (1, 2)}, id="an axis of lists"),
    ],
)
def test_a_grid_has_every_combination_of_its_values_once(axes):
    plan = expand(study(axes, seeds=(0, 3)))
    rows = [tuple(spec[key] for key in axes) for spec in models(plan)]
    assert rows == list(itertools.product(*axes.values()))
    assert len(plan.trainings) == 2 * len(rows)
    assert len(plan.evaluations) == 2 * len(rows) * len(plan.columns)
    assert {axis.key: axis.values for axis in plan.axes if axis.phase == "training"} == axes


def test_space_is_a_union_of_grids():
    plan = expand(QUICKSTART)
    wanted = {("none", None, None)} | {
        ("rbf_mapping", psi, learn) for psi, learn in itertools.product(("identity", "factor"), (False, True))
    }
    keys = ("defense.name", "defense.psi", "defense.learn_beta")
    assert {tuple(spec.get(key) for key in keys) for spec in models(plan)} == wanted
    assert len(plan.variants) == len(wanted)


@pytest.mark.parametrize(
    ("space", "overrides", "key", "expected"),
    [
        pytest.param((WIDTHS,), {"network.width": 16}, "network.width", [16], id="pins an axis"),
        pytest.param((WIDTHS,), {"network.width": [1, 2, 3]}, "network.width", [1, 2, 3], id="replaces an axis"),
        pytest.param((WIDTHS,), {"network.width": None}, "network.width", [None], id="pins an axis to nothing"),
        pytest.param(
            (WIDTHS, {"epochs": (1, 2)}), {"network.width": 16}, "network.width", [16, 16, 16], id="pins every grid"
        ),
        pytest.param(
            (WIDTHS, {"epochs": (1, 2)}),
            {"network.width": [1, 2]},
            "network.width",
            [1, 2, None, None],
            id="replaces the axis of its grid alone",
        ),
        pytest.param(({},), {"epochs": 3}, "epochs", [3], id="sets what is no axis"),
        pytest.param((WIDTHS,), {"epochs": [1, 2]}, "epochs", [1, 2, 1, 2], id="a list is a new axis"),
        pytest.param(({},), {"epochs": [3]}, "epochs", [3], id="a new axis of one value"),
        pytest.param(
            ({},), {"optimisation.milestones": [1, 2]}, "optimisation.milestones", [(1, 2)], id="a list for a list key"
        ),
        pytest.param(
            ({},), {"optimisation.milestones": []}, "optimisation.milestones", [()], id="an empty list for a list key"
        ),
        pytest.param(
            ({},), {"optimisation.milestones": 5}, "optimisation.milestones", [(5,)], id="one value for a list key"
        ),
        pytest.param(
            ({},),
            {"optimisation.milestones": [[1], [1, 2]]},
            "optimisation.milestones",
            [(1,), (1, 2)],
            id="a list of lists is an axis of a list key",
        ),
        pytest.param(
            ({"optimisation.milestones": ((1,), (2,))},),
            {"optimisation.milestones": [3]},
            "optimisation.milestones",
            [(3,)],
            id="pins an axis of lists",
        ),
        pytest.param(
            (RBF,),
            {"defense.placement": ["conv"], "defense.learn_beta": True, "defense.psi": "cholesky"},
            "defense.placement",
            [("conv",)],
            id="a list for a defense's list key",
        ),
        pytest.param(({},), {"dataset.name": "mnist"}, "dataset.name", ["mnist"], id="whole key"),
        pytest.param(({},), {"dataset": "mnist"}, "dataset.name", ["mnist"], id="section's name"),
    ],
)
def test_a_setting_acts_on_the_grids(space, overrides, key, expected):
    assert values(expand(study(*space), overrides=overrides), key) == expected


@pytest.mark.parametrize(
    ("space", "overrides", "expected"),
    [
        pytest.param(
            (BOTH,), {"defense.psi": "identity"}, [("none", None), ("rbf_mapping", "identity")], id="one value"
        ),
        pytest.param(
            (BOTH,),
            {"defense.psi": ["identity", "factor"]},
            [("none", None), ("rbf_mapping", "identity"), ("rbf_mapping", "factor")],
            id="a new axis of a grid of two defenses",
        ),
        pytest.param(
            ({"defense": ("none",)}, {"defense": ("rbf_mapping",)}),
            {"defense.psi": ["identity", "factor"]},
            [("none", None), ("rbf_mapping", "identity"), ("rbf_mapping", "factor")],
            id="a new axis of one of two grids",
        ),
        pytest.param(
            (BOTH,), {"defense": "none"}, [("none", None)], id="a defense keeps its rows, and others' settings go"
        ),
        pytest.param((BOTH,), {"defense": "rbf_mapping"}, [("rbf_mapping", "factor")], id="a defense keeps its rows"),
        pytest.param(
            (RBF,),
            {"defense": "none"},
            [("none", None)],
            id="a defense that no grid names is a row",
        ),
        pytest.param(
            (RBF,),
            {"defense": ["none", "rbf_mapping"], "defense.learn_beta": True},
            [("none", None), ("rbf_mapping", "identity"), ("rbf_mapping", "factor")],
            id="several defenses",
        ),
        pytest.param(
            ({"defense": ("none",)},),
            {"defense.psi": ["identity", "factor"], "defense": "rbf_mapping"},
            [("rbf_mapping", "identity"), ("rbf_mapping", "factor")],
            id="a new row with an axis, in this order",
        ),
        pytest.param(
            ({"defense": ("none",)},),
            {"defense": "rbf_mapping", "defense.psi": ["identity", "factor"]},
            [("rbf_mapping", "identity"), ("rbf_mapping", "factor")],
            id="a new row with an axis, in the other order",
        ),
        pytest.param(
            (WIDTHS, {"defense": ("rbf_mapping",)}),
            {"defense": "none"},
            [("none", None), ("none", None)],
            id="a grid without a defense has the base's",
        ),
        pytest.param(
            (WIDTHS, {"defense": ("rbf_mapping",)}),
            {"defense": "rbf_mapping"},
            [("rbf_mapping", "factor")],
            id="the base's grid is dropped",
        ),
        pytest.param(
            (WIDTHS,),
            {"defense": "rbf_mapping"},
            [("rbf_mapping", "factor"), ("rbf_mapping", "factor")],
            id="takes the base's place where no grid names one",
        ),
    ],
)
def test_a_defense_selects_rows_and_its_settings_concern_no_other(space, overrides, expected):
    plan = expand(study(*space), overrides=overrides)
    assert list(zip(values(plan, "defense.name"), values(plan, "defense.psi"), strict=True)) == expected


def test_an_axis_of_a_defense_that_is_filtered_away_goes_with_it():
    plan = expand(study({"defense.psi": ("identity", "factor")}, base={"defense": "rbf_mapping"}))
    assert values(plan, "defense.psi") == ["identity", "factor"]
    plan = expand(plan.study, overrides={"defense": "none"})
    assert labels(plan) == ["none"]
    assert [axis.key for axis in plan.axes if axis.phase == "training"] == []


@pytest.mark.parametrize(
    ("design", "rows"),
    [
        ("grid", [(2, 1), (2, 5), (2, 9), (4, 1), (4, 5), (4, 9)]),
        ("one_at_a_time", [(2, 1), (4, 1), (2, 5), (2, 9)]),
        ("leave_one_out", [(4, 9), (2, 9), (4, 1), (4, 5)]),
    ],
)
def test_a_design_says_which_points_are_rows(design, rows):
    study = Study(
        name="d",
        title="D",
        base={"defense": "none"},
        space=({"network.width": (2, 4), "epochs": (1, 5, 9)},),
        design=design,
    )
    plan = expand(study)
    assert [(v.settings["network.width"], v.settings["epochs"]) for v in plan.variants] == rows
    if design != "grid":
        assert set(plan.baselines.values()) == {plan.variants[0].label}
