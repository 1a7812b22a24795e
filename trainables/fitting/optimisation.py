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

    optimizer: Literal["adam", "sgd"] = Field("adam", description="how the weights are changed by a gradient")
    lr: PositiveFloat = Field(1e-3, description="learning rate of the first epoch")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd only")
    nesterov: bool = Field(False, description="Nesterov's momentum; sgd only")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty, added to the gradient")
    schedule: Literal["constant", "cosine", "multistep"] = Field(
        "constant", description="how lr changes over the epochs; cosine ends at 0"
    )
    milestones: tuple[PositiveInt, ...] = Field((), description="epochs after which multistep multiplies lr")
    gamma: PositiveFloat = Field(0.1, description="factor of multistep")
    batch_size: PositiveInt = Field(128, description="images for each step")
    augmentation: tuple[Literal["crop", "flip"], ...] = Field(
        (), description="random changes of each training image, in this order"
    )
    patience: PositiveInt | None = Field(
        None,
        description="stop after this many epochs without a better validation accuracy and keep the last weights; "
        "null: never",
    )

    @model_validator(mode="after")
    def _nesterov_of_a_momentum(self) -> OptimisationSpec:
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            got = f"optimizer={self.optimizer}, momentum={self.momentum}"
            raise ValueError(f"nesterov needs optimizer=sgd and a momentum above 0, got {got}")
        return self
