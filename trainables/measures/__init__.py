"""Measures by name: what a model is asked beside its accuracy. Adding one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from trainables.measures.activation_units import ActivationUnitsSpec, active_units
from trainables.measures.certification import CertificationSpec, certify
from trainables.measures.clustering import ClusteringSpec, cluster_scores
from trainables.measures.embedding_sensitivity import EmbeddingSensitivitySpec, sensitivity
from trainables.measures.gradient_landscape import GradientLandscapeSpec, landscape
from trainables.measures.gradients import GradientsSpec, loss_gradients
from trainables.measures.registry import MEASURES, measure_spec
from trainables.measures.spec import MeasureSpec
from trainables.runtime.modes import frozen

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Measure:
    """A measure's settings and `of(view, images, labels, *, spec, seed) -> Values`.

    `of` meets uint8 images [N, C, H, W], labels [N] and a view that is held still. A value is a number (shape ()), a
    number for each example (float [N]), a yes or no for each example (bool [N]) or a matrix. What it draws comes
    from `seed` or from the global RNG.
    """

    Spec: type[MeasureSpec]
    of: Callable[..., Values]


MEASURES.update(
    {
        "gradients": Measure(GradientsSpec, loss_gradients),
        "gradient_landscape": Measure(GradientLandscapeSpec, landscape),
        "certification": Measure(CertificationSpec, certify),
        "embedding_sensitivity": Measure(EmbeddingSensitivitySpec, sensitivity),
        "activation_units": Measure(ActivationUnitsSpec, active_units),
        "clustering": Measure(ClusteringSpec, cluster_scores),
    }
)


def measured(view: nn.Module, images: Tensor, labels: Tensor, *, spec: MeasureSpec, seed: int) -> Values:
    """Measure a view on uint8 images [N, C, H, W] with labels [N]; return what `spec`'s measure finds, by name."""
    with frozen(view):
        return MEASURES[spec.name].of(view, images, labels, spec=spec, seed=seed)


__all__ = ["MEASURES", "Measure", "Values", "measure_spec", "measured"]
