import pytest
import torch
from torch import nn

from trainables.errors import InputError
from trainables.networks.cnn3 import cnn3


@pytest.mark.parametrize(
    ("shape", "width", "maps"),
    [
        pytest.param((1, 28, 28), 64, [(64, 14, 14), (128, 5, 5), (128, 1, 1)], id="MNIST"),
        pytest.param((3, 32, 32), 4, [(4, 16, 16), (8, 6, 6), (8, 2, 2)], id="CIFAR"),
        pytest.param((1, 28, 40), 4, [(4, 14, 20), (8, 5, 8), (8, 1, 4)], id="not square"),
        pytest.param((1, 26, 26), 4, [(4, 13, 13), (8, 4, 4)], id="too small"),
    ],
)
def test_feature_maps_have_the_papers_sizes(shape, width, maps):
    if len(maps) < 3:
        with pytest.raises(InputError, match="cnn3 needs images of at least 28x28, got 26x26"):
            cnn3(shape, 10, width=width)
        return
    seen = []
    model = cnn3(shape, 7, width=width)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape[1:])))
    assert model(torch.rand(2, *shape)).shape == (2, 7)
    assert seen == maps


@pytest.mark.parametrize(("width", "filters"), [(None, 64), (16, 16)])
def test_the_number_of_parameters_is_that_of_cleverhans(width, filters):
    """conv 8x8 to nf, 6x6 to 2nf, 5x5 to 2nf, and 2nf to 10, each with biases."""
    nf = filters
    expected = (64 + 1) * nf + (36 * nf + 1) * 2 * nf + (25 * 2 * nf + 1) * 2 * nf + (2 * nf + 1) * 10
    assert sum(p.numel() for p in cnn3((1, 28, 28), 10, width=width).parameters()) == expected


def test_what_a_defense_adds_stands_behind_each_conv_block_and_before_the_head():
    asked = []

    def doubled(channels):
        asked.append(channels)
        return Doubled(), 2 * channels

    class Doubled(nn.Module):
        def forward(self, features):
            return torch.cat([features, -features], 1)

    model = cnn3((1, 32, 32), 10, width=4, after_conv=doubled, before_head=doubled)
    assert asked == [4, 8, 8, 16 * 2 * 2]
    conv_blocks = [stage for name, stage in model.stages.items() if name.startswith("conv")]
    assert [[type(m).__name__ for m in block] for block in conv_blocks] == [["Conv2d", "ReLU", "Doubled"]] * 3
    assert model(torch.rand(2, 1, 32, 32)).shape == (2, 10)


def test_the_head_sees_the_features_as_a_map_of_one_pixel():
    shapes = []

    class Watched(nn.Module):
        def forward(self, features):
            shapes.append(tuple(features.shape))
            return features

    cnn3((1, 32, 32), 10, width=4, before_head=lambda channels: (Watched(), channels))(torch.rand(2, 1, 32, 32))
    assert shapes == [(2, 32, 1, 1)]
