"""TODO: one line."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    model_validator,
)

from trainables.values import Frozen


def _parse_eps(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return float(Fraction(value))
    except (ArithmeticError, ValueError):
        raise ValueError(f"eps must be a number or a fraction such as 8/255, got {value!r}") from None


Eps = Annotated[float, BeforeValidator(_parse_eps), Field(gt=0)]
Loss = Literal["cross_entropy", "margin", "dlr", "joint"]


def check_ascending(eps: tuple[float, ...]) -> tuple[float, ...]:
    """Return a grid of eps; raise ValueError if it is empty, or does not ascend."""
    if not eps:
        raise ValueError("eps must name at least one value, got ()")
    if len(set(eps)) < len(eps) or list(eps) != sorted(eps):
        raise ValueError(f"eps must ascend without repeats, got {list(eps)}")
    return eps


def check_joint(loss: Loss, view: str) -> None:
    """Raise ValueError unless pcl's joint loss and the view that it reads come together."""
    if (loss == "joint") != (view == "joint_loss"):
        raise ValueError(f"loss joint goes with view joint_loss, got loss {loss} and view {view}")


class AttackSpec(Frozen):
    """A threat: an attack, its norm and its grid of eps on the [0,1] image scale, and what it may see."""

    name: str
    norm: Literal["linf", "l2", "l1"] = "linf"
    eps: tuple[Eps, ...]
    view: str = Field("default", description="the view of the defense that is attacked")
    loss: Loss = Field(
        "cross_entropy", description="what the attack maximises; joint adds pcl's, and reads the view joint_loss"
    )
    eot_samples: PositiveInt = Field(1, description="attack the mean over this many draws of a stochastic view")

    @model_validator(mode="after")
    def _joint_loss_of_its_view(self) -> AttackSpec:
        check_joint(self.loss, self.view)
        if self.loss == "joint" and self.eot_samples > 1:
            raise ValueError(f"eot_samples averages logits, and loss joint reads more, got {self.eot_samples}")
        return self

    @model_validator(mode="after")
    def _eps_on_the_image_scale(self) -> AttackSpec:
        if self.norm == "linf" and (big := [e for e in self.eps if e > 1]):
            hint = f" (did you mean {big[0]:g}/255?)" if big[0] <= 255 else ""
            raise ValueError(f"eps must be in (0, 1] for norm linf, got {big[0]}{hint}")
        check_ascending(self.eps)
        return self

    @property
    def views(self) -> frozenset[str]:
        """The views of a defense that are attacked."""
        return frozenset({self.view})

    def seen_through(self, views: Collection[str]) -> AttackSpec | None:
        """Return the attack as a model that has these views meets it; None if it cannot be attacked so."""
        return self if self.view in views else None
