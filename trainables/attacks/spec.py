"""AttackSpec: a threat, as a study names it."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from typing import Annotated

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

from trainables.attacks.criteria import CRITERIA, check_reads
from trainables.attacks.norms import NORMS
from trainables.values import Frozen


def _parse_eps(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return float(Fraction(value))
    except (ArithmeticError, ValueError):
        raise ValueError(f"eps must be a number or a fraction such as 8/255, got {value!r}") from None


Eps = Annotated[float, BeforeValidator(_parse_eps), Field(gt=0)]


def check_ascending(eps: tuple[float, ...]) -> tuple[float, ...]:
    """Return a grid of eps; raise ValueError if it is empty, or does not ascend."""
    if not eps:
        raise ValueError("eps must name at least one value, got ()")
    if len(set(eps)) < len(eps) or list(eps) != sorted(eps):
        raise ValueError(f"eps must ascend without repeats, got {list(eps)}")
    return eps


class AttackSpec(Frozen):
    """A threat: an attack, its norm and its grid of eps on the [0,1] image scale, and what it may see."""

    name: str
    norm: str = Field("linf", description="how the size of a perturbation is measured")
    eps: tuple[Eps, ...] = Field(description="largest sizes, ascending; for linf on the [0, 1] image scale")
    view: str = Field("default", description="the view of the defense that is attacked")
    loss: str = Field("cross_entropy", description="the criterion that the attack maximises")
    eot_samples: PositiveInt = Field(1, description="attack the mean over this many draws of a stochastic view")

    @field_validator("norm")
    @classmethod
    def _known_norm(cls, value: str) -> str:
        return NORMS.checked(value)

    @field_validator("loss")
    @classmethod
    def _known_criterion(cls, value: str) -> str:
        return CRITERIA.checked(value)

    @model_validator(mode="after")
    def _criterion_of_its_view(self) -> AttackSpec:
        check_reads(self.loss, self.view)
        if CRITERIA[self.loss].reads and self.eot_samples > 1:
            raise ValueError(
                f"eot_samples averages outputs of a model, and loss {self.loss} reads more, got {self.eot_samples}"
            )
        return self

    @model_validator(mode="after")
    def _eps_on_the_image_scale(self) -> AttackSpec:
        largest = NORMS[self.norm].largest
        if largest is not None and (big := [e for e in self.eps if e > largest]):
            hint = f" (did you mean {big[0]:g}/255?)" if largest == 1 and big[0] <= 255 else ""
            raise ValueError(f"eps must be in (0, {largest:g}] for norm {self.norm}, got {big[0]}{hint}")
        check_ascending(self.eps)
        return self

    @property
    def members(self) -> tuple[AttackSpec, ...]:
        """The single attacks that are run: the attack itself, or a suite's attacks."""
        return (self,)

    @property
    def views(self) -> frozenset[str]:
        """The views of a defense that are attacked."""
        return frozenset({self.view})

    @property
    def criteria(self) -> frozenset[str]:
        """The criteria that are maximised."""
        return frozenset({self.loss})

    def seen_through(self, views: Collection[str]) -> AttackSpec | None:
        """Return the attack as a model that has these views meets it; None if it cannot be attacked so."""
        return self if self.view in views else None
