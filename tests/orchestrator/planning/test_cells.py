import itertools

from grid_study import BOTH, GRADIENTS, PGD, QUICKSTART, WIDTHS, labels, study, transfer_study

from orchestrator.planning.plan import expand
from search_spaces.study import CLEAN, Transfer


def test_clean_evaluations_outlive_a_change_of_attack():
    plan, changed = (expand(QUICKSTART, overrides={"attack.pgd_linf.steps": steps}) for steps in (3, 4))
    kept = set(plan.evaluations) & set(changed.evaluations)
    assert {plan.evaluations[f].attack and plan.evaluations[f].attack.name for f in kept} == {None, "fgsm"}


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


def test_a_measure_is_taken_at_the_settings_of_its_row_at_test_time():
    space = {"defense": ("rbf_cnn",), "inference.beta2": (0.0, 1.0)}
    plan = expand(study(space, measures={"g": GRADIENTS}))
    found = [plan.evaluations[f].inference["beta2"] for (_, column, _), f in plan.layout.items() if column == "g"]
    assert found == [0.0, 1.0]


def test_examples_are_not_transferred_between_datasets():
    transfers = {"transfer": Transfer(attack="pgd_linf", source={"defense": "none"})}
    grids = {"defense": ("none", "rbf_mapping"), "dataset": ("digits", "mnist")}
    plan = expand(study(grids, attacks={"pgd_linf": {"name": "pgd", "eps": (0.1,)}}, transfers=transfers, seeds=(0, 1)))
    for evaluation in (e for e in plan.evaluations.values() if e.source):
        source, target = plan.trainings[evaluation.source], plan.trainings[evaluation.model]
        assert source.dataset == target.dataset
    assert sum(bool(e.source) for e in plan.evaluations.values()) == 8


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
