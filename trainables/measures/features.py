"""The embedding of images as a view of a defense computes it: the input of its network's head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.errors import InputError
from trainables.evaluation.outcome import BATCH
from trainables.networks.staged import Staged


@torch.no_grad()
def embeddings(view: nn.Module, images: Tensor) -> Tensor:
    """Return the embeddings [N, D] of float images [N, C, H, W] in [0, 1].

    They are what the last stage of the view's network gives for them, behind whatever the defense puts before the
    network. The first time counts: rbf_cnn's network sees every draw, wnll's its template after the images.
    """
    last = list(network_within(view).stages.values())[-1]
    return torch.cat([_first_output(last, view, batch) for batch in images.split(BATCH)])


def network_within(view: nn.Module) -> Staged:
    """Return the one network of a view; raise InputError if it has none or several."""
    found = [module for module in view.modules() if isinstance(module, Staged)]
    if len(found) != 1:
        raise InputError(f"a measure of the embedding needs a view with one network of stages, got {len(found)}")
    return found[0]


def _first_output(stage: nn.Module, view: nn.Module, images: Tensor) -> Tensor:
    outputs: list[Tensor] = []
    handle = stage.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    try:
        view(images)
    finally:
        handle.remove()
    return torch.flatten(outputs[0], 1)
