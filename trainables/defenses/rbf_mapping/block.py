"""The RBF block of rbf_mapping (Asgari Taghanaki et al., CVPR 2019).

It maps the features f of each pixel to g = phi W + b with phi_j = exp(-beta_j D_j),
D_j = (f - c_j)^T Psi^-1 (f - c_j), and passes cat[f, g] on. Centres c, widths beta, W, b and Psi are all trained.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, softplus

from trainables.defenses.rbf_mapping.config import RbfMappingConfig


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
        raw = inverse_softplus(torch.full((kernels,), config.beta_init or 1.0))
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
        self.raw_beta.copy_(inverse_softplus(1 / median).expand_as(self.raw_beta))

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


def inverse_softplus(value: Tensor) -> Tensor:
    """Return x with softplus(x) = value > 0."""
    return value + torch.log(-torch.expm1(-value))
