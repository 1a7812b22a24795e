"""pcl: Mustafa et al., "Deeply Supervised Discriminative Learning for Adversarial Defense", TPAMI 2020.

After a warm-up on cross-entropy alone, the features f of some layers are supervised as well: the Prototype
Conformity Loss draws them to the prototype of their class and away from the others (Eq. 5, Algorithm 1),
L = CE + tau sum_layers PC. Other distance losses take its place for the comparison of Sec. 4 (Table 9).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, field_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.attacks.criteria import CRITERIA
from trainables.attacks.criterion import CLASSES, Criterion
from trainables.defenses.contract import DefenseConfig, NoInference, require_view
from trainables.defenses.fit import Fit, network_of
from trainables.defenses.pcl.prototype_loss import (
    AuxiliaryClassifier,
    PairLoss,
    Prototypes,
    Rule,
    capped_paper_loss,
    center_loss,
    center_step,
    code_loss,
    code_step,
    contrastive_loss,
    joint_logits,
    joint_loss,
    paper_step,
    triplet_loss,
)
from trainables.errors import InputError, unknown
from trainables.fitting.adversarial import AdversarialConfig, perturbed
from trainables.fitting.batches import Batches
from trainables.fitting.task import Task
from trainables.networks.staged import Staged
from trainables.runtime.modes import held
from trainables.values import Frozen

BRANCHES = 3  # CNN-6: layer 3 and two FC layers; ResNet-110: layers 3 and 4 and an FC layer (Table 1)
WARMUP_SHARE = 7  # T' = 50 of 350 epochs (F/MNIST)


class PclConfig(DefenseConfig):
    """The ablation switches; defaults are the authors' code where it and the paper differ.

    The paper's Eq. 5 has no lower bound in the features; the code pulls with weight 1 and pushes with weight 1e-4,
    against two prototype sets, which is bounded. Features of a spatial layer are averaged over the pixels.
    """

    name: Literal["pcl"] = "pcl"
    supervision: Literal["pcl", "center", "contrastive", "triplet", "softmax"] = Field(
        "pcl", description="the loss of the inner layers"
    )
    loss: Literal["code", "paper"] = Field("code", description="pcl only; paper: Eq. 5 with `cap`")
    tau: NonNegativeFloat = Field(
        0.01,
        description="weight of the supervision; paper: not given; code: 1 (at lr .01), which under Adam draws the "
        "features of a small network to one point; ours: .01 (loss=paper with its cap stands 1)",
    )
    layers: tuple[str, ...] | None = Field(
        None, description="stages of the network; null: the last three that have parameters (Table 1)"
    )
    branch_dims: Mapping[str, PositiveInt] = Field(
        {},
        description="by stage, the width of an FC layer between its features and its loss; others have none; "
        "paper, ResNet-110: {layer3: 512} (Table 1)",
    )
    warmup_epochs: NonNegativeInt | None = Field(
        None, description="T', cross-entropy alone; null: a seventh of the epochs (paper, F/MNIST: 50 of 350)"
    )
    follow_in_warmup: bool = Field(
        True, description="prototypes follow the warm-up's features (ours); code: they start the joint stage at N(0, I)"
    )
    pull_weight: NonNegativeFloat = Field(1.0, description="loss=code only (code)")
    push_weight: NonNegativeFloat = Field(1e-4, description="loss=code only (code)")
    center_lr: PositiveFloat = Field(0.5, description="of the pulling, the paper's and center loss's centres (code)")
    push_lr: PositiveFloat | None = Field(
        None, description="of the pushing centres; null: 1e-4, or 1e-5 with adversarial training (code)"
    )
    cap: PositiveFloat = Field(1.0, description="loss=paper only: largest norm of features and centres (ours)")
    margin: PositiveFloat = Field(1.0, description="contrastive and triplet only (ours)")
    adversarial: AdversarialConfig | None = Field(
        None,
        description="double every batch of the joint stage by its attacked images; "
        "paper: eps in [.1, .5] for F/MNIST, [.01, .05] for CIFAR and SVHN; PGD: 10 steps of eps/4",
    )

    @field_validator("layers")
    @classmethod
    def _each_layer_once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value and len(set(value)) < len(value):
            raise ValueError(f"layers must name each stage once, got {list(value)}")
        return value


class DeeplySupervised(nn.Module):
    """A network whose inner features are supervised: images [B, C, H, W] in [0, 1] -> logits [B, k].

    `branches` hold, by stage, an FC layer or nothing; `losses` compare what comes out of it with labels.
    """

    def __init__(self, network: Staged, branches: Mapping[str, nn.Module], losses: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.network = network
        self.branches, self.losses = nn.ModuleDict(branches), nn.ModuleDict(losses)

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)

    def features(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits [B, k] and the features [B, D] of every supervised layer, from one pass."""
        logits, taps = self.network.tapped(images, list(self.branches))
        return logits, {layer: branch(pooled(taps[layer])) for layer, branch in self.branches.items()}


class JointLossView(nn.Module):
    """The model as the adaptive attack of Table 4 sees it: images -> cat[logits, supervision loss by label] [B, 2k].

    `prototype_loss.joint_loss` reads both.
    """

    def __init__(self, model: DeeplySupervised, tau: float) -> None:
        super().__init__()
        self.model, self.tau = model, tau

    def forward(self, images: Tensor) -> Tensor:
        logits, features = self.model.features(images)
        per_label = torch.zeros_like(logits)
        for layer, f in features.items():
            loss = self.model.losses[layer]
            assert isinstance(loss, Prototypes | AuxiliaryClassifier)
            per_label = per_label + self.tau * loss.per_label(f)
        return torch.cat([logits, per_label], 1)


