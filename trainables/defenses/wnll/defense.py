"""wnll: Wang et al., "Adversarial Defense via Data Dependent Activation Function and Total Variation Minimization".

arXiv 1809.08516. The labels of queries are interpolated from a labelled template of training images over a graph of
features (Eq. 3, `weighted_laplacian.py`), in place of a softmax. Training alternates linear stages, in which
the whole network is trained under a linear head, and WNLL stages, in which only the buffer layer (FC, ReLU) before
the head is trained, through the interpolation, whose gradient is replaced by the linear head's (Eq. 4, 14).

What the model returns is log U, U being rows of probabilities: argmax is that of U, softmax gives U back, and
cross-entropy is -log U_y. By default a prediction is transductive, as in the paper: it depends on which other
queries are in its batch. `Inference.transductive=False` lets each query stand alone with the template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from trainables.attacks.criterion import CLASSES
from trainables.defenses.contract import DefenseConfig, require_view
from trainables.defenses.fit import network_of
from trainables.defenses.wnll.total_variation import TvmConfig, draw_mask, minimise, minimised
from trainables.defenses.wnll.weighted_laplacian import Graph, gaussian_graph, interpolate, nearest_neighbor_graph
from trainables.fitting.adversarial import AdversarialConfig, perturbed
from trainables.fitting.batches import Batches
from trainables.fitting.descent import Descent
from trainables.fitting.task import Task
from trainables.images import require_input, require_shape
from trainables.networks.staged import Staged
from trainables.runtime.modes import held
from trainables.values import Frozen

BUFFER = "buffer"
SMALLEST_U = 1e-8  # of U before its logarithm; the tie keeps U above it, but for the rounding of conjugate gradients


class WnllConfig(DefenseConfig):
    """Defaults are the paper's or, where it is silent, the authors' code's; descriptions name what is ours.

    Learning rates are factors of `optimisation.lr`, and its schedule starts anew with each stage. The paper trains
    2 loops of 400 epochs from lr .1 and then .009, its adversarial training (PGD, eps .031, 10 steps of .007) 120
    epochs from lr .1. The authors' code has stages that do nothing: the paper's Algorithm 1 is followed.
    """

    name: Literal["wnll"] = "wnll"
    kernel: Literal["code", "gaussian"] = Field("code", description="quartic over neighbours; paper: dense Gaussian")
    neighbors: int = Field(15, ge=2, description="code only; a point is its own first neighbour; the code also has 60")
    scale_neighbor: int = Field(8, ge=2, description="k', code only: the neighbour whose distance is the width; or 30")
    sigma: PositiveFloat | None = Field(None, description="gaussian only; null (ours): the template's median spacing")
    solver: Literal["cholesky", "cg"] = Field("cholesky", description="ours; authors: BiCGSTAB, once a class")
    tie: float = Field(1e-5, gt=0, lt=1, description="ours: share of a query's degree that ties it to a uniform label")
    template: PositiveInt = Field(500, description="training images, class-balanced; at most half of them (ours)")
    template_seed: int = Field(0, ge=0, description="of the draw of the template")
    buffer_width: PositiveInt = Field(64, description="of FC, ReLU, where the network has no stage named buffer")
    loops: PositiveInt = Field(2, description="times that linear and WNLL training take turns")
    wnll_epochs: int = Field(5, ge=0, description="of a loop's epochs, the last; at most half of them (ours)")
    later_lr: PositiveFloat = Field(0.09, description="factor of lr in the loops after the first")
    wnll_lr: PositiveFloat = Field(0.1, description="further factor of lr in WNLL stages; ours, no source")
    training_data: Literal["original", "tvm", "original+tvm"] = Field(
        "original", description="images as they are, after total variation minimisation, or both"
    )
    tvm: TvmConfig = Field(TvmConfig(), description="of the training data; at test it is an inference setting")
    adversarial: AdversarialConfig | None = Field(None, description="train on attacked images in both kinds of stage")

    @model_validator(mode="after")
    def _width_among_the_neighbors(self) -> WnllConfig:
        if self.scale_neighbor > self.neighbors:
            raise ValueError(
                f"scale_neighbor must be at most neighbors, got scale_neighbor={self.scale_neighbor}, "
                f"neighbors={self.neighbors}"
            )
        return self


class WnllInference(Frozen):
    """What may vary at test time: the activation, who is in the graph, and TVM of the queries (never the template).

    TVM draws one mask for all images, so that an image's fate does not depend on its place in a batch (ours).
    """

    activation: Literal["wnll", "linear"] = Field("wnll", description="linear: the head of the linear stages")
    transductive: bool = Field(True, description="false: each query alone with the template")
    tvm: TvmConfig | None = Field(None, description="total variation minimisation of the queries; null: as they are")


class WnllModel(nn.Module):
    """Images [B, C, H, W] in [0, 1] -> log U [B, K]; the template's images and labels are buffers.

    Unused places of the template, where there are too few training images, have label -1. What the stages before the
    buffer layer give for the template is kept until one of their weights or the template is changed in place.
    """

    template_images: Tensor
    template_labels: Tensor

    def __init__(self, network: Staged, config: WnllConfig, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.network, self._config = network, config
        self._graph = KERNELS[config.kernel](config)
        self._kept: tuple[list[object], Tensor] | None = None
        self.register_buffer("template_images", torch.zeros(config.template, *shape, dtype=torch.uint8))
        self.register_buffer("template_labels", torch.full((config.template,), -1))

    @property
    def before_buffer(self) -> list[nn.Module]:
        """The stages that a WNLL stage leaves as they are."""
        return [stage for name, stage in self.network.stages.items() if name != BUFFER]

    def forward(self, images: Tensor) -> Tensor:
        return self.predict(images, WnllInference())

    def predict(self, images: Tensor, inference: WnllInference, *, straight_through: bool = False) -> Tensor:
        """Return log U, or logits if the activation is linear.

        The gradient of log U is exact or, with `straight_through`, the linear head's (Eq. 4). That of TVM is taken
        for the identity's (BPDA).
        """
        require_input(self, images, self.network.shape)
        if inference.tvm:
            images = images + (_minimised_alike(images.detach(), inference.tvm) - images).detach()
        features = self.network.embed(images)
        if inference.activation == "linear":
            return self.network.head(features)
        if not straight_through:
            return self._log_U(features, inference)
        Z = self.network.head(features)
        return Z + (self._log_U(features.detach(), inference) - Z).detach()

    @torch.no_grad()
    def set_template(self, images: Tensor, labels: Tensor) -> None:
        """Hold uint8 images [M, C, H, W] and labels [M], at most as many as there are places."""
        self.template_labels.fill_(-1)
        self.template_images[: len(labels)] = images
        self.template_labels[: len(labels)] = labels

    def _log_U(self, features: Tensor, inference: WnllInference) -> Tensor:
        labels = self.template_labels[self.template_labels >= 0]
        graph = self._graph(features, self._template_features(), alone=not inference.transductive)
        G = one_hot(labels, self.network.head.out_features).to(features.dtype)
        U = interpolate(graph, G, solver=self._config.solver, tie=self._config.tie)
        return U.clamp_min(SMALLEST_U).log()

    @torch.no_grad()
    def _template_features(self) -> Tensor:
        """Return the template's features [M, D] as in evaluation mode."""
        inputs = [t for stage in self.before_buffer for t in (*stage.parameters(), *stage.buffers())]
        inputs += [self.template_images, self.template_labels]
        key: list[object] = [(id(t), t._version, t.device, t.dtype) for t in inputs]
        if self._kept is None or self._kept[0] != key:
            self._kept = key, self._before_buffer_of_template()
        with held(self.network.stages[BUFFER]):
            return self.network.stages[BUFFER](self._kept[1]).flatten(1)

    def _before_buffer_of_template(self) -> Tensor:
        found = self.template_images[self.template_labels >= 0].to(self.network.head.weight.dtype) / 255
        with held(*self.before_buffer):
            for stage in self.before_buffer:
                found = stage(found)
        return found


