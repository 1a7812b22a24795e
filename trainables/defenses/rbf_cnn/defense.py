"""rbf_cnn: Nandy, Hsu, Lee, "Approximate Manifold Defense Against Multiple Adversarial Perturbations", IJCNN 2020.

Every 3x3 patch of an image is replaced by a mixture of filters mu_j that EM has found in clean patches, and a
network classifies the reconstruction R (rCNN). rCNN+ trains it on noisy images too. At test time the filters carry
noise, and the prediction is the mean softmax over m passes (Eq. 4, 5).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, log_softmax

from trainables.attacks.criterion import CLASSES
from trainables.defenses.contract import DefenseConfig, require_view
from trainables.defenses.fit import Fit, network_of
from trainables.defenses.rbf_cnn.filter_bank import EmConfig, FilterBank, assembled, fit_filters
from trainables.errors import InputError
from trainables.fitting.adversarial import AdversarialConfig, Radius, perturbed
from trainables.fitting.batches import Batches
from trainables.fitting.task import Task
from trainables.images import Shape, as_float, require_input, require_shape
from trainables.networks.staged import Staged
from trainables.values import Frozen


class PlusConfig(Frozen):
    """What rCNN+ adds to rCNN: a part of each batch carries adversarial, a part Gaussian noise.

    The adversarial noise is one fixed set, made once on training images and added to other ones for the rest of the
    training. Values are the authors' code for MNIST, CIFAR's beside them, except where a description says otherwise.
    """

    adversarial_share: float = Field(30 / 188, ge=0, lt=0.5, description="of a batch; CIFAR: 30 / 128")
    gaussian_share: float = Field(30 / 188, ge=0, lt=0.5, description="of a batch; CIFAR: 30 / 128")
    gaussian_std: PositiveFloat = Field(0.35, description="paper: .35, CIFAR .05; code on CIFAR: .03")
    gaussian_bound: Radius = Field(0.3, description="Gaussian noise is clipped to this Linf ball; CIFAR: .03")
    attack: AdversarialConfig = Field(
        AdversarialConfig(eps=0.3, steps=40),
        description="makes the adversarial noise; eps on CIFAR .03; its steps are ours",
    )
    made_after_epoch: NonNegativeInt = Field(25, description="CIFAR: 200; the adversarial part is clean until then")
    noises: PositiveInt = Field(10_000, description="of how many training images; ours, paper: size not stated")
    max_rotation: float = Field(25.0, ge=0, le=180, description="of the adversarial noise, in degrees; CIFAR: 0")
    max_shift: float = Field(0.25, ge=0, le=1, description="of the adversarial noise, of a side; CIFAR: 0")
    mirror: bool = Field(True, description="the adversarial noise, every other time; CIFAR: false")


class RbfCnnConfig(DefenseConfig):
    """What a model is trained with; what varies at test time is RbfCnnInference.

    `smoothing` 0.1 gives labels in {0.1 / (K - 1), 0.9}, for ten classes the authors' [.0111, .9]. No noise enters
    the reconstruction in training.
    """

    name: Literal["rbf_cnn"] = "rbf_cnn"
    em: EmConfig = Field(EmConfig(), description="how the filters are fitted")
    train_beta1: PositiveFloat = Field(
        125 * math.log(2), description="nats; the authors' code: 125 in base 2; the paper gives only the test's"
    )
    smoothing: float = Field(0.1, ge=0, le=0.5, description="share of each label that goes to the other classes")
    plus: PlusConfig | None = Field(None, description="null: rCNN")


class RbfCnnInference(Frozen):
    """What varies at test time and never retrains; beta2 = 0 turns the noise off.

    The paper's noise has the standard deviation beta2 sigma (`std`), the authors' code's beta2 sigma^2 (`variance`).
    That code draws it once for a model's life; here every forward pass draws it anew for every filter.
    """

    test_beta1: PositiveFloat = Field(25.0, description="nats, the paper's e^{25 v}; the code: 25 in base 2 = 17.3")
    beta2: float = Field(1.75, ge=0, description="paper, for MNIST and CIFAR")
    passes: PositiveInt = Field(10, description="m of Eq. 5, paper")
    noise_scale: Literal["variance", "std"] = Field(
        "variance",
        description="standard deviation of the noise: beta2 sigma^2 (variance, code) or beta2 sigma (std, paper)",
    )


class ReconstructingCnn(nn.Module):
    """The filter bank and the network behind it, without noise: images [B, C, H, W] in [0, 1] -> logits.

    In evaluation it predicts as the `static` view under default settings does, deterministically.
    """

    def __init__(self, bank: FilterBank, classifier: Staged, train_beta1: float) -> None:
        super().__init__()
        self.bank, self.classifier, self.train_beta1 = bank, classifier, train_beta1

    @property
    def shape(self) -> Shape:
        return self.classifier.shape

    def forward(self, images: Tensor) -> Tensor:
        require_input(self, images, self.shape)
        if self.training:
            return self.classifier(self.bank.reconstructed(images, self.train_beta1))
        return static(self, images, RbfCnnInference())


def default(model: ReconstructingCnn, images: Tensor, inference: RbfCnnInference) -> Tensor:
    """Return the log of the mean softmax over m noisy passes (Eq. 5), differentiable; from the global RNG."""
    weights = model.bank.weights(images, inference.test_beta1)
    passes = inference.passes if inference.beta2 else 1
    each = [
        log_softmax(model.classifier(_clipped(_noisy(model, weights, images, inference))), 1) for _ in range(passes)
    ]
    return torch.logsumexp(torch.stack(each), 0) - math.log(passes)


def static(model: ReconstructingCnn, images: Tensor, inference: RbfCnnInference) -> Tensor:
    """Return the logits without noise, what the paper's static attacks see."""
    return model.classifier(_clipped(model.bank.reconstructed(images, inference.test_beta1)))


