"""The language of studies: a Study is a named question as data; `orchestrator.planning` expands it into work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt, SerializeAsAny, field_validator, model_validator

from trainables.attacks.spec import AttackSpec
from trainables.attacks.suite import check_sets_nothing_in_vain
from trainables.errors import unknown
from trainables.measures.spec import MeasureSpec
from trainables.specs import attack_spec, measure_spec
from trainables.values import Frozen

CLEAN = "clean"
SCALES = ("quick", "paper")
NAME = r"^[A-Za-z0-9_.-]+$"  # a study names files, so only these characters
Grid = Mapping[str, tuple[Any, ...]]


class FloatRange(Frozen):
    """Every number from `low` to `high`; with `log`, a search draws evenly over their logarithms."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ascending(self) -> FloatRange:
        _check_ascending(self.low, self.high, lowest=0.0 if self.log else None)
        return self


class IntRange(Frozen):
    """Every integer from `low` to `high`, both included; `log` as in FloatRange."""

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


def _typed_attack(value: object) -> AttackSpec:
    attack = value if isinstance(value, AttackSpec) else attack_spec(value)
    check_sets_nothing_in_vain(attack)
    return attack


def _typed_measure(value: object) -> MeasureSpec:
    return value if isinstance(value, MeasureSpec) else measure_spec(value)


Attack = Annotated[SerializeAsAny[AttackSpec], BeforeValidator(_typed_attack)]
Measure = Annotated[SerializeAsAny[MeasureSpec], BeforeValidator(_typed_measure)]


class Transfer(Frozen):
    """A column of transfer attacks: `attack` crafts the examples on the row that `source` selects."""

    attack: str
    source: Mapping[str, Any]


class Study(Frozen):
    """A named question: a base spec, a search space, attacks, measures, seeds, and what it answers.

    `base`, `space`, `baseline` and `scales` use dotted TrainingSpec keys (`defense.psi`). `scales` also takes
    `attack.<column>.<field>`, `measure.<column>.<field>`, `examples` and `seeds`. A `defense.*` setting applies to the
    defenses that have that key; `attack.*_linf.steps` applies to every column of that name pattern whose attack has the
    field. Ranges in `search` follow the same rules and replace `space` when the study is searched.
    """

    name: str = Field(description="names its report, its MLflow experiment and its files")
    title: str = Field(description="heading of the report")
    question: str = Field("", description="the question that the report answers, with its question mark")
    paper: str = Field("", description="the paper whose table it answers")
    table: str = Field("", description="that table or figure")
    base: Mapping[str, Any] = Field(description="settings of every row, by dotted key")
    space: tuple[Grid, ...] = Field(min_length=1, description="a union of grids: dotted key -> the values it takes")
    design: Literal["grid", "one_at_a_time", "leave_one_out"] = Field(
        "grid",
        description="which points of a grid are rows. grid: all. one_at_a_time: every axis at its first value, and "
        "each change of one axis. leave_one_out: every axis at its last value, and each change of one axis",
    )
    search: Mapping[str, SearchRange] = Field({}, description="dotted key -> the range that a search draws from")
    baseline: Mapping[str, Any] = Field({}, description="settings that select the row to which others are compared")
    attacks: Mapping[str, Attack] = Field({}, description="column of the table -> attack")
    transfers: Mapping[str, Transfer] = Field({}, description="column of the table -> transfer attack")
    measures: Mapping[str, Measure] = Field({}, description="column of the table -> measure")
    seeds: tuple[int, ...] = Field((0,), description="every row is trained once for each seed")
    costs: bool = Field(False, description="report what training cost: seconds an epoch, epochs, seconds in all")
    examples: PositiveInt | None = Field(None, description="evaluate on the first n test examples; null: on all")
    scales: Mapping[str, Mapping[str, Any]] = Field({}, description="settings that 'quick' and 'paper' lay over these")

    @field_validator("name")
    @classmethod
    def _names_files(cls, value: str) -> str:
        if not re.fullmatch(NAME, value):
            raise ValueError(f"a study's name must be of letters, digits, '_', '.' and '-' alone, got {value!r}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        if empty := sorted(key for grid in self.space for key, values in grid.items() if not values):
            raise ValueError(f"space: an axis needs at least one value, got () for {', '.join(empty)}")
        if empty := sorted(key for key, values in self.search.items() if values == ()):
            raise ValueError(f"search: a choice needs at least one value, got () for {', '.join(empty)}")
        columns = [*self.attacks, *self.transfers, *self.measures]
        if CLEAN in columns:
            raise ValueError(f"a column must not be called {CLEAN!r}, the name of the unattacked column")
        if both := {column for column in columns if columns.count(column) > 1}:
            raise ValueError(f"columns {sorted(both)} name two things among the attacks, transfers and measures")
        for column, transfer in self.transfers.items():
            if transfer.attack not in self.attacks:
                raise ValueError(f"transfers.{column}: {unknown('attack', transfer.attack, self.attacks)}")
            if self.attacks[transfer.attack].name == "suite":
                raise ValueError(f"transfers.{column}: needs a single attack, got the suite {transfer.attack!r}")
        if not set(self.scales) <= set(SCALES):
            raise ValueError(f"scales are {SCALES}, got {sorted(self.scales)}")
        return self


def on_other_data(
    study: Study,
    *,
    name: str,
    table: str,
    paper: Mapping[str, Any],
    quick: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Study:
    """Return a study that asks the question of `study` on other data.

    `quick` (default: the quick scale of `study`) and `paper` are its scales; `fields` replaces any other field.
    """
    scales = {"quick": study.scales["quick"] if quick is None else quick, "paper": paper}
    return Study.model_validate({**dict(study), **fields, "name": name, "table": table, "scales": scales})
