"""afd: Bashivan, Richards, Rish, "Adversarial Feature Desensitization", arXiv 2006.04621v1.

An encoder E (theta) with a linear classifier Dc (phi) plays against a discriminator Da (psi) that tells the features
of attacked images x' = PGD(x) from those of clean ones. On each batch, one after the other (Algorithm 1):
1. theta, phi descend cross-entropy of Dc(E(x)), clean images only;
2. psi descends S(-Da(E(x), y)) + S(Da(E(x'), y)), S = softplus;
3. theta descends S(-Da(E(x'), y)), the non-saturating form.
The paper's Algorithm 1 prints softmax(-Dc) where softmax(Dc) is meant, and leaves out Da's y.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.attacks.criterion import CLASSES
from trainables.defenses.afd.discriminator import GAN_LOSSES, ProjectionDiscriminator
from trainables.defenses.contract import DefenseConfig, NoInference, require_view
from trainables.defenses.fit import network_of
from trainables.fitting.adversarial import AdversarialConfig, perturbed
from trainables.fitting.batches import Batches
from trainables.fitting.descent import Descent
from trainables.fitting.task import Task
from trainables.networks.staged import Staged
from trainables.runtime.modes import held
from trainables.values import Frozen

RELATIVE_ENCODER_LR = {"sgd": 5.0, "adam": 0.5}


class AfdConfig(DefenseConfig):
    """The ablation switches; defaults are the paper's v1, whose values the later public code changes.

    Step 1 takes its learning rate, the paper's LR_EDc (.1), from the optimisation; the other steps' are given here
    as multiples of it. All three share optimiser, momentum, weight decay and schedule.
    """

    name: Literal["afd"] = "afd"
    gan_loss: Literal["softplus", "wgan", "hinge"] = Field("softplus", description="paper: softplus; code: wgan")
    relative_encoder_lr: PositiveFloat | None = Field(
        None,
        description="LR_E / LR_EDc, step 3; null: 5 with sgd (paper: .5 / .1), .5 with adam (ours: its steps are as "
        "long for the small gradients of step 3 as for those of step 1, and 5 collapses the features)",
    )
    relative_discriminator_lr: PositiveFloat = Field(1.0, description="LR_Da / LR_EDc, step 2 (paper: .1 / .1)")
    hidden: PositiveInt | None = Field(
        None, description="width of Da; null: of the embedding, as in the paper (200 and 512)"
    )
    joint_batchnorm: bool = Field(
        False,
        description="clean and attacked images pass steps 2 and 3 in one batch, so that Da cannot tell them by "
        "BatchNorm statistics that evaluation does not have; paper: two batches",
    )
    adversarial: AdversarialConfig = Field(
        AdversarialConfig(eps=0.3), description="PGD-Linf; paper: eps .3 (MNIST), .031 (CIFAR); steps: ours"
    )


class Afd:
    """An encoder and a classifier trained on clean images, the encoder against a discriminator of attacked features."""

    Config: ClassVar[type[DefenseConfig]] = AfdConfig
    Inference: ClassVar[type[Frozen]] = NoInference
    views: ClassVar[frozenset[str]] = frozenset({"default"})
    judges: ClassVar[frozenset[str] | None] = CLASSES

    def __init__(self, config: AfdConfig, task: Task) -> None:
        self.config = config
        self.model: Staged = network_of(task)
        width = self.model.head.in_features
        discriminator = ProjectionDiscriminator(width, task.outputs, hidden=config.hidden or width)
        self.discriminator = discriminator.to(task.device)
        self._gan = GAN_LOSSES[config.gan_loss]
        self.theta_phi = _descent(self.model, task, 1.0)
        self.psi = _descent(self.discriminator, task, config.relative_discriminator_lr)
        encoder_lr = config.relative_encoder_lr or RELATIVE_ENCODER_LR[task.optimisation.optimizer]
        self.theta = _descent(self.model.stages, task, encoder_lr)

    def prepare(self, batches: Batches) -> None:
        pass

    def train_epoch(self, batches: Batches) -> dict[str, float]:
        """Train one epoch; `loss` is step 1's cross-entropy, and the two players' losses are reported beside it."""
        lr = self.theta_phi.optimizer.param_groups[0]["lr"]
        losses = [torch.stack(self.play(images, labels, batches.generator)) for images, labels in batches]
        for descent in (self.theta_phi, self.psi, self.theta):
            descent.schedule.step()
        loss, discriminator, encoder = torch.stack(losses).mean(0).tolist()
        return {"loss": loss, "discriminator_loss": discriminator, "encoder_loss": encoder, "lr": float(lr)}

    def play(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> list[Tensor]:
        """Take the three steps on a batch; return their losses."""
        attacked = perturbed(self.model, images, labels, self.config.adversarial, generator)
        classified = self.theta_phi.step(cross_entropy(self.model(images), labels))
        # theta does not change until step 3, so one pass of x' serves steps 2 and 3 (and BatchNorm's statistics once).
        clean_features, attacked_features = self.embed(images, attacked)
        discriminated = self.discriminate(clean_features, attacked_features, labels)
        return [classified, discriminated, self.desensitize(attacked_features, labels)]

    def embed(self, images: Tensor, attacked: Tensor) -> tuple[Tensor, Tensor]:
        """Return E(x) and E(x') [B, D]; only the latter is sure to have a graph, for step 3 alone goes through E."""
        if self.config.joint_batchnorm:
            clean_features, attacked_features = self.model.embed(torch.cat([images, attacked])).chunk(2)
            return clean_features, attacked_features
        with torch.no_grad():
            clean_features = self.model.embed(images)
        return clean_features, self.model.embed(attacked)

    def discriminate(self, clean_features: Tensor, attacked_features: Tensor, labels: Tensor) -> Tensor:
        """Take step 2: psi alone descends; the features' graph is left behind. Return its loss."""
        features = torch.cat([clean_features, attacked_features]).detach()
        clean, attacked = self.discriminator(features, labels.repeat(2)).chunk(2)
        return self.psi.step(self._gan.discriminator(clean, attacked))

    def desensitize(self, attacked_features: Tensor, labels: Tensor) -> Tensor:
        """Take step 3: theta alone descends, through a discriminator that is held still. Return its loss."""
        with held(self.discriminator):
            return self.theta.step(self._gan.encoder(self.discriminator(attacked_features, labels)))

    def view(self, name: str, inference: Frozen | None = None) -> nn.Module:
        require_view(name, self.views)
        return self.model

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, nn.Module | Descent]:
        return {
            "model": self.model,
            "discriminator": self.discriminator,
            "theta_phi": self.theta_phi,
            "psi": self.psi,
            "theta": self.theta,
        }


def _descent(module: nn.Module, task: Task, relative_lr: float) -> Descent:
    lr = relative_lr * task.optimisation.lr
    return Descent(module.parameters(), task.optimisation.model_copy(update={"lr": lr}), task.epochs)
