import numpy as np
import pytest
import torch
from embedded import embedding, pixels
from sklearn import metrics

from trainables.errors import InputError
from trainables.judges import CLASSIFICATION
from trainables.measures import measured
from trainables.measures.registry import measure_spec

FAR = pixels([10, 10], [12, 10], [10, 12], [240, 240], [242, 240], [240, 242])


def scores(images, labels, view=None, seed=0, **settings):
    spec = measure_spec({"name": "clustering"} | settings)
    found = measured(view or embedding(1, 1), images, torch.tensor(labels), spec=spec, seed=seed, judge=CLASSIFICATION)
    return {name: value.item() for name, value in found.items()}


def test_clusters_that_are_the_classes_score_one():
    found = scores(FAR, [0, 0, 0, 1, 1, 1])
    for name in ("mutual_information", "homogeneity", "completeness"):
        assert found[name] == pytest.approx(1.0)
    assert found["silhouette"] > 0.98


def test_scores_of_the_clusters_shape_are_scikit_learns_on_the_pixels():
    found, right = scores(FAR, [0, 1, 0, 1, 0, 1]), [0, 0, 0, 1, 1, 1]
    points = FAR[:, 0, 0].numpy() / 255
    assert found["silhouette"] == pytest.approx(metrics.silhouette_score(points, right), rel=1e-6)
    assert found["calinski_harabasz"] == pytest.approx(metrics.calinski_harabasz_score(points, right), rel=1e-4)


def test_a_class_in_two_clusters_is_homogeneous_and_not_complete():
    """Two clusters of one class each have entropy 0 of the class; the class has one bit of the cluster."""
    images = torch.cat([FAR, pixels([10, 240], [12, 240], [10, 242])])
    found = scores(images, [0, 0, 0, 0, 0, 0, 1, 1, 1], clusters=3)
    assert found["homogeneity"] == pytest.approx(1.0)
    entropy = -(1 / 3 * np.log(1 / 3) + 2 / 3 * np.log(2 / 3))
    assert found["completeness"] == pytest.approx(entropy / np.log(3))
    assert 0 < found["mutual_information"] < found["completeness"]


def test_labels_that_have_nothing_to_do_with_the_clusters_score_about_zero(digits):
    """Adjusted mutual information is 0 in expectation; homogeneity, which is not adjusted, is above."""
    images = torch.from_numpy(digits.test.pixels[:200, :, 12:16, 12:16]).reshape(200, 1, 1, 16)
    labels = torch.randint(0, 10, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    found = scores(images, labels, embedding(*[1] * 16))
    assert abs(found["mutual_information"]) < 0.05 < found["homogeneity"]


def test_clusters_are_as_many_as_the_classes_unless_told(digits, trained):
    model, images = trained("none").defense.model, torch.from_numpy(digits.test.pixels[:120])
    labels = digits.test.labels[:120].tolist()
    assert scores(images, labels, model) == scores(images, labels, model, clusters=10)
    assert scores(images, labels, model) != scores(images, labels, model, clusters=9)
    assert scores(images, labels, model)["homogeneity"] > 0.5


@pytest.mark.parametrize(
    ("images", "clusters", "got"),
    [
        pytest.param(pixels([5, 5], [5, 5], [5, 5]), 2, "got 2 with 1 distinct embeddings of 3", id="collapsed"),
        pytest.param(FAR, 6, "got 6 with 6 distinct embeddings of 6", id="a cluster an example"),
    ],
)
def test_too_few_distinct_embeddings_are_refused(images, clusters, got):
    with pytest.raises(InputError, match=got):
        scores(images, [0] * len(images), clusters=clusters)
