"""Study: a named question as data, no more; `orchestrator.plan` expands it into work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveInt, SerializeAsAny, field_validator, model_validator

from trainables.attacks.registry import attack_spec
from trainables.attacks.spec import AttackSpec
from trainables.errors import unknown
from trainables.measures.registry import measure_spec
from trainables.measures.spec import MeasureSpec
from trainables.values import Frozen

CLEAN = "clean"
SCALES = ("quick", "paper")
NAME = r"^[A-Za-z0-9_.-]+$"  # of what files are named after
Grid = Mapping[str, tuple[Any, ...]]


class FloatRange(Frozen):
    """Every number from `low` to `high`; `log`: drawn evenly over their logarithms."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ascending(self) -> FloatRange:
        _check_ascending(self.low, self.high, lowest=0.0 if self.log else None)
        return self


class IntRange(Frozen):
    """Every integer from `low` to `high`, both of them included; `log` as in FloatRange."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False

    @model_validator(mode="after")
    def _ascending(self) -> IntRange:
        _check_ascending(self.low, self.high, lowest=0 if self.log else None)
        return self


def _check_ascending(low: float, high: float, *, lowest: float | None) -> None:
    if low >= high:
        raise ValueError(f"low < high must hold, got low={low}, high={high}")
    if lowest is not None and low <= lowest:
        raise ValueError(f"low > {lowest} must hold for log, got low={low}")


SearchRange = FloatRange | IntRange | tuple[Any, ...]  # a tuple is a choice among its values


class Transfer(Frozen):
    """A column of transfer attacks: examples crafted with `attack` on the variant that `source` selects."""

    attack: str
    source: Mapping[str, Any]


class Study(Frozen):
    """A named question: a base spec, a search space, attacks, measures, seeds, and what it answers.

    `base`, `space`, `baseline` and `scales` speak in dotted TrainingSpec keys (`defense.psi`); `scales` also
    in `attack.<column>.<field>`, `measure.<column>.<field>`, `examples` and `seeds`. A setting of `defense.*`
    concerns only the defenses that have that key, one of `attack.*_linf.steps` the columns so named that have it. So
    does a range of `search`, which takes the place of `space` where a study is searched and not swept.
    """

    name: str = Field(pattern=NAME, description="names its report, its experiment and its files")
    title: str
    question: str = ""
    paper: str = ""
    table: str = ""
    base: Mapping[str, Any]
    space: tuple[Grid, ...] = Field(min_length=1, description="a union of grids over dotted keys")
    design: Literal["grid", "one_at_a_time", "leave_one_out"] = Field(
        "grid",
        description="which points of a grid are rows: all; or a centre, which others are compared to, and each change "
        "of one factor: the centre has the first value of every axis (one_at_a_time) or the last (leave_one_out)",
    )
    search: Mapping[str, SearchRange] = Field({}, description="dotted key -> the range that a search may draw from")
    baseline: Mapping[str, Any] = Field({}, description="settings that select the row others are compared to")
    attacks: Mapping[str, SerializeAsAny[AttackSpec]] = Field({}, description="column of the table -> attack")
    transfers: Mapping[str, Transfer] = Field({}, description="column of the table -> transfer attack")
    measures: Mapping[str, SerializeAsAny[MeasureSpec]] = Field({}, description="column of the table -> measure")
    seeds: tuple[int, ...] = (0,)
    costs: bool = Field(False, description="report what training cost: seconds an epoch, epochs, seconds in all")
    examples: PositiveInt | None = Field(None, description="evaluate on the first n test examples; None: all")
    scales: Mapping[str, Mapping[str, Any]] = Field({}, description="settings of 'quick' and of 'paper'")

    @field_validator("attacks", mode="before")
    @classmethod
    def _typed_attacks(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {k: v if isinstance(v, AttackSpec) else attack_spec(v) for k, v in value.items()}

    @field_validator("measures", mode="before")
    @classmethod
    def _typed_measures(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {k: v if isinstance(v, MeasureSpec) else measure_spec(v) for k, v in value.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        if empty := sorted(key for grid in self.space for key, values in grid.items() if not values):
            raise ValueError(f"space: an axis needs at least one value, got () for {', '.join(empty)}")
        if empty := sorted(key for key, values in self.search.items() if values == ()):
            raise ValueError(f"search: a choice needs at least one value, got () for {', '.join(empty)}")
        columns = [*self.attacks, *self.transfers, *self.measures]
        if CLEAN in columns:
            raise ValueError(f"a column must not be called {CLEAN!r}, which is the unattacked one")
        if both := {column for column in columns if columns.count(column) > 1}:
            raise ValueError(f"columns {sorted(both)} name two things among the attacks, transfers and measures")
        for column, transfer in self.transfers.items():
            if transfer.attack not in self.attacks:
                raise ValueError(f"transfers.{column}: {unknown('attack', transfer.attack, self.attacks)}")
            if self.attacks[transfer.attack].name == "suite":
                raise ValueError(f"transfers.{column}: a suite is no one attack, got {transfer.attack!r}")
        if not set(self.scales) <= set(SCALES):
            raise ValueError(f"scales are {SCALES}, got {sorted(self.scales)}")
        return self
