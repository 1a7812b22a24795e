"""rbf_mapping: Asgari Taghanaki et al., "A Kernelized Manifold Mapping ...", CVPR 2019.

Behind every conv block and before the softmax layer stands an RbfBlock. Its centres, widths, weights and Psi are
trained end to end with the network, by cross-entropy on clean images (Eq. 11).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.defenses.by_loss import defense_of
from trainables.defenses.fit import network_of
from trainables.defenses.rbf_mapping.block import RbfBlock
from trainables.defenses.rbf_mapping.config import RbfMappingConfig
from trainables.fitting.batches import Batches
from trainables.fitting.task import Task
from trainables.networks.staged import Staged, unchanged


def network_with_blocks(config: RbfMappingConfig, task: Task) -> Staged:
    """Build the task's network with an RbfBlock wherever the config places one."""

    def block(channels: int) -> tuple[nn.Module, int]:
        made = RbfBlock(channels, config)
        return made, made.out_channels

    return network_of(
        task,
        after_conv=block if "conv" in config.placement else unchanged,
        before_head=block if "head" in config.placement else unchanged,
    )


@torch.no_grad()
def calibrate_widths(model: Staged, config: RbfMappingConfig, batches: Batches) -> None:
    """Calibrate the widths on the first batch, each block on what the calibrated blocks before it give."""
    if config.beta_init is None:
        images, _ = next(iter(batches))
        with _before_each(blocks_of(model)):
            model(images)


def clean_loss(
    model: Staged, images: Tensor, labels: Tensor, *, config: RbfMappingConfig, generator: torch.Generator
) -> Tensor:
    """Return the mean cross-entropy on the images as they are."""
    return cross_entropy(model(images), labels)


def width_and_scale(model: Staged, config: RbfMappingConfig) -> dict[str, float]:
    """Return beta and the scale of A of each block, which trade off against each other."""
    metrics = {}
    for number, block in enumerate(blocks_of(model), 1):
        metrics[f"beta_{number}"] = block.beta.mean().item()
        if config.psi != "identity":
            metrics[f"psi_norm_{number}"] = block.A.norm().item()
    return metrics


def blocks_of(model: nn.Module) -> list[RbfBlock]:
    """Return the model's blocks, in their order."""
    return [module for module in model.modules() if isinstance(module, RbfBlock)]


@contextmanager
def _before_each(blocks: list[RbfBlock]) -> Iterator[None]:
    """Calibrate each block on its own input, just before it runs."""
    hooks = [b.register_forward_pre_hook(lambda block, inputs: block.calibrate(inputs[0])) for b in blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


RbfMapping = defense_of(
    network_with_blocks, clean_loss, RbfMappingConfig, prepare=calibrate_widths, metrics_of=width_and_scale
)
