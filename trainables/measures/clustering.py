"""How well the embedding falls into clusters, and these into the classes (rbf_mapping, Table 2)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from trainables.errors import InputError
from trainables.images import as_float
from trainables.judges import Judge
from trainables.measures.features import embeddings
from trainables.measures.spec import MeasureSpec

STARTS = 10  # of KMeans, of which the best counts


class ClusteringSpec(MeasureSpec):
    """KMeans on the embeddings of all examples; the paper has 10 clusters for 10 classes."""

    name: Literal["clustering"] = "clustering"
    clusters: int | None = Field(None, ge=2, description="null: as many as the labels have classes")


def cluster_scores(
    view: nn.Module, images: Tensor, labels: Tensor, *, spec: ClusteringSpec, judge: Judge, seed: int
) -> dict[str, np.ndarray]:
    """Return `silhouette` and `calinski_harabasz` of the clusters, and how far clusters and labels agree:
    `mutual_information`, `homogeneity` and `completeness`.

    Mutual information is adjusted for chance and normalised by the larger entropy. So is the paper's: it prints
    .9695 and .9720, just below the smaller of homogeneity and completeness, .9696 and .9721. Raise InputError where
    the embeddings are too few, or too much alike, for the clusters.
    """
    from sklearn import metrics
    from sklearn.cluster import KMeans

    features, target = embeddings(view, as_float(images)).double().cpu().numpy(), labels.cpu().numpy()
    clusters = spec.clusters or len(np.unique(target))
    distinct = len(np.unique(features, axis=0))
    if not 2 <= clusters <= min(distinct, len(features) - 1):
        raise InputError(
            f"clusters must be at least 2, at most the distinct embeddings and fewer than the examples, got {clusters} "
            f"with {distinct} distinct embeddings of {len(features)} examples"
        )
    found = KMeans(clusters, n_init=STARTS, random_state=seed).fit_predict(features)
    homogeneity, completeness, _ = metrics.homogeneity_completeness_v_measure(target, found)
    return {
        "silhouette": np.array(metrics.silhouette_score(features, found)),
        "calinski_harabasz": np.array(metrics.calinski_harabasz_score(features, found)),
        "mutual_information": np.array(metrics.adjusted_mutual_info_score(target, found, average_method="max")),
        "homogeneity": np.array(homogeneity),
        "completeness": np.array(completeness),
    }
