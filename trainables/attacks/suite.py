"""Several attacks as one threat, the mode `worst_case`: each meets only what those before it left unbroken.

Only the accuracy against all of them together is a number; how strong a member is alone, its own column says.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from trainables.attacks.registry import attack_spec
from trainables.attacks.spec import AttackSpec
from trainables.errors import InputError


def _single_attack(value: object) -> AttackSpec:
    attack = value if isinstance(value, AttackSpec) else attack_spec(value)
    if isinstance(attack, SuiteSpec):
        raise InputError("a suite's attacks must not be suites themselves")
    return attack


Member = Annotated[SerializeAsAny[AttackSpec], BeforeValidator(_single_attack)]


class SuiteSpec(AttackSpec):
    """Attacks from cheap to expensive; each takes the suite's norm and eps, and keeps its own view and loss."""

    name: Literal["suite"] = "suite"
    attacks: tuple[Member, ...] = Field(min_length=1, description="the attacks, from cheap to expensive")

    @model_validator(mode="before")
    @classmethod
    def _one_threat_model(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("attacks"), list | tuple):
            return value
        shared = {"norm": value.get("norm", "linf"), "eps": value.get("eps", ())}
        return value | {"attacks": tuple(m | shared if isinstance(m, dict) else m for m in value["attacks"])}

    @property
    def members(self) -> tuple[AttackSpec, ...]:
        return self.attacks

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


OF_EACH = ("view", "loss", "eot_samples")  # a suite's attacks keep their own


def check_sets_nothing_in_vain(attack: AttackSpec) -> None:
    """Raise InputError for a suite with a view, a loss or eot_samples of its own, which none of its attacks would read.

    The spec itself takes them, so that records that were stored with them can still be read.
    """
    if not isinstance(attack, SuiteSpec):
        return
    for key in OF_EACH:
        if (value := getattr(attack, key)) != SuiteSpec.model_fields[key].default:
            raise InputError(f"a suite has no {key} of its own, got {value!r}: set {key} on the suite's attacks")
