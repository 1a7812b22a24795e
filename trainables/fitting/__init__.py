"""Tools that any defense can train with: the task, batches, descent of a loss, and adversarial examples."""

from __future__ import annotations

from trainables.fitting.adversarial import AdversarialConfig, perturbed
from trainables.fitting.augmentation import AUGMENTATIONS
from trainables.fitting.batches import Batch, Batches
from trainables.fitting.descent import Descent
from trainables.fitting.optimisation import OptimisationSpec
from trainables.fitting.task import Task

__all__ = [
    "AUGMENTATIONS",
    "AdversarialConfig",
    "Batch",
    "Batches",
    "Descent",
    "OptimisationSpec",
    "Task",
    "perturbed",
]
