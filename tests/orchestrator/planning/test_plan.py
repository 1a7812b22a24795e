import itertools
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Literal

import pytest

from orchestrator.planning.keys import flatten
from orchestrator.planning.plan import expand
from orchestrator.sweeping.remainder import remainder
from search_spaces import STUDIES
from search_spaces.study import CLEAN, Study, Transfer
from trainables.defenses import DEFENSES
from trainables.defenses.contract import DefenseConfig, NoInference
from trainables.errors import InputError
from trainables.specs import TrainingSpec

QUICKSTART = STUDIES["quickstart"]
PGD = {"name": "pgd", "eps": (0.1, 0.2)}


def study(*space, **changes):
    data = {"name": "s", "title": "S", "base": {"defense": "none"}, "attacks": {"pgd": PGD}}
    return Study(**data | {"space": space or ({},)} | changes)


def labels(plan):
    return [variant.label for variant in plan.variants]


def models(plan):
    """The spec of every row with its first seed, flat."""
    return [flatten(plan.trainings[variant.models[plan.seeds[0]]].model_dump()) for variant in plan.variants]


def values(plan, key):
    return [spec.get(key) for spec in models(plan)]


WIDTHS = {"network.width": (4, 8)}
BOTH = {"defense": ("none", "rbf_mapping")}
RBF = {"defense": ("rbf_mapping",), "defense.psi": ("identity", "factor"), "defense.learn_beta": (False, True)}


# Expansion


def test_expanding_twice_gives_the_same_plan_and_changes_no_input():
    overrides = {"defense": ["none", "rbf_mapping"], "epochs": [1, 2], "attack.pgd_linf.eps": ["8/255", 0.1]}
    before = (QUICKSTART.model_dump_json(), repr(overrides))
    first, second = (expand(QUICKSTART, overrides=overrides) for _ in range(2))
    assert first == second
    assert list(first.trainings) == list(second.trainings)
    assert list(first.layout.items()) == list(second.layout.items())
    assert (QUICKSTART.model_dump_json(), repr(overrides)) == before


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


def test_each_seed_is_a_training_that_differs_in_nothing_else():
    plan = expand(study(WIDTHS), seeds=[3, 1])
    assert plan.seeds == (3, 1)
    for variant in plan.variants:
        specs = [plan.trainings[model] for model in variant.models.values()]
        assert [spec.seed for spec in specs] == [3, 1] == list(variant.models)
        assert len({spec.model_copy(update={"seed": 0}).fingerprint for spec in specs}) == 1


def test_the_layout_names_an_evaluation_of_its_cell_s_model_attack_and_seed():
    plan = expand(study(WIDTHS, seeds=(0, 3), examples=5))
    assert set(plan.layout) == set(itertools.product(labels(plan), (CLEAN, "pgd"), (0, 3)))
    for (label, column, seed), fingerprint in plan.layout.items():
        evaluation = plan.evaluations[fingerprint]
        (variant,) = (v for v in plan.variants if v.label == label)
        assert evaluation.model == variant.models[seed]
        assert evaluation.attack == plan.attack_of(column)
        assert evaluation.seed == (0 if column == CLEAN else seed)
        assert evaluation.examples == 5


def test_keys_of_the_plan_are_the_fingerprints_of_its_specs(small_plan):
    for specs in (small_plan.trainings, small_plan.evaluations):
        assert specs
        assert all(fingerprint == spec.fingerprint for fingerprint, spec in specs.items())


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


def test_a_scale_acts_like_overrides_and_names_its_seeds():
    scaled = study(WIDTHS, scales={"paper": {"epochs": 7, "network.width": (1, 2, 3), "examples": 9, "seeds": (4, 5)}})
    plan = expand(scaled, scale="paper")
    assert values(plan, "network.width") == [1, 2, 3]
    assert values(plan, "epochs") == [7, 7, 7]
    assert plan.seeds == (4, 5)
    assert {spec.examples for spec in plan.evaluations.values()} == {9}
    assert values(expand(scaled, scale="paper", overrides={"epochs": 1}), "epochs") == [1, 1, 1]
    assert expand(scaled).seeds == (0,)


def test_a_parquet_dataset_is_named_by_its_content_wherever_it_lies(write_images):
    here, there, other = (
        set(expand(study(), overrides={"dataset": f"parquet:{write_images(name, content)}"}).trainings)
        for name, content in (("here", b"a"), ("there", b"a"), ("other", b"b"))
    )
    assert here == there != other


