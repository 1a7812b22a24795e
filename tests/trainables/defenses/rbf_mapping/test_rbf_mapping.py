"""The defense that is made of the block: where blocks stand, how they are calibrated, what is trained and reported."""

import itertools

import pytest
import torch

from trainables.defenses.rbf_mapping.config import RbfMappingConfig
from trainables.defenses.rbf_mapping.defense import RbfMapping, blocks_of
from trainables.fitting.batches import Batches
from trainables.fitting.optimisation import OptimisationSpec
from trainables.fitting.task import Task
from trainables.networks.spec import NetworkSpec

ALL_PSI = ("factor", "cholesky", "identity", "per_channel_code")
TASK = Task((1, 28, 28), 10, NetworkSpec(width=3), OptimisationSpec(batch_size=32), 1, torch.device("cpu"))


def batches(digits):
    pixels, labels = (torch.from_numpy(array[:96]) for array in (digits.train.pixels, digits.train.labels))
    return Batches(pixels, labels, TASK.optimisation, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("placement", "channels"),
    [
        pytest.param(("conv", "head"), [3, 6, 6, 12], id="both"),
        pytest.param(("conv",), [3, 6, 6], id="conv"),
        pytest.param(("head",), [6], id="head"),
    ],
)
def test_blocks_stand_where_they_are_placed(placement, channels):
    defense = RbfMapping(RbfMappingConfig(placement=placement), TASK)
    assert [made.centers.shape[1] for made in blocks_of(defense.model)] == channels
    assert defense.model(torch.rand(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize("learn_beta", [True, False], ids=["learned beta", "held beta"])
@pytest.mark.parametrize(("psi", "power"), list(itertools.product(ALL_PSI, [1, 2])))
def test_preparation_sets_beta_to_one_over_the_median_distance(psi, power, learn_beta, digits):
    """Each block on what the calibrated blocks before it give, so the median of beta D is 1 in all of them."""
    torch.manual_seed(0)
    defense = RbfMapping(RbfMappingConfig(psi=psi, distance_power=power, learn_beta=learn_beta), TASK)
    defense.prepare(batches(digits))
    images, _ = next(iter(batches(digits)))
    medians = []
    for made in blocks_of(defense.model):
        made.register_forward_pre_hook(
            lambda made, inputs: medians.append((made.beta[:, None, None] * made.distances(inputs[0])).median().item())
        )
    defense.model(images)
    assert medians == pytest.approx([1.0] * 4, rel=1e-4)


def test_after_preparation_the_widths_stay(digits):
    """Its hooks are gone: another batch calibrates nothing."""
    defense = RbfMapping(RbfMappingConfig(), TASK)
    defense.prepare(batches(digits))
    before = [made.raw_beta.detach().clone() for made in blocks_of(defense.model)]
    defense.model(torch.rand(4, 1, 28, 28))
    assert all(torch.equal(made.raw_beta, b) for made, b in zip(blocks_of(defense.model), before, strict=True))


def test_a_given_beta_is_not_calibrated(digits):
    defense = RbfMapping(RbfMappingConfig(beta_init=2.0), TASK)
    defense.prepare(batches(digits))
    for made in blocks_of(defense.model):
        torch.testing.assert_close(made.beta, torch.full_like(made.beta, 2.0))


@pytest.mark.parametrize(
    "settings",
    [
        {"psi": psi, "learn_beta": beta, "distance_power": power}
        for psi in ALL_PSI
        for beta in (True, False)
        for power in (1, 2)
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_every_ablation_trains(settings, digits):
    torch.manual_seed(0)
    defense = RbfMapping(RbfMappingConfig(**settings), TASK)
    defense.prepare(batches(digits))
    losses = [defense.train_epoch(batches(digits))["loss"] for _ in range(12)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("psi", ALL_PSI)
def test_metrics_name_beta_and_the_scale_of_a_of_each_block(psi, digits):
    defense = RbfMapping(RbfMappingConfig(psi=psi), TASK)
    metrics = defense.train_epoch(batches(digits))
    for number, made in enumerate(blocks_of(defense.model), 1):
        assert metrics[f"beta_{number}"] == pytest.approx(made.beta.mean().item())
        if psi == "identity":
            assert f"psi_norm_{number}" not in metrics
        else:
            assert metrics[f"psi_norm_{number}"] == pytest.approx(made.A.norm().item())


@pytest.mark.parametrize("name", ["raw_beta", "A"])
def test_what_is_not_learned_does_not_move(name, digits):
    config = RbfMappingConfig(learn_beta=name != "raw_beta")
    defense = RbfMapping(config, TASK)
    before = [getattr(made, name).detach().clone() for made in blocks_of(defense.model)]
    defense.train_epoch(batches(digits))
    moved = [not torch.equal(getattr(made, name), b) for made, b in zip(blocks_of(defense.model), before, strict=True)]
    assert moved == [name == "A"] * 4
