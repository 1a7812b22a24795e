"""How many units and dimensions the embedding uses (afd, Table A5)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from trainables.images import as_float
from trainables.judges import Judge
from trainables.measures.features import embeddings
from trainables.measures.spec import MeasureSpec


class ActivationUnitsSpec(MeasureSpec):
    """Of the embeddings of all examples together."""

    name: Literal["activation_units"] = "activation_units"
    variance: float = Field(0.99, gt=0, lt=1, description="share of it that the principal components must explain")


def active_units(
    view: nn.Module, images: Tensor, labels: Tensor, *, spec: ActivationUnitsSpec, judge: Judge, seed: int
) -> dict[str, np.ndarray]:
    """Return `units` of the embedding, `nonzero_units`, which are not 0 for every example, and `pca_dimensions`.

    Without a ReLU before the head, as in cnn6 and ResNet-110, every unit is nonzero. Where the embedding is the same
    for all examples, no dimension is needed.
    """
    from sklearn.decomposition import PCA

    features = embeddings(view, as_float(images)).double().cpu().numpy()
    is_constant = bool((features == features[0]).all())
    dimensions = 0 if is_constant else PCA(spec.variance, svd_solver="full").fit(features).n_components_
    return {
        "units": np.array(features.shape[1]),
        "nonzero_units": np.array((features != 0).any(0).sum()),
        "pca_dimensions": np.array(dimensions),
    }