# --set


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
    ("overrides", "eps"),
    [
        pytest.param({"attack.pgd.eps": [0.1, 0.3]}, (0.1, 0.3), id="a list is a grid of eps, and no axis"),
        pytest.param({"attack.pgd.eps": ["8/255"]}, (8 / 255,), id="fraction"),
        pytest.param({"attack.pgd.eps": "8/255"}, (8 / 255,), id="one fraction"),
        pytest.param({"attack.pgd.eps": 0.3}, (0.3,), id="one number"),
    ],
)
def test_an_attack_s_eps_is_a_list(overrides, eps):
    plan = expand(study(WIDTHS), overrides=overrides)
    assert plan.attacks["pgd"].eps == eps
    assert len(plan.variants) == 2
    assert [axis.values for axis in plan.axes if axis.key == "attack.pgd.eps"] == [eps]


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param({"attack.pgd_linf.eps": [0.01]}, id="eps"),
        pytest.param({"attack.pgd_linf.steps": 3, "attack.fgsm_linf.norm": "l2"}, id="steps and norm"),
        pytest.param({"examples": 10}, id="examples"),
    ],
)
def test_settings_of_evaluation_retrain_nothing(overrides):
    plan, changed = expand(QUICKSTART), expand(QUICKSTART, overrides=overrides)
    assert set(changed.trainings) == set(plan.trainings)
    assert set(changed.evaluations) != set(plan.evaluations)


def test_clean_evaluations_outlive_a_change_of_attack():
    plan, changed = (expand(QUICKSTART, overrides={"attack.pgd_linf.steps": steps}) for steps in (3, 4))
    kept = set(plan.evaluations) & set(changed.evaluations)
    assert {plan.evaluations[f].attack and plan.evaluations[f].attack.name for f in kept} == {None, "fgsm"}


# Measures

GRADIENTS = {"name": "gradients"}


def test_each_row_and_seed_is_measured_once():
    plan = expand(study(WIDTHS, measures={"gradients": GRADIENTS}, seeds=(0, 3), examples=5))
    assert plan.columns == (CLEAN, "pgd", "gradients")
    cells = {cell: plan.evaluations[f] for cell, f in plan.layout.items() if cell[1] == "gradients"}
    assert {(label, seed) for label, _, seed in cells} == set(itertools.product(labels(plan), (0, 3)))
    for (label, _, seed), evaluation in cells.items():
        (variant,) = (v for v in plan.variants if v.label == label)
        assert evaluation.measure == plan.measures["gradients"]
        assert (evaluation.model, evaluation.attack, evaluation.source) == (variant.models[seed], None, None)
        assert (evaluation.seed, evaluation.examples) == (seed, 5)


def test_a_measure_of_a_view_meets_the_rows_that_have_it():
    measures = {"straight": {**GRADIENTS, "view": "straight_through"}}
    plan = expand(study({"defense": ("none", "wnll")}, measures=measures))
    assert {label for label, column, _ in plan.layout if column == "straight"} == {"wnll"}
    assert "straight" not in expand(study(BOTH, measures=measures)).columns


def test_a_measure_is_changed_by_settings_and_scales_and_never_retrains():
    measured = study(measures={"g": GRADIENTS}, scales={"paper": {"measure.g.draws": 50}})
    plan, changed = expand(measured), expand(measured, overrides={"measure.g.draws": 7})
    assert [p.measures["g"].draws for p in (plan, changed, expand(measured, scale="paper"))] == [5, 7, 50]
    assert set(changed.trainings) == set(plan.trainings)
    assert len(set(changed.evaluations) - set(plan.evaluations)) == 1
    assert changed.slug != plan.slug


