"""Measures by name: what a model is asked beside its accuracy. Adding one is a file and a line here."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from trainables.errors import InputError
from trainables.judges import Judge
from trainables.measures.activation_units import ActivationUnitsSpec, active_units
from trainables.measures.certification import CertificationSpec, certify
from trainables.measures.clustering import ClusteringSpec, cluster_scores
from trainables.measures.embedding_sensitivity import EmbeddingSensitivitySpec, sensitivity
from trainables.measures.gradient_landscape import GradientLandscapeSpec, landscape
from trainables.measures.gradients import GradientsSpec, loss_gradients
from trainables.measures.registry import MEASURES, Measure, Values, measure_spec
from trainables.measures.spec import MeasureSpec
from trainables.runtime.modes import held

MEASURES.add_all(
    gradients=Measure(GradientsSpec, loss_gradients),
    gradient_landscape=Measure(GradientLandscapeSpec, landscape),
    certification=Measure(CertificationSpec, certify),
    embedding_sensitivity=Measure(EmbeddingSensitivitySpec, sensitivity, judges=None),
    activation_units=Measure(ActivationUnitsSpec, active_units, judges=None),
    clustering=Measure(ClusteringSpec, cluster_scores),
)


def measured(view: nn.Module, images: Tensor, labels: Tensor, *, spec: MeasureSpec, judge: Judge, seed: int) -> Values:
    """Measure a view on uint8 images [N, C, H, W] with labels [N, ...]; return what `spec`'s measure finds, by name."""
    with held(view):
        values = MEASURES[spec.name].of(view, images, labels, spec=spec, judge=judge, seed=seed)
    for name, value in values.items():
        if not isinstance(value, np.ndarray | np.generic):
            raise InputError(f"measure {spec.name}: {name} must be a numpy array, got {type(value).__name__}")
    return values


__all__ = ["MEASURES", "Measure", "MeasureSpec", "Values", "measure_spec", "measured"]