def bpda(model: ReconstructingCnn, images: Tensor, inference: RbfCnnInference) -> Tensor:
    """Return the logits of one noisy pass, whose gradient goes through the noiseless reconstruction.

    The paper's adaptive attack averages the gradients of 50 calls (EOT); each draws its noise from the global RNG.
    """
    weights = model.bank.weights(images, inference.test_beta1)
    noiseless = assembled(weights, model.bank.mu, (images.shape[2], images.shape[3]))
    noisy = _noisy(model, weights, images, inference)
    return model.classifier(_straight_through(noisy.clamp(0, 1), noiseless))


VIEWS: dict[str, Callable[[ReconstructingCnn, Tensor, RbfCnnInference], Tensor]] = {
    "default": default,
    "static": static,
    "bpda": bpda,
}


class View(nn.Module):
    """A model as one of VIEWS sees it, under fixed inference settings."""

    def __init__(self, name: str, model: ReconstructingCnn, inference: RbfCnnInference) -> None:
        super().__init__()
        self.name, self.model, self.inference = name, model, inference

    def forward(self, images: Tensor) -> Tensor:
        require_input(self.model, images, self.model.shape)
        return VIEWS[self.name](self.model, images, self.inference)


def _noisy(model: ReconstructingCnn, weights: Tensor, images: Tensor, inference: RbfCnnInference) -> Tensor:
    mu = model.bank.noisy_mu(inference.beta2, inference.noise_scale) if inference.beta2 else model.bank.mu
    return assembled(weights, mu, (images.shape[2], images.shape[3]))


def _clipped(reconstruction: Tensor) -> Tensor:
    """Clip to [0, 1]; the gradient passes, since torch's clamp would cut it even at the bounds."""
    return _straight_through(reconstruction.clamp(0, 1), reconstruction)


def _straight_through(value: Tensor, surrogate: Tensor) -> Tensor:
    """Return `value`, exactly, with the gradient of `surrogate`."""
    return value.detach() + (surrogate - surrogate.detach())


