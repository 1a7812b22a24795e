"""The boundary attack, L2, which sees nothing but decisions (Brendel et al., ICLR 2018); from foolbox."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from trainables.attacks import through_foolbox
from trainables.attacks.goal import Goal
from trainables.attacks.nearest import nearest_by
from trainables.attacks.noise import Noise
from trainables.attacks.spec import AttackSpec

DIRECTIONS, BLENDS = 1000, 50  # noises that are tried, and points on the way to one, as in foolbox


class BoundarySpec(AttackSpec):
    """A random walk along the boundary towards the original; of the margin it sees the sign alone."""

    name: Literal["boundary"] = "boundary"
    norm: Literal["l2"] = "l2"
    loss: Literal["margin"] = "margin"
    steps: PositiveInt = Field(
        5000, description="steps of the walk; with fewer, it ends far from the nearest image that fools"
    )


@nearest_by
def boundary(
    view: nn.Module, images: Tensor, labels: Tensor, *, spec: BoundarySpec, goal: Goal, noise: Noise
) -> Tensor:
    """Return where the walks end; where no noise fools, none starts, and the original is returned.

    In each step foolbox draws one direction for all examples, so that an example's walk depends on the seed alone:
    what starts it, which foolbox would draw for the batch, is found here.
    """
    found = images.clone()
    starts, exists = _starts(view, images, labels, goal, noise)
    if exists.any():
        found[exists] = through_foolbox.run_foolbox(
            "BoundaryAttack",
            view,
            images[exists],
            labels[exists],
            seed=noise.seed,
            settings={"steps": spec.steps},
            starting_points=starts[exists],
        )
    return found


@torch.no_grad()
def _starts(view: nn.Module, images: Tensor, labels: Tensor, goal: Goal, noise: Noise) -> tuple[Tensor, Tensor]:
    """Return images [B, C, H, W] on the way to a uniform noise that fools, the first that fools; and where one is."""
    ends, exists = images.clone(), torch.zeros_like(labels, dtype=torch.bool)
    for stream in range(DIRECTIONS):
        left = (~exists).nonzero()[:, 0]
        if not len(left):
            break
        end = (noise.of(left).draw(stream) + 1) / 2
        fools = goal.fooled(view(end), labels[left])
        ends[left[fools]], exists[left[fools]] = end[fools], True
    starts, left = ends.clone(), exists.nonzero()[:, 0]
    for step in range(1, BLENDS):
        if not len(left):
            break
        between = images[left].lerp(ends[left], step / BLENDS)
        fools = goal.fooled(view(between), labels[left])
        starts[left[fools]] = between[fools]
        left = left[~fools]
    return starts, exists
