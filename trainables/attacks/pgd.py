"""PGD: projected steepest ascent from random starts (Madry et al. 2018)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from trainables.attacks.ascent import SteppedSpec, ascend, best_of
from trainables.attacks.goal import Goal
from trainables.attacks.noise import Noise
from trainables.attacks.norms import NORMS


class PgdSpec(SteppedSpec):
    """Projected gradient ascent from a random start (default step: 2.5 eps / steps)."""

    name: Literal["pgd"] = "pgd"
    steps: PositiveInt = Field(40, description="number of steps")
    random_start: bool = Field(True, description="start at a random point of the ball; false: at the image")
    restarts: PositiveInt = Field(1, description="runs from different random starts, of which the best counts")
    travel: ClassVar[float] = 2.5

    @model_validator(mode="after")
    def _restarts_differ(self) -> PgdSpec:
        if self.restarts > 1 and not self.random_start:
            raise ValueError(f"restarts without random_start repeat themselves, got restarts={self.restarts}")
        return self


def pgd(
    view: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    spec: PgdSpec,
    goal: Goal,
    noise: Noise,
    stop_early: bool,
) -> Tensor:
    """Return for each example the first restart that fools the view or, where none does, the one of highest loss."""
    ball = NORMS[spec.norm]

    def ascent(restart: int, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        return ascend(
            view,
            images,
            labels,
            eps=eps,
            ball=ball,
            loss=goal.loss,
            steps=spec.steps,
            step=spec.step(eps),
            start=eps * ball.start(noise.draw(restart)) if spec.random_start else None,
            fooled=goal.fooled if stop_early else None,
        )

    return best_of(spec.restarts, ascent, view, images, labels, noise, goal=goal, stop_early=stop_early)