class RbfCnn:
    """A network behind a filter bank, trained on reconstructions of clean (rCNN) or also noisy (rCNN+) images."""

    Config: ClassVar[type[DefenseConfig]] = RbfCnnConfig
    Inference: ClassVar[type[Frozen]] = RbfCnnInference
    views: ClassVar[frozenset[str]] = frozenset(VIEWS)
    judges: ClassVar[frozenset[str] | None] = CLASSES

    def __init__(self, config: RbfCnnConfig, task: Task) -> None:
        if config.plus and config.plus.made_after_epoch >= task.epochs:
            raise InputError(
                f"plus.made_after_epoch must be below epochs, got {config.plus.made_after_epoch} with "
                f"epochs={task.epochs}"
            )
        self.config = config
        bank = FilterBank(task.shape[0])
        self.model = ReconstructingCnn(bank, network_of(task), config.train_beta1).to(task.device)
        # torch spreads `label_smoothing` over all K classes, the authors over the K - 1 wrong ones.
        self._label_smoothing = config.smoothing * task.outputs / (task.outputs - 1)
        self._fit = Fit(self.model, task)
        self._epoch = 0
        self._noise: Tensor | None = None

    def prepare(self, batches: Batches) -> None:
        """Fit the filters to the training images, without augmentation."""
        require_shape(batches.pixels, self.model.shape)
        self.model.bank.hold(fit_filters(em_windows(batches, self.config.em), self.config.em))

    def train_epoch(self, batches: Batches) -> dict[str, float]:
        """Train one epoch; the number of filters, which the data decide, is reported with the loss."""
        plus = self.config.plus
        if plus and self._epoch == plus.made_after_epoch:
            self._noise = adversarial_noise(self.model, batches, plus)

        def loss_of(images: Tensor, labels: Tensor) -> Tensor:
            if plus:
                images = with_noise(images, self._noise, plus, batches.generator)
            return cross_entropy(self.model(images), labels, label_smoothing=self._label_smoothing)

        metrics = self._fit.epoch(batches, loss_of)
        self._epoch += 1
        return metrics | {"filters": float(len(self.model.bank))}

    def view(self, name: str, inference: RbfCnnInference | None = None) -> nn.Module:
        """Return the model as an attacker sees it under `inference` settings; all but `static` are stochastic."""
        require_view(name, self.views)
        return View(name, self.model, inference or RbfCnnInference())

    def state_dict(self) -> dict[str, Any]:
        return {**self._fit.state_dict(), "epoch": self._epoch, "noise": self._noise}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._fit.load_state_dict(state)
        self._epoch, self._noise = state["epoch"], state["noise"]


def em_windows(batches: Batches, em: EmConfig) -> Iterator[Tensor]:
    """Yield each M-step's images [N, C, H, W]: whole orders of the training set, one after the other, cut to size."""
    images = len(batches.labels)
    size = em.images_per_m_step(images)
    orders = -(-em.m_steps * size // images)
    order = torch.cat([torch.randperm(images, generator=batches.generator) for _ in range(orders)])
    for indices in order[: em.m_steps * size].split(size):
        yield as_float(batches.pixels[indices.to(batches.pixels.device)])


def adversarial_noise(model: nn.Module, batches: Batches, plus: PlusConfig) -> Tensor:
    """Return x' - x [N, C, H, W] of `plus.noises` training images, or all if there are fewer, drawn at random."""
    order = torch.randperm(len(batches.labels), generator=batches.generator)[: plus.noises]
    found = []
    for indices in order.to(batches.labels.device).split(batches.size):
        images = as_float(batches.pixels[indices])
        attacked = perturbed(model, images, batches.labels[indices], plus.attack, batches.generator)
        found.append(attacked - images)
    return torch.cat(found)


def with_noise(images: Tensor, noise: Tensor | None, plus: PlusConfig, generator: torch.Generator) -> Tensor:
    """Return images [B, C, H, W] of which the last ones carry noise: adversarial, from the set `noise`, then Gaussian.

    Which noise meets which image is drawn at random, so an image meets its own once in as many times as the set has
    noises. The images come in random order, so any place in the batch will do.
    """
    adversarial, gaussian = round(plus.adversarial_share * len(images)), round(plus.gaussian_share * len(images))
    clean, first, second = images.split([len(images) - adversarial - gaussian, adversarial, gaussian])
    if noise is not None:
        chosen = torch.randint(len(noise), (adversarial,), generator=generator).to(noise.device)
        first = (first + _moved(noise[chosen], plus, generator)).clamp(0, 1)
    normal = torch.randn(second.shape, generator=generator).to(second.device)
    second = (second + (plus.gaussian_std * normal).clamp(-plus.gaussian_bound, plus.gaussian_bound)).clamp(0, 1)
    return torch.cat([clean, first, second])


def _moved(noise: Tensor, plus: PlusConfig, generator: torch.Generator) -> Tensor:
    """Rotate, shift and mirror each noise by amounts of its own; 0 comes in from outside, and no entry grows."""
    turn, right, down = torch.rand(3, len(noise), generator=generator) * 2 - 1
    angle = math.radians(plus.max_rotation) * turn
    side = torch.where(torch.rand(len(noise), generator=generator) < 0.5 * plus.mirror, -1.0, 1.0)
    # affine_grid measures from -1 to 1, so a side is 2.
    rows = [side * angle.cos(), -side * angle.sin(), 2 * plus.max_shift * right]
    columns = [angle.sin(), angle.cos(), 2 * plus.max_shift * down]
    theta = torch.stack([torch.stack(rows, 1), torch.stack(columns, 1)], 1).to(noise.device)
    return grid_sample(noise, affine_grid(theta, list(noise.shape), align_corners=False), align_corners=False)
