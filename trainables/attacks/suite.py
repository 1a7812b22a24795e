"""Several attacks as one threat, the mode `worst_case`: each meets only what those before it left unbroken.

Only the accuracy against all of them together is a number; how strong a member is alone, its own column says.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from trainables.attacks.registry import attack_spec
from trainables.attacks.spec import AttackSpec
from trainables.errors import InputError


class SuiteSpec(AttackSpec):
    """Attacks from cheap to expensive; each takes the suite's norm and eps, and keeps its own view and loss."""

    name: Literal["suite"] = "suite"
    attacks: tuple[SerializeAsAny[AttackSpec], ...] = Field(
        min_length=1, description="the attacks, from cheap to expensive"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_threat_model(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("attacks"), list | tuple):
            return value
        shared = {"norm": value.get("norm", "linf"), "eps": value.get("eps", ())}
        return value | {"attacks": tuple(m | shared if isinstance(m, dict) else m for m in value["attacks"])}

    @field_validator("attacks", mode="before")
    @classmethod
    def _typed_attacks(cls, value: Any) -> Any:
        members = tuple(m if isinstance(m, AttackSpec) else attack_spec(m) for m in value)
        if any(isinstance(member, cls) for member in members):
            raise InputError("a suite's attacks must not be suites themselves")
        return members

    @property
    def views(self) -> frozenset[str]:
        return frozenset(member.view for member in self.attacks)

    @property
    def criteria(self) -> frozenset[str]:
        return frozenset(member.loss for member in self.attacks)

    def seen_through(self, views: Collection[str]) -> SuiteSpec | None:
        """Return the suite without the attacks on views that are not among `views`; None if none is left."""
        kept = tuple(member for member in self.attacks if member.view in views)
        return self.model_copy(update={"attacks": kept}) if kept else None
