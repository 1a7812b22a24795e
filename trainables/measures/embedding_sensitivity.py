"""How far an attack moves the embedding: |E(x) - E(x')| / |E(x)| (afd, Figure A1)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field, SerializeAsAny, field_validator, model_validator
from torch import Tensor, nn

from trainables.attacks.registry import attack_spec
from trainables.attacks.spec import AttackSpec
from trainables.evaluation.transferred import craft
from trainables.images import as_float
from trainables.judges import Judge
from trainables.measures.features import embeddings
from trainables.measures.spec import MeasureSpec


class EmbeddingSensitivitySpec(MeasureSpec):
    """The attack that makes x' of x, at each of its eps; it attacks the view that is measured."""

    name: Literal["embedding_sensitivity"] = "embedding_sensitivity"
    attack: SerializeAsAny[AttackSpec] = Field(description="the attack that makes x' of x, at each of its eps")

    @model_validator(mode="before")
    @classmethod
    def _one_view(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("attack"), dict):
            return value
        return value | {"attack": value["attack"] | {"view": value.get("view", "default")}}

    @field_validator("attack", mode="before")
    @classmethod
    def _typed_attack(cls, value: object) -> object:
        attack = value if isinstance(value, AttackSpec) else attack_spec(value)
        if attack.name == "suite":
            raise ValueError("attack must be one attack, got a suite")
        return attack


def sensitivity(
    view: nn.Module, images: Tensor, labels: Tensor, *, spec: EmbeddingSensitivitySpec, judge: Judge, seed: int
) -> dict[str, np.ndarray]:
    """Return `change_at_<eps>` [N], |E(x') - E(x)| / |E(x)| in L2; every example is attacked to the end.

    It is infinite where E(x) is 0 and E(x') is not. The draws of a stochastic view differ, which counts as change.
    """
    crafted = craft(view, images, labels, attack=spec.attack, judge=judge, seed=seed)
    clean = embeddings(view, as_float(images)).double()
    values = {}
    for eps, attacked in crafted.items():
        moved = (embeddings(view, attacked.to(images.device)).double() - clean).norm(dim=1)
        values[f"change_at_{eps}"] = (moved / clean.norm(dim=1)).nan_to_num(0.0, posinf=np.inf).cpu().numpy()
    return values
