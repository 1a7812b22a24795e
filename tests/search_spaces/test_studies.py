"""Every named study expands at both scales, and says what it answers."""

import importlib
import pkgutil

import numpy as np
import pytest
import torch

import search_spaces
from orchestrator.planning.plan import expand
from orchestrator.searching.objectives import judged_by, objectives_of
from orchestrator.searching.space import search_space
from search_spaces import STUDIES
from search_spaces.study import SCALES
from trainables.data.splits import Images, Splits
from trainables.training import build

every_study = pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)


@every_study
@pytest.mark.parametrize("scale", SCALES)
def test_it_expands_to_rows_that_differ_and_cells_for_every_column(study, scale):
    plan = expand(study, scale=scale)
    assert len({variant.label for variant in plan.variants}) == len(plan.variants) >= 2
    assert {column for _, column, _ in plan.layout} == set(plan.columns)
    assert set(plan.baselines) == {variant.label for variant in plan.variants}


@every_study
def test_it_names_its_question_its_paper_and_its_table(study):
    assert study.question.endswith("?")
    assert study.paper
    assert study.table


@every_study
def test_it_is_the_variable_of_its_name_in_capitals(study):
    """So that a name on the command line is found in the source."""
    modules = [importlib.import_module(m.name) for m in pkgutil.walk_packages(search_spaces.__path__, "search_spaces.")]
    assert next(vars(module)[study.name.upper()] for module in modules if study.name.upper() in vars(module)) is study


@every_study
def test_its_quick_scale_is_on_bundled_data(study):
    assert {spec.dataset.name for spec in expand(study).trainings.values()} == {"digits"}


@pytest.mark.parametrize(
    ("name", "rows", "models"),
    [
        pytest.param("rbf_cnn_t7", 4, 2, id="three beta2 of one rCNN+, and the source of transfers"),
        pytest.param("rbf_cnn_t7_cifar10", 4, 2, id="the same on CIFAR-10"),
        pytest.param("rbf_cnn_t4", 3, 3, id="two eps"),
        pytest.param("wnll_t5", 12, 6, id="TVM at test or not"),
        pytest.param("wnll_fig6a", 2, 2, id="six numbers of iterations"),
    ],
)
@pytest.mark.parametrize("scale", SCALES)
def test_axes_of_evaluation_alone_have_no_models_of_their_own(name, rows, models, scale):
    plan = expand(STUDIES[name], scale=scale, seeds=[0])
    assert (len(plan.variants), len(plan.trainings)) == (rows, models)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        pytest.param("rbf_cnn_t1", {"inference.beta2": [0.0, 1.0]}, id="beta2"),
        pytest.param("rbf_cnn_t1", {"inference.passes": [1, 10]}, id="m"),
        pytest.param("rbf_cnn_t1", {"attack.*_linf.eps": [0.1, 0.2, 0.3]}, id="eps"),
        pytest.param("rbf_cnn_t1", {"attack.*.steps": 7}, id="attack steps"),
        pytest.param("rbf_cnn_t1", {"attack.bpda_linf.eot_samples": 9}, id="draws of EOT"),
        pytest.param("wnll_t5", {"inference.tvm": [None, {"lambda_tv": 0.1}]}, id="TVM at test"),
    ],
)
def test_changing_an_axis_of_evaluation_trains_nothing_anew(name, setting):
    before, after = expand(STUDIES[name]), expand(STUDIES[name], overrides=setting)
    assert set(after.evaluations) - set(before.evaluations)
    assert set(after.trainings) == set(before.trainings)


def test_tables_of_one_paper_share_their_models():
    """Five tables of rbf_cnn need rCNN, rCNN+, Madry's training and no defense, each once a seed."""
    plans = [expand(STUDIES[f"rbf_cnn_t{number}"], seeds=[0]) for number in (1, 3, 4, 5, 7)]
    assert len({model for plan in plans for model in plan.trainings}) == 4


@pytest.mark.parametrize(
    ("name", "attacks", "sources", "targets"),
    [
        pytest.param("rbf_mapping_t5", 1, 4, 4, id="two networks without and with the mapping"),
        pytest.param("pcl_t13", 1, 4, 4, id="no defense, AdvTrain, Madry and Ours"),
        pytest.param("wnll_t2", 2, 6, 2, id="two activations, each of three training sets"),
        pytest.param("wnll_t3", 1, 6, 2, id="the same by C&W"),
    ],
)
@pytest.mark.parametrize("scale", SCALES)
def test_a_transfer_matrix_crafts_once_a_source_for_all_of_its_targets(name, attacks, sources, targets, scale):
    plan = expand(STUDIES[name], scale=scale)
    transfers = [spec for spec in plan.evaluations.values() if spec.source]
    assert len(plan.craftings) == attacks * sources * len(plan.seeds)
    assert len(transfers) == attacks * sources * targets * len(plan.seeds)
    assert {spec.source for spec in transfers} == {spec.model for spec in transfers} == set(plan.trainings)


@pytest.mark.parametrize("name", ["wnll_t2", "wnll_t3"])
def test_a_target_of_wnll_meets_the_sources_of_its_own_training_data(name):
    plan = expand(STUDIES[name])
    met = {}
    for spec in (spec for spec in plan.evaluations.values() if spec.source):
        source, target = plan.trainings[spec.source], plan.trainings[spec.model]
        assert source.defense.training_data == target.defense.training_data
        met.setdefault(spec.model, set()).add(spec.source_inference["activation"])
    assert list(met.values()) == [{"linear", "wnll"}] * len(plan.trainings)


