"""TODO: one line."""

from __future__ import annotations

from typing import Any

from trainables.attacks.spec import AttackSpec
from trainables.errors import InputError
from trainables.registry import _from_registry

ATTACKS: dict[str, Any] = {}  # filled by `trainables.attacks`, and by whoever brings an attack of their own


def attack_spec(value: object) -> AttackSpec:
    """Build the AttackSpec subclass that `value["name"]` asks for; raise InputError for an unknown name."""
    built = _from_registry("attack", value, {name: attack.Spec for name, attack in ATTACKS.items()})
    if not isinstance(built, AttackSpec):
        raise InputError(f"an attack must be a mapping with a name and an eps grid, got {value!r}")
    return built