def test_a_measure_is_taken_at_the_settings_of_its_row_at_test_time():
    space = {"defense": ("rbf_cnn",), "inference.beta2": (0.0, 1.0)}
    plan = expand(study(space, measures={"g": GRADIENTS}))
    found = [plan.evaluations[f].inference["beta2"] for (_, column, _), f in plan.layout.items() if column == "g"]
    assert found == [0.0, 1.0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param({"measure.h.draws": 3}, "unknown measure of this study 'h'. Known: g.", id="column"),
        pytest.param({"measure.g": 1}, "settings of measures are measure.<column>.<field>, got 'measure.g'", id="none"),
        pytest.param({"measure.g.drws": 3}, "measure.g: unknown key 'drws'. Did you mean 'draws'?", id="field"),
        pytest.param({"measure.g.draws": 1}, "measure.g: draws: input should be greater than or equal to", id="value"),
        pytest.param({"measure.g.view": "bpda"}, "measure.g: unknown view 'bpda'. Known: default.", id="no row's view"),
        pytest.param({"measures.g.draws": 3}, "unknown key 'measures.g.draws'. Did you mean 'measure.g", id="plural"),
    ],
)
def test_a_setting_of_a_measure_that_is_wrong_is_refused(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        expand(study(measures={"g": GRADIENTS}), overrides=overrides)


# What is refused


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param(
            {"epoch": 3}, "unknown key 'epoch'. Did you mean 'epochs'? Known: attack.fgsm_linf.<field>", id="key"
        ),
        pytest.param({"defence": "madry"}, "unknown key 'defence'. Did you mean 'defense'?", id="shorthand"),
        pytest.param({"exmples": 3}, "unknown key 'exmples'. Did you mean 'examples'?", id="examples"),
        pytest.param(
            {"optimisation.foo": [1, 2]},
            "unknown key 'optimisation.foo'. Did you mean 'optimisation.",
            id="grid over none",
        ),
        pytest.param(
            {"network.widht": 3},
            "unknown key 'network.widht'. Did you mean 'network.width'? Known: network.name, network.width.",
            id="key of a section",
        ),
        pytest.param(
            {"defense.psy": "identity"},
            "unknown key 'defense.psy'. Did you mean 'defense.psi'? Known: defense.",
            id="psi",
        ),
        pytest.param({"dataset.digest": "0"}, "unknown key 'dataset.digest'", id="what the planner fills in"),
        pytest.param({"optimisation": {"lr": 1}}, "unknown key 'optimisation'. Did you mean", id="a whole section"),
        pytest.param(
            {"defense": "rbf_map"}, "unknown defense 'rbf_map'. Did you mean 'rbf_mapping'? Known: ", id="defense"
        ),
        pytest.param({"defense": ["none", "rbf"]}, "unknown defense 'rbf'", id="defense in a list"),
        pytest.param({"defense": {"name": "none"}}, "unknown defense {'name': 'none'}", id="defense as a mapping"),
        pytest.param({"defense": [["none"]]}, "unknown defense ", id="defense as a list of lists"),
        pytest.param(
            {"dataset": "digit"}, "dataset: unknown dataset 'digit'. Did you mean 'digits'? Known:", id="data"
        ),
        pytest.param({"dataset": "parquet:"}, "parquet: needs a folder, for example parquet:path", id="no folder"),
        pytest.param({"dataset": "parquet:/none"}, "dataset folder '/none' must be a folder", id="folder without data"),
        pytest.param({"network": "cnn"}, "network: unknown network 'cnn'. Did you mean 'cnn", id="network"),
        pytest.param({"epochs": "three"}, "epochs: input should be a valid integer", id="wrong type"),
        pytest.param({"epochs": 2.5}, "epochs: input should be a valid integer, got", id="fraction"),
        pytest.param({"epochs": 0}, "epochs: input should be greater than 0, got 0", id="out of range"),
        pytest.param({"epochs": [1, 0]}, "epochs: input should be greater than 0, got 0", id="out of range in a list"),
        pytest.param({"epochs": []}, "epochs: a grid needs at least one value, got []", id="empty grid"),
        pytest.param({"defense": []}, "defense.name: a grid needs at least one value, got []", id="no defense"),
        pytest.param({"optimisation.lr": float("nan")}, "optimisation.lr: input should be a finite number", id="nan"),
        pytest.param(
            {"defense.psi": "x"},
            "psi: input should be 'factor', 'cholesky', 'identity' or 'per_channel_code', got 'x'",
            id="choice",
        ),
        pytest.param({"seeds": [1]}, "seeds cannot be set as a key or an axis: use --seeds 0,1,2", id="seeds"),
        pytest.param({"seed": 1}, "seeds cannot be set as a key or an axis: use --seeds 0,1,2", id="seed"),
        pytest.param({"examples": 0}, "examples: must be an integer >= 1, got 0", id="no examples"),
        pytest.param({"examples": [1, 2]}, "examples: must be an integer >= 1, got [1, 2]", id="examples as an axis"),
        pytest.param({"examples": True}, "examples: must be an integer >= 1, got True", id="examples as a boolean"),
        pytest.param(
            {"attack.pgd.eps": [0.1]},
            "unknown attack of this study 'pgd'. Did you mean 'pgd_linf'? Known: fgsm_linf, pgd_linf.",
            id="attack's column",
        ),
        pytest.param(
            {"attack.pgd_linf": 1}, "settings of attacks are attack.<column>.<field>, got 'attack.pgd_linf'", id="field"
        ),
        pytest.param(
            {"attack.pgd_linf.stps": 1}, "attack.pgd_linf: unknown key 'stps'. Did you mean 'steps'? Known:", id="steps"
        ),
        pytest.param(
            {"attack.pgd_linf.name": "pdg"}, "attack.pgd_linf: unknown attack 'pdg'. Did you mean 'pgd'?", id="atk"
        ),
        pytest.param(
            {"attack.pgd_linf.eps": 8},
            "attack.pgd_linf: eps must be in (0, 1] for norm linf, got 8.0 (did you mean 8/255?)",
            id="eps on the 0..255 scale",
        ),
        pytest.param(
            {"attack.pgd_linf.eps": [0.2, 0.1]}, "eps must ascend without repeats, got [0.2, 0.1]", id="order"
        ),
        pytest.param({"attack.*_l2.eps": [1.0]}, "unknown attack of this study '*_l2'", id="pattern of no column"),
        pytest.param({"attack.*.stps": 1}, "linf: unknown key 'stps'", id="pattern's field"),
        pytest.param({"attack.pgd_linf.eps": []}, "eps must name at least one value, got ()", id="no eps"),
    ],
)
def test_a_setting_that_is_wrong_is_refused_with_the_rule_and_the_nearest_name(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        expand(QUICKSTART, overrides=overrides)


@pytest.mark.parametrize(
    ("scale", "overrides", "steps"),
    [
        pytest.param({"attack.*.steps": 3}, {}, [3, 3], id="those that have the field"),
        pytest.param({"attack.*_linf.steps": 3}, {}, [3, 40], id="those so named"),
        pytest.param({"attack.*.steps": 3, "attack.pgd_l2.steps": 4}, {}, [3, 4], id="a column by itself after it"),
        pytest.param({"attack.pgd_l2.steps": 4}, {"attack.*.steps": 5}, [5, 5], id="the user's after the scale's"),
        pytest.param({"attack.*.steps": 3, "attack.pgd_l2.steps": 4}, {"attack.*.steps": 5}, [5, 5], id="both"),
    ],
)
def test_a_pattern_sets_every_column_that_matches_and_has_the_field(scale, overrides, steps):
    attacks = {"fgsm_linf": {"name": "fgsm", "eps": (0.1,)}}
    attacks |= {f"pgd_{norm}": {"name": "pgd", "norm": norm, "eps": (0.1,)} for norm in ("linf", "l2")}
    study = Study.model_validate(
        {"name": "s", "title": "", "base": {"defense": "none"}, "space": ({},), "attacks": attacks}
        | {"scales": {"quick": scale}}
    )
    plan = expand(study, overrides=overrides)
    assert [plan.attacks[column].steps for column in ("pgd_linf", "pgd_l2")] == steps
    assert plan.attacks["fgsm_linf"] == study.attacks["fgsm_linf"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"space": ({"defense.psy": (1,)},)}, "unknown key 'defense.psy'", id="axis"),
        pytest.param({"space": ({"attack.pgd.eps": ((0.1,),)},)}, "attack.pgd.eps is no axis of training", id="attack"),
        pytest.param({"space": ({"examples": (1, 2)},)}, "examples is no axis of training", id="axis of examples"),
        pytest.param({"space": ({"seed": (0, 1)},)}, "seeds cannot be set as a key or an axis", id="axis of seeds"),
        pytest.param(
            {"base": {"defense": "none", "seed": 1}}, "seeds cannot be set as a key or an axis", id="seed in base"
        ),
        pytest.param({"base": {}}, "defense: field required", id="no defense"),
        pytest.param(
            {"space": ({"defense": ("none",), "defense.psi": ("factor",)}, {"defense": ("rbf_mapping",)})},
            "defense.psi must be a setting of its grid's defense, got ('none',)",
            id="axis of another grid's defense",
        ),
        pytest.param({"baseline": {"defnse": "none"}}, "unknown key 'defnse'. Did you mean 'defense", id="baseline"),
        pytest.param(
            {"transfers": {"t": {"attack": "pgd", "source": {"defense": "nne"}}}},
            "unknown defense 'nne'. Did you mean 'none'?",
            id="source",
        ),
        pytest.param({"scales": {"quick": {"epoch": 1}}}, "unknown key 'epoch'. Did you mean 'epochs'?", id="scale"),
        pytest.param({"scales": {"quick": {"seeds": 3}}}, "seeds must be distinct integers >= 0, got 3", id="seeds"),
    ],
)
def test_a_study_that_is_wrong_is_refused_with_the_rule_and_the_nearest_name(changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        expand(study(**changes))


@pytest.mark.parametrize("seeds", [[], [0, 0], [-1], [0.5], ["0"], [True]])
def test_seeds_must_be_distinct_integers(seeds):
    with pytest.raises(InputError, match=rf"seeds must be distinct integers >= 0, got {re.escape(str(seeds))}"):
        expand(QUICKSTART, seeds=seeds)


def test_an_unknown_scale_names_the_known_ones():
    with pytest.raises(InputError, match=r"unknown scale 'papper'\. Did you mean 'paper'\? Known: paper, quick"):
        expand(QUICKSTART, scale="papper")


# Baseline and transfers


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


def test_examples_are_not_transferred_between_datasets():
    transfers = {"transfer": Transfer(attack="pgd_linf", source={"defense": "none"})}
    grids = {"defense": ("none", "rbf_mapping"), "dataset": ("digits", "mnist")}
    plan = expand(study(grids, attacks={"pgd_linf": {"name": "pgd", "eps": (0.1,)}}, transfers=transfers, seeds=(0, 1)))
    for evaluation in (e for e in plan.evaluations.values() if e.source):
        source, target = plan.trainings[evaluation.source], plan.trainings[evaluation.model]
        assert source.dataset == target.dataset
    assert sum(bool(e.source) for e in plan.evaluations.values()) == 8


def transfer_study(*sources):
    return study(
        {"network.width": (2, 4, 8)},
        seeds=(0, 1, 5),
        transfers={f"from_{w}": Transfer(attack="pgd", source={"network.width": w}) for w in sources},
    )


def test_a_target_meets_the_source_of_its_own_seed_and_the_source_itself_its_next_seed():
    plan = expand(transfer_study(4))
    source = next(v for v in plan.variants if v.label == "none width=4")
    for (label, column, seed), fingerprint in plan.layout.items():
        evaluation = plan.evaluations[fingerprint]
        if column != "from_4":
            assert evaluation.source is None
            continue
        expected = {0: 1, 1: 5, 5: 0}[seed] if label == source.label else seed
        assert evaluation.source == source.models[expected]
        assert evaluation.source != evaluation.model
        assert evaluation.seed == expected
        assert evaluation.attack == plan.attacks["pgd"]


def test_with_one_seed_a_source_does_not_meet_itself():
    plan = expand(transfer_study(4), seeds=[0])
    assert {label for label, column, _ in plan.layout if column == "from_4"} == {"none width=2", "none width=8"}


def test_examples_are_crafted_once_a_source_and_seed_however_many_targets_there_are():
    sources, seeds = (2, 4), 3
    plan = expand(transfer_study(*sources))
    transfers = [spec for spec in plan.evaluations.values() if spec.source]
    assert len(transfers) == len(sources) * len(plan.variants) * seeds
    assert plan.craftings == {spec.crafting_fingerprint for spec in transfers}
    assert len(plan.craftings) == len(sources) * seeds


def test_a_target_meets_the_source_most_like_it_as_that_predicts():
    """By settings of training and at test time: the source crafts under its row's, not under its defaults."""
    grids = (
        {"defense": ("wnll",), "defense.training_data": ("original", "tvm"), "inference.activation": (activation,)}
        for activation in ("linear", "wnll")
    )
    transfers = {"from_linear": Transfer(attack="pgd", source={"inference.activation": "linear"})}
    plan = expand(study(*grids, transfers=transfers), seeds=[0, 1])
    for data in ("original", "tvm"):
        linear, wnll = (f"wnll training_data={data} activation={activation}" for activation in ("linear", "wnll"))
        assert plan.sources[wnll, "from_linear"] == plan.sources[linear, "from_linear"] == linear
        evaluation = plan.evaluations[plan.layout[wnll, "from_linear", 0]]
        assert evaluation.inference["activation"] == "wnll"
        assert evaluation.source_inference["activation"] == "linear"
        assert plan.trainings[evaluation.source].defense.training_data == data


def test_columns_that_ask_the_same_are_evaluated_once():
    plan = expand(study(WIDTHS, attacks={"a": PGD, "b": PGD}))
    assert plan.columns == (CLEAN, "a", "b")
    assert len(plan.layout) == 6
    assert len(plan.evaluations) == 4


def test_a_transfer_whose_source_is_filtered_away_has_no_cells():
    plan = expand(transfer_study(4), overrides={"network.width": [2, 8]})
    assert "from_4" in plan.columns
    assert not [column for _, column, _ in plan.layout if column == "from_4"]


def test_a_column_knows_its_attack():
    plan = expand(transfer_study(4))
    assert plan.attack_of(CLEAN) is None
    assert plan.attack_of("pgd") is plan.attack_of("from_4") is plan.attacks["pgd"]


# Slug


@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_an_unchanged_plan_is_called_like_its_study(scale):
    slug = {"quick": "quickstart", "paper": "quickstart-paper"}[scale]
    plan = expand(QUICKSTART, scale=scale)
    assert plan.slug == slug
    assert expand(QUICKSTART, scale=scale, seeds=plan.seeds).slug == slug


def test_different_changes_give_different_names():
    changes = [
        {"overrides": {"epochs": 3}},
        {"overrides": {"epochs": 4}},
        {"overrides": {"epochs": [3, 4]}},
        {"seeds": [0]},
        {"seeds": [0, 2]},
        {"overrides": {"epochs": 3}, "seeds": [0]},
        {"overrides": {"epochs": 3}, "scale": "paper"},
        {},
        {"scale": "paper"},
    ]
    slugs = [expand(QUICKSTART, **change).slug for change in changes]
    assert len(set(slugs)) == len(changes)
    assert all(re.fullmatch(r"[\w-]+", slug) for slug in slugs)


def test_the_order_and_spelling_of_overrides_do_not_rename_a_plan():
    first = expand(QUICKSTART, overrides={"epochs": 3, "defense": "none"})
    second = expand(QUICKSTART, overrides={"defense.name": "none", "epochs": 3})
    assert first.slug == second.slug


# Remainder


def test_the_remainder_is_what_the_store_lacks(small_plan, store, save):
    everything = remainder(small_plan, store)
    assert everything.trainings == tuple(small_plan.trainings.values())
    assert everything.evaluations == tuple(small_plan.evaluations.values())
    assert not everything.trained | everything.evaluated

    trained, evaluated = list(small_plan.trainings.values())[::2], list(small_plan.evaluations.values())[::3]
    for spec in (*trained, *evaluated):
        save(spec)
    rest = remainder(small_plan, store)
    assert rest.trained == {spec.fingerprint for spec in trained}
    assert rest.evaluated == {spec.fingerprint for spec in evaluated}
    wanted = {*small_plan.trainings, *small_plan.evaluations}
    assert rest.fingerprints == wanted - rest.trained - rest.evaluated
    assert not rest.is_empty

    for spec in (*rest.trainings, *rest.evaluations):
        save(spec)
    assert remainder(small_plan, store).is_empty


def test_entries_of_other_plans_do_not_count(small_study, small_plan, store, save):
    other = expand(small_study, overrides={"epochs": 7})
    for spec in (*other.trainings.values(), *other.evaluations.values()):
        save(spec)
    rest = remainder(small_plan, store)
    assert len(rest.trainings) == len(small_plan.trainings)
    assert not rest.trained | rest.evaluated


@pytest.mark.parametrize("kind", ["trainings", "evaluations"])
def test_a_remainder_with_either_left_is_not_empty(kind, small_plan, store):
    rest = remainder(small_plan, store)
    assert not replace(rest, **{kind: ()}).is_empty


# --- designs


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