@pytest.mark.parametrize("scale", SCALES)
def test_wnll_s_tables_share_their_models(scale):
    two, three, five = (set(expand(STUDIES[f"wnll_t{number}"], scale=scale).trainings) for number in (2, 3, 5))
    assert two == three == five


# Of the papers and, where they are silent, their authors' code: dataset, network, optimiser, lr, batch and epochs.
TRAINED_AT_PAPER_SCALE = {
    "rbf_mapping_t1": ("mnist", "cnn3", "adam", 1e-3, 128, {12}),
    "rbf_mapping_fig3": ("mnist", "cnn3", "adam", 1e-3, 128, {12}),
    "rbf_mapping_t5": ("mnist", "cnn3 cnn4", "adam", 1e-3, 128, {12}),
    "rbf_cnn_t1": ("mnist", "cnn4", "adam", 1e-3, 128, {100}),
    "rbf_cnn_t1_cifar10": ("cifar10", "vgg16_dropout", "sgd", 0.1, 128, {600}),
    "rbf_cnn_t2": ("mnist", "cnn4", "adam", 1e-3, 128, {85, 100}),
    "rbf_cnn_t2_cifar10": ("cifar10", "vgg16_dropout", "sgd", 0.1, 128, {205, 600}),
    "rbf_cnn_t7_cifar10": ("cifar10", "vgg16_dropout", "sgd", 0.1, 128, {600}),
    "pcl_t3": ("fashion_mnist mnist", "cnn6 vgg19", "sgd", 0.1, 256, {350}),
    "pcl_t3_cifar": ("cifar10 cifar100", "resnet110 vgg19", "sgd", 0.1, 256, {500}),
    "pcl_t3_svhn": ("svhn", "resnet110 vgg19", "sgd", 0.1, 256, {500}),
    "pcl_t4": ("cifar10", "resnet110", "sgd", 0.1, 256, {500}),
    "pcl_t4_fashion_mnist": ("fashion_mnist", "cnn6", "sgd", 0.1, 256, {350}),
    "pcl_t5": ("cifar10", "resnet110", "sgd", 0.1, 256, {500}),
    "pcl_t6": ("mnist", "cnn6", "sgd", 0.1, 256, {350}),
    "pcl_t7": ("cifar100", "resnet110", "sgd", 0.1, 256, {500}),
    "pcl_t9": ("cifar10 cifar100", "resnet110", "sgd", 0.1, 256, {500}),
    "pcl_t11": ("cifar10", "resnet110", "sgd", 0.1, 256, {500}),
    "pcl_t12": ("cifar10", "resnet110", "sgd", 0.1, 256, {164, 300, 400}),
    "pcl_t13": ("cifar10", "resnet110 vgg19", "sgd", 0.1, 256, {500}),
    "afd_t1": ("mnist", "resnet5", "sgd", 0.1, 50, {300}),
    "afd_t1_cifar": ("cifar10 cifar100", "resnet18", "sgd", 0.1, 64, {850}),
    "wnll_t2": ("cifar10", "resnet56", "sgd", 0.1, 128, {800}),
    "wnll_t3": ("cifar10", "resnet56", "sgd", 0.1, 128, {800}),
    "wnll_t5": ("cifar10", "resnet56", "sgd", 0.1, 128, {800}),
    "wnll_fig6b": ("cifar10", "resnet20", "sgd", 0.1, 128, {120}),
}


@pytest.mark.parametrize(("name", "expected"), TRAINED_AT_PAPER_SCALE.items(), ids=TRAINED_AT_PAPER_SCALE)
def test_the_paper_scale_is_the_papers(name, expected):
    specs = expand(STUDIES[name], scale="paper").trainings.values()
    datasets, networks = ({getattr(spec, key).name for spec in specs} for key in ("dataset", "network"))
    (optimisation,) = {(o.optimizer, o.lr, o.batch_size) for o in (spec.optimisation for spec in specs)}
    found = (" ".join(sorted(datasets)), " ".join(sorted(networks)), *optimisation, {spec.epochs for spec in specs})
    assert found == expected


CHANNELS = {"cifar10": 3, "cifar100": 3, "svhn": 3}


@every_study
@pytest.mark.slow
def test_every_model_can_be_built(study):
    """On the meta device, which has shapes but no numbers."""
    for scale in SCALES:
        for spec in expand(study, scale=scale, seeds=[0]).trainings.values():
            channels = CHANNELS.get(spec.dataset.name, 1)
            side = 32 if channels == 3 else 28
            none = Images(np.empty((0, channels, side, side), np.uint8), np.empty(0, np.int64))
            classes = 100 if spec.dataset.name == "cifar100" else 10
            with torch.device("meta"):
                defense = build(spec, Splits(none, none, none, classes), "meta")
            assert sum(p.numel() for p in defense.model.parameters()) > 0


@pytest.mark.parametrize("name", sorted(name for name, study in STUDIES.items() if study.search))
def test_every_corner_of_a_search_space_makes_a_spec_on_bundled_data(name):
    space = search_space(STUDIES[name], scale="quick", overrides={}, seeds=None)
    space = judged_by(space, objectives_of("", space))
    plan = space.plan(space.corners())
    assert {spec.dataset.name for spec in plan.trainings.values()} == {"digits"}


@pytest.mark.parametrize("defense", ["madry", "trades", "rbf_mapping", "rbf_cnn", "pcl", "afd", "wnll"])
def test_the_cross_paper_search_has_ranges_of_each_defense_s_own(defense):
    space = search_space(STUDIES["cross_paper"], scale="quick", overrides={"defense": defense}, seeds=None)
    assert any(key.startswith(("defense.", "inference.")) for key in space.ranges)