class WnllView(nn.Module):
    """The model under inference settings of its own, with the exact or the straight-through gradient."""

    def __init__(self, model: WnllModel, inference: WnllInference, *, straight_through: bool) -> None:
        super().__init__()
        self.model, self._inference, self._straight_through = model, inference, straight_through

    def forward(self, images: Tensor) -> Tensor:
        return self.model.predict(images, self._inference, straight_through=self._straight_through)


@dataclass(frozen=True)
class Stage:
    """One stretch of the alternation."""

    loop: int
    kind: Literal["linear", "wnll"]
    epochs: int


class Wnll:
    """A network with a WNLL activation, trained in turns with a linear one (Algorithm 1).

    Views: `default` and `implicit` have the exact gradient, by the adjoint of the solve; `straight_through` has the
    paper's, the linear head's. In all of them queries are attacked and the template stays clean. With the `code`
    kernel the exact gradient vanishes where all that a query is tied to has one class, as U is one-hot whatever the
    weights are: attack it with `straight_through` too.
    """

    Config: ClassVar[type[DefenseConfig]] = WnllConfig
    Inference: ClassVar[type[Frozen]] = WnllInference
    views: ClassVar[frozenset[str]] = frozenset({"default", "straight_through", "implicit"})
    judges: ClassVar[frozenset[str] | None] = CLASSES

    def __init__(self, config: WnllConfig, task: Task) -> None:
        self.config, self._task = config, task
        self.model = WnllModel(_with_buffer(network_of(task), config.buffer_width), config, task.shape).to(task.device)
        self._plan = alternation(config, task.epochs)
        self._epoch = 0
        self._descent = self._descent_of(self._plan[0])

    def prepare(self, batches: Batches) -> None:
        """Make the training data and choose the template among them; WNLL stages train on the others."""
        require_shape(batches.pixels, self._task.shape)
        self._pixels, self._labels = _training_data(batches.pixels, batches.labels, self.config)
        order = _balanced_order(self._labels, self._task.outputs, seed=self.config.template_seed)
        size = min(self.config.template, len(order) // 2)
        self.model.set_template(self._pixels[order[:size]], self._labels[order[:size]])
        self._others = order[size:].sort().values

    def train_epoch(self, batches: Batches) -> dict[str, float]:
        """Train one epoch of the stage that is due."""
        stage = self._plan[self._epoch]
        if self._epoch and stage != self._plan[self._epoch - 1]:
            self._descent = self._descent_of(stage)
        metrics = self._wnll_epoch(batches) if stage.kind == "wnll" else self._linear_epoch(batches)
        self._epoch += 1
        return metrics | {"wnll_stage": float(stage.kind == "wnll")}

    def view(self, name: str, inference: WnllInference | None = None) -> nn.Module:
        require_view(name, self.views)
        return WnllView(self.model, inference or WnllInference(), straight_through=name == "straight_through")

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "descent": self._descent.state_dict(), "epoch": self._epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self._epoch = state["epoch"]
        self._descent = self._descent_of(self._plan[max(self._epoch - 1, 0)])
        self._descent.load_state_dict(state["descent"])

    def _descent_of(self, stage: Stage) -> Descent:
        """Return a fresh optimiser: of all weights in a linear stage, of the buffer layer's in a WNLL stage."""
        optimisation = self._task.optimisation
        lr = optimisation.lr * (self.config.later_lr if stage.loop else 1)
        lr *= self.config.wnll_lr if stage.kind == "wnll" else 1
        trained = self.model.network.stages[BUFFER] if stage.kind == "wnll" else self.model.network
        return Descent(trained.parameters(), optimisation.model_copy(update={"lr": lr}), stage.epochs)

    def _linear_epoch(self, batches: Batches) -> dict[str, float]:
        data = Batches(self._pixels, self._labels, self._task.optimisation, batches.generator)
        return self._descent.epoch(data, partial(self._loss, inference=LINEAR, generator=batches.generator))

    def _wnll_epoch(self, batches: Batches) -> dict[str, float]:
        others = self._others
        data = Batches(self._pixels[others], self._labels[others], self._task.optimisation, batches.generator)
        with held(*self.model.before_buffer, self.model.network.head):
            return self._descent.epoch(data, partial(self._loss, inference=INTERPOLATED, generator=batches.generator))

    def _loss(self, images: Tensor, labels: Tensor, *, inference: WnllInference, generator: torch.Generator) -> Tensor:
        """Return the cross-entropy under the stage's activation, of attacked images if the config says so."""
        predict = partial(self.model.predict, inference=inference, straight_through=True)
        if self.config.adversarial:
            images = perturbed(self.model, images, labels, self.config.adversarial, generator, of=predict)
        return cross_entropy(predict(images), labels)


LINEAR = WnllInference(activation="linear")
INTERPOLATED = WnllInference()


def alternation(config: WnllConfig, epochs: int) -> list[Stage]:
    """Return the stage of every epoch: in each loop a linear stage, then a WNLL stage."""
    plan: list[Stage] = []
    for loop in range(config.loops):
        length = (loop + 1) * epochs // config.loops - loop * epochs // config.loops
        wnll = min(config.wnll_epochs, length // 2)
        plan += [Stage(loop, "linear", length - wnll)] * (length - wnll) + [Stage(loop, "wnll", wnll)] * wnll
    return plan


def _code_graph(config: WnllConfig) -> partial[Graph]:
    return partial(nearest_neighbor_graph, neighbors=config.neighbors, scale_neighbor=config.scale_neighbor)


def _gaussian_graph(config: WnllConfig) -> partial[Graph]:
    return partial(gaussian_graph, sigma=config.sigma)


KERNELS = {"code": _code_graph, "gaussian": _gaussian_graph}


def _with_buffer(network: Staged, width: int) -> Staged:
    """Return the network as it is if it has a buffer layer, else with one before a new head."""
    if BUFFER in network.stages:
        return network
    fc = nn.Linear(network.head.in_features, width)
    stages = {**dict(network.stages.items()), BUFFER: nn.Sequential(nn.Flatten(), fc, nn.ReLU())}
    return Staged(stages, nn.Linear(width, network.head.out_features), network.shape)


def _minimised_alike(images: Tensor, config: TvmConfig) -> Tensor:
    """Return images [B, C, H, W] after TVM under one mask, in [0, 1]."""
    mask = draw_mask((1, *images.shape[1:]), config).to(images)
    return minimise(images, mask, lambda_tv=config.lambda_tv, iterations=config.iterations).clamp(0, 1)


def _training_data(pixels: Tensor, labels: Tensor, config: WnllConfig) -> tuple[Tensor, Tensor]:
    """Return the uint8 images and labels that the config asks for: the original, after TVM, or both."""
    if config.training_data == "original":
        return pixels, labels
    smooth = minimised(pixels, config.tvm)
    return (smooth, labels) if config.training_data == "tvm" else (torch.cat([pixels, smooth]), labels.repeat(2))


def _balanced_order(labels: Tensor, classes: int, *, seed: int) -> Tensor:
    """Return indices [N] in random order but with the classes in turn, so that every beginning is balanced."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed)).to(labels.device)
    nth_of_class = one_hot(labels[order], classes).cumsum(0).gather(1, labels[order, None])[:, 0]
    return order[nth_of_class.sort(stable=True).indices]
