"""rbf_mapping: Asgari Taghanaki et al., "A Kernelized Manifold Mapping ...", CVPR 2019.

Behind every conv block and before the softmax layer, a block maps the features f of each pixel to
g = phi W + b with phi_j = exp(-beta_j D_j), D_j = (f - c_j)^T Psi^-1 (f - c_j), and passes cat[f, g] on.
Centres c, widths beta, W and b, and with them Psi, are trained end to end with cross-entropy (Eq. 11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, softplus

from trainables.attacks.criteria import CLASSES
from trainables.defenses.contract import DefenseConfig, NoInference
from trainables.defenses.fit import Fit, network_of
from trainables.fitting.batches import Batches
from trainables.fitting.task import Task
from trainables.networks.staged import unchanged
from trainables.values import Frozen


class RbfMappingConfig(DefenseConfig):
    """The ablation switches; defaults are the resolutions of what paper and published code leave open.

    The paper's Psi is K x P, yet it is inverted on K-vectors. `factor` lets M = A A^T, with A [K, rank], play
    Psi^-1, which is positive semi-definite as the paper wants. `cholesky` is the literal Psi = A A^T + jitter I.
    `identity` does not learn Psi (the cross in Table 6). `distance_power` 1 takes the square root of the form,
    as the authors' code does. `per_channel_code` is the layer of that code, which contracts over the centres
    instead of the channels (see RbfBlock); all of it is psi=per_channel_code, distance_power=1, beta_init=2.
    """

    name: Literal["rbf_mapping"] = "rbf_mapping"
    psi: Literal["factor", "cholesky", "identity", "per_channel_code"] = Field(
        "factor", description="how Psi, the shape of the basis functions, is learned; see the class"
    )
    learn_beta: bool = Field(True, description="whether the widths beta are trained")
    beta_init: PositiveFloat | None = Field(
        None, description="None: 1 / median(D) on the first batch; the authors' code: 2.0, which underflows for K >= 64"
    )
    centers: PositiveInt | None = Field(None, description="P; None: as many as channels (authors' code)")
    outputs: PositiveInt | None = Field(None, description="O; None: as many as channels (authors' code)")
    rank: PositiveInt | None = Field(None, description="r, columns of A; None: P; factor and cholesky only")
    distance_power: Literal[1, 2] = Field(
        2, description="1 takes the square root of the quadratic form, as the code does; paper: 2"
    )
    placement: tuple[Literal["conv", "head"], ...] = Field(
        ("conv", "head"),
        min_length=1,
        description="where blocks stand: behind every conv block, before the softmax layer",
    )
    jitter: PositiveFloat = Field(1e-3, description="cholesky only")


class RbfBlock(nn.Module):
    """f [B, K, H, W] -> cat[f, g] [B, K + O, H, W].

    D is expanded to |Rf|^2 - 2 Rf.Rc + |Rc|^2 with R^T R = Psi^-1, so that it costs two 1x1 convolutions and no
    B x P x K x H x W differences.

    Under `per_channel_code` a kernel belongs to a channel, not to a centre: s_k = (f_k - c_1k, ..., f_k - c_Pk),
    D_k = s_k^T M s_k with M [P, P], phi_k = exp(-beta_k D_k). So phi_k depends on f_k alone, and only W mixes
    channels. The authors' M = Psi^T * Psi is an elementwise product with Psi = I at the start. The gradient of an
    entry Psi_ij is a multiple of Psi_ji, so all but the diagonal stay 0 (the code adds 2e-16, which changes nothing).
    A [P] is that diagonal: D_k = sum_p A_p^2 (f_k - c_pk)^2.
    """

    def __init__(self, channels: int, config: RbfMappingConfig) -> None:
        super().__init__()
        centers = config.centers or channels
        outputs = config.outputs or channels
        kernels = channels if config.psi == "per_channel_code" else centers
        self.psi, self.power, self.jitter = config.psi, config.distance_power, config.jitter
        self.out_channels = channels + outputs
        self.centers = nn.Parameter(torch.rand(centers, channels))
        if config.psi == "per_channel_code":
            self.A = nn.Parameter(torch.ones(centers))
        elif config.psi != "identity":
            self.A = nn.Parameter(torch.eye(channels, config.rank or centers))
        raw = _inverse_softplus(torch.full((kernels,), config.beta_init or 1.0))
        if config.learn_beta:
            self.raw_beta = nn.Parameter(raw)
        else:
            self.register_buffer("raw_beta", raw)
        self.mix = nn.Conv2d(kernels, outputs, 1)
        nn.init.xavier_uniform_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        phi = torch.exp(-self.beta[:, None, None] * self.distances(features))
        return torch.cat([features, self.mix(phi)], 1)

    @property
    def beta(self) -> Tensor:
        """Widths, positive: [P] or, under per_channel_code, [K]."""
        return softplus(self.raw_beta)

    def distances(self, features: Tensor) -> Tensor:
        """Return D of every pixel: [B, P, H, W] to each centre or, under per_channel_code, [B, K, H, W]."""
        form = self._by_channel(features) if self.psi == "per_channel_code" else self._by_center(features)
        squared = torch.relu(form)  # keeps its output for the backward pass, which the next step keeps anyway
        return squared if self.power == 2 else (squared + 1e-12).sqrt()

    @torch.no_grad()
    def calibrate(self, features: Tensor) -> None:
        """Set every width to 1 / median(D) on these features, where exp(-beta D) neither vanishes nor saturates."""
        median = self.distances(features).median().clamp_min(1e-6)
        self.raw_beta.copy_(_inverse_softplus(1 / median).expand_as(self.raw_beta))

    def _by_center(self, features: Tensor) -> Tensor:
        root = self._root()
        if root is not None:
            features, centers = conv2d(features, root[:, :, None, None]), self.centers @ root.T
        else:
            centers = self.centers
        products = conv2d(features, -2 * centers[:, :, None, None], bias=centers.square().sum(1))
        return products + features.square().sum(1, keepdim=True)

    def _by_channel(self, features: Tensor) -> Tensor:
        weights = self.A.square()
        linear, constant = weights @ self.centers, weights @ self.centers.square()
        return weights.sum() * features.square() - 2 * linear[:, None, None] * features + constant[:, None, None]

    def _root(self) -> Tensor | None:
        """Return R [r, K] with R^T R = Psi^-1; None for the identity."""
        if self.psi == "identity":
            return None
        if self.psi == "factor":
            return self.A.T
        eye = torch.eye(len(self.A), device=self.A.device, dtype=self.A.dtype)
        lower = torch.linalg.cholesky(self.A @ self.A.T + self.jitter * eye)
        return torch.linalg.solve_triangular(lower, eye, upper=False)


def _inverse_softplus(value: Tensor) -> Tensor:
    return value + torch.log(-torch.expm1(-value))


class RbfMapping:
    """A network with RBF blocks, trained end to end on clean images."""

    Config: ClassVar[type[DefenseConfig]] = RbfMappingConfig
    Inference: ClassVar[type[Frozen]] = NoInference
    views: ClassVar[frozenset[str]] = frozenset({"default"})
    judges: ClassVar[frozenset[str] | None] = CLASSES

    def __init__(self, config: RbfMappingConfig, task: Task) -> None:
        def block(channels: int) -> tuple[nn.Module, int]:
            made = RbfBlock(channels, config)
            return made, made.out_channels

        self.config = config
        self.model: nn.Module = network_of(
            task,
            after_conv=block if "conv" in config.placement else unchanged,
            before_head=block if "head" in config.placement else unchanged,
        )
        self._blocks = [module for module in self.model.modules() if isinstance(module, RbfBlock)]
        self._fit = Fit(self.model, task)

    @torch.no_grad()
    def prepare(self, batches: Batches) -> None:
        """Calibrate the widths on the first batch, each block on what the calibrated blocks before it give."""
        if self.config.beta_init is None:
            images, _ = next(iter(batches))
            with _before_each(self._blocks):
                self.model(images)

    def train_epoch(self, batches: Batches) -> dict[str, float]:
        """Train one epoch; beta and the scale of A, which trade off against each other, are both reported."""
        metrics = self._fit.epoch(batches, lambda images, labels: cross_entropy(self.model(images), labels))
        for number, block in enumerate(self._blocks, 1):
            metrics[f"beta_{number}"] = block.beta.mean().item()
            if self.config.psi != "identity":
                metrics[f"psi_norm_{number}"] = block.A.norm().item()
        return metrics

    def view(self, name: str, inference: Frozen | None = None) -> nn.Module:
        return self.model

    def state_dict(self) -> dict[str, Any]:
        return self._fit.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._fit.load_state_dict(state)


@contextmanager
def _before_each(blocks: list[RbfBlock]) -> Iterator[None]:
    """Calibrate each block on its own input, just before it runs."""
    hooks = [b.register_forward_pre_hook(lambda block, inputs: block.calibrate(inputs[0])) for b in blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
