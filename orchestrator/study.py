"""Study: a named question as data, no more; `orchestrator.plan` expands it into work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, PositiveInt, field_validator, model_validator

from trainables.errors import unknown
from trainables.specs import AttackSpec, Frozen, attack_spec

CLEAN = "clean"
SCALES = ("quick", "paper")

Grid = Mapping[str, tuple[Any, ...]]


class Transfer(Frozen):
    """A column of transfer attacks: examples crafted with `attack` on the variant that `source` selects."""

    attack: str
    source: Mapping[str, Any]


class Study(Frozen):
    """A named question: a base spec, a search space, attacks, seeds, and what it answers.

    `base`, `space`, `baseline` and `scales` speak in dotted TrainingSpec keys (`defense.psi`); `scales` also
    in `attack.<column>.<field>`, `examples` and `seeds`. A setting of `defense.*` concerns only the
    defenses that have that key.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="names its report, its experiment and its files")
    title: str
    question: str = ""
    paper: str = ""
    table: str = ""
    base: Mapping[str, Any]
    space: tuple[Grid, ...] = Field(min_length=1, description="a union of grids over dotted keys")
    baseline: Mapping[str, Any] = Field({}, description="settings that select the row others are compared to")
    attacks: Mapping[str, AttackSpec] = Field({}, description="column of the table -> attack")
    transfers: Mapping[str, Transfer] = Field({}, description="column of the table -> transfer attack")
    seeds: tuple[int, ...] = (0,)
    examples: PositiveInt | None = Field(None, description="evaluate on the first n test examples; None: all")
    scales: Mapping[str, Mapping[str, Any]] = Field({}, description="settings of 'quick' and of 'paper'")

    @field_validator("attacks", mode="before")
    @classmethod
    def _typed_attacks(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {k: v if isinstance(v, AttackSpec) else attack_spec(v) for k, v in value.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        if empty := sorted(key for grid in self.space for key, values in grid.items() if not values):
            raise ValueError(f"space: an axis needs at least one value, got () for {', '.join(empty)}")
        if CLEAN in {*self.attacks, *self.transfers}:
            raise ValueError(f"an attack's column must not be called {CLEAN!r}, which is the unattacked one")
        if both := set(self.attacks) & set(self.transfers):
            raise ValueError(f"columns {sorted(both)} name both an attack and a transfer")
        for column, transfer in self.transfers.items():
            if transfer.attack not in self.attacks:
                raise ValueError(f"transfers.{column}: {unknown('attack', transfer.attack, self.attacks)}")
        if not set(self.scales) <= set(SCALES):
            raise ValueError(f"scales are {SCALES}, got {sorted(self.scales)}")
        return self