def pooled(features: Tensor) -> Tensor:
    """Return features [B, D]: a map's [B, D, H, W] mean over its pixels."""
    return features.flatten(2).mean(2) if features.dim() > 2 else features


class Pcl:
    """Cross-entropy for the warm-up epochs, then cross-entropy and the supervision of inner layers together."""

    Config: ClassVar[type[DefenseConfig]] = PclConfig
    Inference: ClassVar[type[Frozen]] = NoInference
    views: ClassVar[frozenset[str]] = frozenset({"default", "joint_loss"})
    judges: ClassVar[frozenset[str] | None] = CLASSES

    def __init__(self, config: PclConfig, task: Task) -> None:
        self.config = config
        self._warmup = task.epochs // WARMUP_SHARE if config.warmup_epochs is None else config.warmup_epochs
        if self._warmup >= task.epochs:
            raise InputError(f"warmup_epochs must be below epochs={task.epochs}, got {self._warmup}")
        self.model: DeeplySupervised = supervised(network_of(task), config, task).to(task.device)
        self._fit = Fit(self.model, task)

    def prepare(self, batches: Batches) -> None:
        pass

    def train_epoch(self, batches: Batches) -> dict[str, float]:
        """Train one epoch; `loss` is cross-entropy in the warm-up and the joint loss after it."""
        if self._fit.descent.schedule.last_epoch < self._warmup:
            return self._fit.epoch(batches, self._warmup_loss)
        return self._fit.epoch(batches, partial(self._joint_loss, generator=batches.generator))

    def view(self, name: str, inference: Frozen | None = None) -> nn.Module:
        """Return the model or, for an attacker of the joint loss, the view whose output `joint_loss` reads."""
        require_view(name, self.views)
        if name == "default":
            return self.model
        if self.config.supervision in PAIR_LOSSES:
            raise InputError(
                f"view joint_loss needs a loss of a single example, got supervision={self.config.supervision!r}"
            )
        return JointLossView(self.model, self.config.tau)

    def state_dict(self) -> dict[str, Any]:
        return self._fit.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._fit.load_state_dict(state)

    def _warmup_loss(self, images: Tensor, labels: Tensor) -> Tensor:
        logits, features = self.model.features(images)
        if self.config.follow_in_warmup:
            with torch.no_grad():
                self._supervision(features, labels)
        return cross_entropy(logits, labels)

    def _joint_loss(self, images: Tensor, labels: Tensor, *, generator: torch.Generator) -> Tensor:
        if self.config.adversarial:
            attacked = perturbed(self.model, images, labels, self.config.adversarial, generator)
            images, labels = torch.cat([images, attacked]), labels.repeat(2)
        logits, features = self.model.features(images)
        return cross_entropy(logits, labels) + self.config.tau * self._supervision(features, labels)

    def _supervision(self, features: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """Return the sum of the layers' losses; their prototypes move."""
        losses = [self.model.losses[layer](f, labels) for layer, f in features.items()]
        return torch.stack(losses).sum() if losses else torch.zeros((), device=labels.device)


def supervised(network: Staged, config: PclConfig, task: Task) -> DeeplySupervised:
    """Put a branch and a loss on each of the config's layers of a network."""
    layers = _last_stages(network) if config.layers is None else config.layers
    for stage in config.branch_dims:
        if stage not in network.stages:
            raise unknown("stage of branch_dims", stage, network.stages)
    branches: dict[str, nn.Module] = {}
    losses: dict[str, nn.Module] = {}
    for layer, dimension in _dimensions(network, layers, task).items():
        wanted = config.branch_dims.get(layer)
        branches[layer] = nn.Linear(dimension, wanted) if wanted else nn.Identity()
        losses[layer] = _loss(config, task.outputs, wanted or dimension)
    return DeeplySupervised(network, branches, losses)


def _last_stages(network: Staged) -> tuple[str, ...]:
    """Return the last stages with parameters: a pooling stage would give the averages of the one before it again."""
    return tuple(name for name, stage in network.stages.items() if any(True for _ in stage.parameters()))[-BRANCHES:]


@torch.no_grad()
def _dimensions(network: Staged, layers: tuple[str, ...], task: Task) -> dict[str, int]:
    with held(network):
        _, taps = network.tapped(torch.zeros(1, *task.shape, device=task.device), layers)
    return {layer: pooled(taps[layer]).shape[1] for layer in layers}


PAIR_LOSSES = {"contrastive": contrastive_loss, "triplet": triplet_loss}


def _loss(config: PclConfig, classes: int, dimension: int) -> nn.Module:
    if config.supervision in PAIR_LOSSES:
        return PairLoss(PAIR_LOSSES[config.supervision], config.margin)
    if config.supervision == "softmax":
        return AuxiliaryClassifier(classes, dimension)
    return Prototypes(_rule(config), classes, dimension)


def _rule(config: PclConfig) -> Rule:
    if config.supervision == "center":
        return Rule(1, center_loss, partial(center_step, lr=config.center_lr))
    if config.loss == "paper":
        return Rule(
            1, partial(capped_paper_loss, cap=config.cap), partial(paper_step, lr=config.center_lr, cap=config.cap)
        )
    push_lr = config.push_lr or (1e-5 if config.adversarial else 1e-4)
    return Rule(
        2,
        partial(code_loss, pull_weight=config.pull_weight, push_weight=config.push_weight),
        partial(code_step, pull_lr=config.center_lr, push_lr=push_lr),
    )


CRITERIA.add("joint", Criterion(joint_loss, joint_logits, reads="joint_loss"))
