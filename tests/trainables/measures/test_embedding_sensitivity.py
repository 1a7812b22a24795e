import numpy as np
import pytest
import torch
from embedded import embedding, pixels

from trainables.evaluation.transferred import craft
from trainables.judges import CLASSIFICATION
from trainables.measures import measured
from trainables.measures.registry import measure_spec
from trainables.runtime.modes import held

FGSM = {"name": "fgsm", "eps": (0.1, 0.2)}


def change(view, images, labels, attack=FGSM, **settings):
    spec = measure_spec({"name": "embedding_sensitivity", "attack": attack} | settings)
    return measured(view, images, labels, spec=spec, seed=3, judge=CLASSIFICATION)


def test_the_change_is_that_of_the_crafted_images_embeddings():
    """FGSM moves every pixel by eps, so |E(x') - E(x)| = eps |w| for an embedding w x."""
    weights = np.array([1.0, 2.0, 3.0])
    images = pixels([100, 120, 140], [90, 80, 70])
    found = change(embedding(*weights), images, torch.tensor([0, 1]))
    size = np.linalg.norm(weights * images[:, 0, 0].numpy() / 255, axis=1)
    assert set(found) == {"change_at_0.1", "change_at_0.2"}
    for eps in (0.1, 0.2):
        np.testing.assert_allclose(found[f"change_at_{eps}"], eps * np.linalg.norm(weights) / size, rtol=1e-5)


def test_it_does_not_depend_on_the_embeddings_scale():
    images, labels = pixels([100, 120], [90, 80]), torch.tensor([0, 1])
    one, other = (change(embedding(s, 2 * s), images, labels)["change_at_0.1"] for s in (1.0, 50.0))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_dead_embedding_does_not_change_and_one_that_wakes_up_changes_infinitely():
    images = pixels([100, 120], [0, 0])
    assert change(embedding(0.0, 0.0), images, torch.tensor([0, 1]))["change_at_0.1"].tolist() == [0.0, 0.0]
    seen = change(embedding(1.0, 1.0), images, torch.tensor([0, 1]))["change_at_0.1"]
    assert np.isfinite(seen[0])
    network = embedding(1.0, 1.0)
    network.head.weight.data = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    assert change(network, images, torch.tensor([0, 0]))["change_at_0.1"][1] == np.inf


def test_misclassified_examples_are_attacked_too(digits, trained):
    model = trained("none").defense.model
    images = torch.from_numpy(digits.test.pixels[:30])
    wrong = (torch.from_numpy(digits.test.labels[:30]) + 1) % 10
    assert (change(model, images, wrong)["change_at_0.1"] > 0).all()


def test_the_attack_sees_the_view_that_is_measured():
    attack = {"name": "pgd", "eps": (0.1,), "view": "default"}
    spec = measure_spec({"name": "embedding_sensitivity", "attack": attack, "view": "bpda"})
    assert spec.attack.view == spec.view == "bpda"
    again = measure_spec(spec.model_dump() | {"view": "static"})
    assert again.attack.view == "static"


def test_random_starts_follow_the_seed(digits, trained):
    model, attack = trained("none").defense.model, {"name": "pgd", "eps": (0.1,), "steps": 2}
    images, labels = (torch.from_numpy(a[:10]) for a in (digits.test.pixels, digits.test.labels))
    spec = measure_spec({"name": "embedding_sensitivity", "attack": attack})
    found = measured(model, images, labels, spec=spec, seed=5, judge=CLASSIFICATION)["change_at_0.1"]
    crafted = craft(model, images, labels, attack=spec.attack, seed=5, judge=CLASSIFICATION)["0.1"]
    with held(model):
        moved = (model.embed(crafted) - model.embed(images / 255)).norm(dim=1)
        np.testing.assert_allclose(found, moved / model.embed(images / 255).norm(dim=1), rtol=1e-4)


@pytest.mark.parametrize("eps", [0.05, 0.3])
def test_one_value_an_example_and_eps(eps):
    found = change(embedding(1, 1), pixels([100, 120]), torch.tensor([0]), {"name": "fgsm", "eps": (eps,)})
    assert {name: value.shape for name, value in found.items()} == {f"change_at_{eps}": (1,)}
