import itertools
import re

import pytest
from grid_study import QUICKSTART, WIDTHS, labels, study, transfer_study

from orchestrator.planning.plan import expand
from search_spaces.study import CLEAN
from trainables.errors import InputError


def test_expanding_twice_gives_the_same_plan_and_changes_no_input():
    overrides = {"defense": ["none", "rbf_mapping"], "epochs": [1, 2], "attack.pgd_linf.eps": ["8/255", 0.1]}
    before = (QUICKSTART.model_dump_json(), repr(overrides))
    first, second = (expand(QUICKSTART, overrides=overrides) for _ in range(2))
    assert first == second
    assert list(first.trainings) == list(second.trainings)
    assert list(first.layout.items()) == list(second.layout.items())
    assert (QUICKSTART.model_dump_json(), repr(overrides)) == before


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


def test_a_parquet_dataset_is_named_by_its_content_wherever_it_lies(write_images):
    here, there, other = (
        set(expand(study(), overrides={"dataset": f"parquet:{write_images(name, content)}"}).trainings)
        for name, content in (("here", b"a"), ("there", b"a"), ("other", b"b"))
    )
    assert here == there != other


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
            "this study has no attack 'pgd'. Did you mean 'pgd_linf'? Known: fgsm_linf, pgd_linf.",
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
        pytest.param({"attack.*_l2.eps": [1.0]}, "this study has no attack '*_l2'", id="pattern of no column"),
        pytest.param({"attack.*.stps": 1}, "linf: unknown key 'stps'", id="pattern's field"),
        pytest.param({"attack.pgd_linf.eps": []}, "eps must name at least one value, got ()", id="no eps"),
    ],
)
def test_a_setting_that_is_wrong_is_refused_with_the_rule_and_the_nearest_name(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        expand(QUICKSTART, overrides=overrides)


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


def test_a_column_knows_its_attack():
    plan = expand(transfer_study(4))
    assert plan.attack_of(CLEAN) is None
    assert plan.attack_of("pgd") is plan.attack_of("from_4") is plan.attacks["pgd"]


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
