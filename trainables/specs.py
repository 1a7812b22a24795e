"""TrainingSpec, AttackSpec, MeasureSpec and EvaluationSpec: frozen, validated and content-addressed.

A fingerprint is a hash of a spec's canonical JSON and of SCHEMA, which is raised whenever the meaning of
a spec changes, so that a store never answers with the result of another meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from trainables.attacks import attack_spec
from trainables.attacks.spec import AttackSpec
from trainables.data.datasets import check_name
from trainables.data.spec import DatasetSpec
from trainables.defenses import DEFENSES
from trainables.defenses.contract import DefenseConfig
from trainables.errors import unknown
from trainables.fitting.optimisation import OptimisationSpec
from trainables.measures import measure_spec
from trainables.measures.spec import MeasureSpec
from trainables.networks import NETWORKS
from trainables.networks.spec import NetworkSpec
from trainables.registry import _from_registry, _named
from trainables.values import LARGEST_SEED, Frozen, _fingerprint


class TrainingSpec(Frozen):
    """Everything that determines a trained model."""

    dataset: Annotated[DatasetSpec, BeforeValidator(_named)] = DatasetSpec()
    network: Annotated[NetworkSpec, BeforeValidator(_named)] = NetworkSpec()
    defense: SerializeAsAny[DefenseConfig]
    optimisation: OptimisationSpec = OptimisationSpec()
    epochs: PositiveInt = 10
    seed: int = Field(0, ge=0, le=LARGEST_SEED)

    @field_validator("defense", mode="before")
    @classmethod
    def _typed_defense(cls, value: object) -> object:
        return _from_registry("defense", _named(value), {n: d.Config for n, d in DEFENSES.items()})

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, value: DatasetSpec) -> DatasetSpec:
        check_name(value.name)
        return value

    @field_validator("network")
    @classmethod
    def _known_network(cls, value: NetworkSpec) -> NetworkSpec:
        if value.name not in NETWORKS:
            raise unknown("network", value.name, NETWORKS)
        return value

    @property
    def fingerprint(self) -> str:
        values = self.model_dump(mode="json")
        values["dataset"] = self.dataset.identity
        return _fingerprint("training", values)


class EvaluationSpec(Frozen):
    """One question to one trained model: its accuracy on a split, clean or under an attack; or a measure of it.

    `source` is the fingerprint of another model on which the examples are crafted (a transfer attack), which then
    predicts under `source_inference`.
    """

    model: str = Field(description="fingerprint of the TrainingSpec")
    inference: Mapping[str, Any] = Field({}, description="settings of the model at test time; they never retrain")
    attack: SerializeAsAny[AttackSpec] | None = None
    measure: SerializeAsAny[MeasureSpec] | None = None
    source: str | None = None
    source_inference: Mapping[str, Any] = Field({}, description="settings of the source at test time")
    split: Literal["test", "validation"] = "test"
    examples: PositiveInt | None = Field(None, description="the first n of the split; None: all")
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="of the attack's random starts, or the measure's draws")

    @field_validator("attack", mode="before")
    @classmethod
    def _typed_attack(cls, value: object) -> object:
        return None if value is None else attack_spec(value)

    @field_validator("measure", mode="before")
    @classmethod
    def _typed_measure(cls, value: object) -> object:
        return None if value is None else measure_spec(value)

    @model_validator(mode="after")
    def _one_question(self) -> EvaluationSpec:
        if self.measure is not None and (self.attack is not None or self.source is not None):
            raise ValueError("an evaluation has a measure, or an attack and its source, got both")
        if self.source_inference and self.source is None:
            raise ValueError(f"source_inference goes with a source, got {dict(self.source_inference)} and none")
        return self

    @property
    def is_clean(self) -> bool:
        """Whether the question is the accuracy on the images as they are."""
        return self.attack is None and self.measure is None

    @property
    def crafted_on(self) -> str:
        """Fingerprint of the model whose gradients are used."""
        return self.source or self.model

    @property
    def fingerprint(self) -> str:
        return _fingerprint("evaluation", self.model_dump(mode="json", exclude=self._unsaid))

    @property
    def crafting_fingerprint(self) -> str:
        """What the crafted examples depend on: everything but the target."""
        values = self.model_dump(mode="json", exclude={"model", "inference", "source", *self._unsaid})
        return _fingerprint("crafting", values | {"crafted_on": self.crafted_on})

    @property
    def _unsaid(self) -> set[str]:
        """Fields that a fingerprint leaves out: empty, they mean what a spec meant before it had them."""
        return set() if self.source_inference else {"source_inference"}
