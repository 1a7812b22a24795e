"""OptimisationSpec: how the weights are fitted, as a study names it."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from trainables.values import Frozen


class OptimisationSpec(Frozen):
    """How the weights are fitted: the optimiser, its schedule, batches and augmentation."""

    optimizer: Literal["adam", "sgd"] = "adam"
    lr: PositiveFloat = 1e-3
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd only")
    nesterov: bool = Field(False, description="Nesterov's momentum; sgd only")
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine", "multistep"] = "constant"
    milestones: tuple[PositiveInt, ...] = Field((), description="epochs after which multistep multiplies lr")
    gamma: PositiveFloat = Field(0.1, description="factor of multistep")
    batch_size: PositiveInt = 128
    augmentation: tuple[Literal["crop", "flip"], ...] = ()
    patience: PositiveInt | None = Field(
        None, description="stop after this many epochs without a better validation accuracy; the last weights stay"
    )

    @model_validator(mode="after")
    def _nesterov_of_a_momentum(self) -> OptimisationSpec:
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            got = f"optimizer={self.optimizer}, momentum={self.momentum}"
            raise ValueError(f"nesterov needs optimizer=sgd and a momentum above 0, got {got}")
        return self
