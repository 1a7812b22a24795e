"""TrainingSpec and EvaluationSpec: frozen, validated and content-addressed.

This file imports every registry: code that imports it finds every name registered.

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
from trainables.data.datasets import dataset_of
from trainables.data.spec import DatasetSpec
from trainables.defenses import DEFENSES
from trainables.defenses.contract import DefenseConfig
from trainables.errors import InputError
from trainables.fitting.optimisation import OptimisationSpec
from trainables.judges import JUDGES, Judge
from trainables.measures import measure_spec
from trainables.measures.spec import MeasureSpec
from trainables.networks import NETWORKS
from trainables.networks.spec import NetworkSpec
from trainables.registry import named
from trainables.values import LARGEST_SEED, Frozen, fingerprint_of

__all__ = ["EvaluationSpec", "TrainingSpec", "attack_spec", "measure_spec"]


class TrainingSpec(Frozen):
    """Everything that determines a trained model."""

    dataset: Annotated[DatasetSpec, BeforeValidator(named)] = DatasetSpec()
    network: Annotated[NetworkSpec, BeforeValidator(named)] = NetworkSpec()
    defense: SerializeAsAny[DefenseConfig]
    optimisation: OptimisationSpec = OptimisationSpec()
    epochs: PositiveInt = Field(10, description="passes over the training data")
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="of all randomness in training")

    @field_validator("defense", mode="before")
    @classmethod
    def _typed_defense(cls, value: object) -> object:
        return DEFENSES.build(named(value))

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, value: DatasetSpec) -> DatasetSpec:
        dataset_of(value.name)
        return value

    @field_validator("network")
    @classmethod
    def _known_network(cls, value: NetworkSpec) -> NetworkSpec:
        NETWORKS.checked(value.name)
        return value

    @model_validator(mode="after")
    def _defense_of_the_judge(self) -> TrainingSpec:
        judge, known = self.judge_name, DEFENSES[self.defense.name].judges
        if known is not None and judge not in known:
            allowed = " or ".join(sorted(known))
            raise InputError(
                f"defense {self.defense.name} is for {allowed}, got dataset {self.dataset.name}, which is for {judge}"
            )
        return self

    @property
    def judge_name(self) -> str:
        """The judge of the answers of a model that is trained so: its dataset says which."""
        return dataset_of(self.dataset.name)[0].judge

    @property
    def judge(self) -> Judge:
        """The judge of that name."""
        return JUDGES[self.judge_name]

    @property
    def fingerprint(self) -> str:
        values = self.model_dump(mode="json")
        values["dataset"] = self.dataset.identity
        return fingerprint_of("training", values)


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
    examples: PositiveInt | None = Field(None, description="the first n of the split; null: all")
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
        return fingerprint_of("evaluation", self.model_dump(mode="json", exclude=self._unsaid))

    @property
    def crafting_fingerprint(self) -> str:
        """What the crafted examples depend on: everything but the target."""
        values = self.model_dump(mode="json", exclude={"model", "inference", "source", *self._unsaid})
        return fingerprint_of("crafting", values | {"crafted_on": self.crafted_on})

    @property
    def _unsaid(self) -> set[str]:
        """Fields that a fingerprint leaves out: empty, they mean what a spec meant before it had them."""
        return set() if self.source_inference else {"source_inference"}
