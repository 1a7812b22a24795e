import pytest
import torch
from torch import nn

from trainables.defenses import DEFENSES
from trainables.errors import InputError
from trainables.measures import features
from trainables.measures.features import embeddings, network_within
from trainables.networks.staged import Staged
from trainables.runtime.modes import held
from trainables.training import on_device

# What makes a view's logits the head's, so that they tell whether the embedding is right.
PLAIN = {"wnll": {"activation": "linear"}, "rbf_cnn": {"beta2": 0.0, "passes": 1}}


@pytest.fixture
def images(digits):
    pixels, _ = on_device(digits.test, torch.device("cpu"))
    return pixels[:20] / 255


@pytest.mark.parametrize("name", DEFENSES)
def test_the_head_makes_the_logits_of_every_defense_from_the_embedding(name, trained, images):
    defense = trained(name).defense
    view = defense.view("default", defense.Inference(**PLAIN.get(name, {})))
    with held(view), torch.no_grad():
        found, logits = embeddings(view, images), view(images)
        assert found.shape == (20, network_within(view).head.in_features)
        of_embedding = network_within(view).head(found)
    # rbf_cnn gives the logarithm of its softmax.
    torch.testing.assert_close(of_embedding.log_softmax(1), logits.log_softmax(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["wnll", "rbf_cnn"])
def test_an_activation_or_noise_behind_the_embedding_does_not_change_what_is_read(name, trained, images):
    """wnll's network also embeds its template, rbf_cnn's sees ten reconstructions."""
    defense = trained(name).defense
    settings = {"rbf_cnn": {"beta2": 1e-9}}.get(name, {})
    views = [defense.view("default", defense.Inference(**s)) for s in (settings, PLAIN[name])]
    with held(*views):
        one, other = (embeddings(view, images) for view in views)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 7])
def test_embeddings_do_not_depend_on_the_batch(size, trained, images, monkeypatch):
    model = trained("none").defense.model
    with held(model):
        whole = embeddings(model, images)
        monkeypatch.setattr(features, "BATCH", size)
        torch.testing.assert_close(embeddings(model, images), whole)


def test_no_hook_is_left_even_after_an_error(images):
    network = Staged({"flat": nn.Flatten()}, nn.Linear(784, 2), (1, 28, 28))
    with held(network):
        embeddings(network, images)
        with pytest.raises(InputError, match="images must be"):
            embeddings(network, images[:, :, 1:])
    assert not network.stages["flat"]._forward_hooks


def test_a_view_without_one_network_of_stages_is_refused(linear, images):
    network = Staged({"flat": nn.Flatten()}, nn.Linear(784, 2), (1, 28, 28))
    other = Staged({"flat": nn.Flatten()}, nn.Linear(784, 2), (1, 28, 28))
    for view, count in ((linear.model, 0), (nn.ModuleList([network, other]), 2)):
        with pytest.raises(InputError, match=f"one network of stages, got {count}"):
            embeddings(view, images)
