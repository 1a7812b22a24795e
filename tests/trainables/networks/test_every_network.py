"""One suite that every network passes, and what is known of each: stages, sizes, numbers of parameters."""

import itertools
from dataclasses import dataclass

import pytest
import torch
import torchvision
from torch import nn

from trainables import networks
from trainables.errors import InputError
from trainables.networks.cnn3 import cnn3
from trainables.networks.cnn4 import cnn4
from trainables.networks.cnn6 import cnn6
from trainables.networks.lenet import lenet
from trainables.networks.resnets import resnet5, resnet18, resnet20, resnet56, resnet110
from trainables.networks.vgg import vgg16, vgg16_dropout, vgg19

MNIST, CIFAR = (1, 28, 28), (3, 32, 32)


@dataclass(frozen=True)
class Known:
    """What the papers say of a network: its first layer's filters, stages, smallest image, embedding at 28x28."""

    build: object
    first: int
    stages: str
    smallest: int
    embedding: int


NETWORKS = {
    "cnn3": Known(cnn3, 64, "conv1 conv2 conv3 embedding", 28, 128),
    "cnn4": Known(cnn4, 32, "conv1 conv2 conv3 conv4 fc1 fc2 embedding", 16, 200),
    "cnn6": Known(cnn6, 32, "conv1 conv2 conv3 gap fc512 fc64", 8, 64),
    "lenet": Known(lenet, 6, "conv1 conv2 fc1 fc2", 12, 84),
    "resnet5": Known(resnet5, 32, "stem layer1 gap fc200", 4, 200),
    "resnet18": Known(resnet18, 64, "stem layer1 layer2 layer3 layer4 gap", 8, 512),
    "resnet20": Known(resnet20, 16, "stem layer1 layer2 layer3 gap buffer", 4, 64),
    "resnet56": Known(resnet56, 16, "stem layer1 layer2 layer3 gap buffer", 4, 64),
    "resnet110": Known(resnet110, 16, "stem layer2 layer3 layer4 gap fc1024", 4, 1024),
    "vgg16": Known(vgg16, 64, "block1 block2 block3 block4 block5 gap", 17, 512),
    "vgg16_dropout": Known(vgg16_dropout, 64, "block1 block2 block3 block4 block5 gap fc512", 17, 512),
    "vgg19": Known(vgg19, 64, "block1 block2 block3 block4 block5 gap", 17, 512),
}

every_network = pytest.mark.parametrize("name", NETWORKS)


def built(name, shape=MNIST, *, classes=10, width=4):
    torch.manual_seed(0)
    return NETWORKS[name].build(shape, classes, width=width)


def on_meta(build, *arguments, **settings):
    """Build without memory or random numbers, to count."""
    with torch.device("meta"):
        return build(*arguments, **settings)


def images(shape=MNIST, count=4):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1))


def count(module):
    return sum(p.numel() for p in module.parameters())


def first_convolution(model):
    return next(module for module in model.modules() if isinstance(module, nn.Conv2d))


@pytest.fixture(autouse=True)
def _global_rng():
    with torch.random.fork_rng():
        yield


# --- the suite


def test_the_table_of_these_tests_has_every_network():
    assert {name: known.build for name, known in NETWORKS.items()} == networks.NETWORKS.added


@every_network
@pytest.mark.parametrize("shape", [MNIST, CIFAR, (2, 28, 36)], ids=str)
def test_images_of_any_shape_become_finite_logits(name, shape):
    logits = built(name, shape, classes=7)(images(shape))
    assert logits.shape == (4, 7)
    assert logits.isfinite().all()


@every_network
def test_the_smallest_images_work_and_smaller_ones_are_refused(name):
    least = NETWORKS[name].smallest
    assert built(name, (1, least, least))(images((1, least, least))).shape == (4, 10)
    with pytest.raises(InputError, match=rf"network {name} needs images of at least \d+x\d+, got 40x{least - 1}"):
        built(name, (1, 40, least - 1))


@every_network
def test_stages_have_their_names_and_the_embedding_its_size(name):
    known = NETWORKS[name]
    model = on_meta(known.build, MNIST, 10)
    assert " ".join(model.stages) == known.stages
    assert model.head.in_features == known.embedding
    assert model.head.out_features == 10


@every_network
def test_a_gradient_reaches_every_parameter(name):
    model = built(name, width=8)
    model(images(count=8)).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or p.grad.abs().max() == 0] == []


@every_network
def test_taps_come_from_the_pass_that_gives_the_logits(name):
    model = built(name).eval()
    names = list(model.stages)
    logits, taps = model.tapped(images(), names)
    assert torch.equal(logits, model(images()))
    assert list(taps) == names
    assert torch.equal(taps[names[-1]].flatten(1), model.embed(images()))
    for before, after in itertools.pairwise(names):
        assert torch.equal(model.stages[after](taps[before]), taps[after])


@every_network
def test_no_sample_crosses_the_batch_in_evaluation(name):
    model = built(name).double()
    model(images(count=8).double())  # moves BatchNorm's running statistics off their start
    model.eval()
    together = model(images().double())
    alone = torch.cat([model(image[None]) for image in images().double()])
    torch.testing.assert_close(alone, together, rtol=1e-9, atol=1e-9)


@every_network
def test_width_is_the_first_layers_filters_and_scales_the_others(name):
    known = NETWORKS[name]
    papers, same, double = (on_meta(known.build, MNIST, 10, width=w) for w in (None, known.first, 2 * known.first))
    assert first_convolution(papers).out_channels == known.first
    assert first_convolution(double).out_channels == 2 * known.first
    assert count(same) == count(papers)
    assert double.head.in_features == 2 * papers.head.in_features
    assert 3.5 < count(double) / count(papers) < 4.001  # between two wide layers, four times


@every_network
def test_the_narrowest_network_works(name):
    assert built(name, width=1)(images()).shape == (4, 10)


# --- numbers of parameters


def conv(channels, out, kernel, bias=True):
    return out * (channels * kernel**2 + bias)


def linear(features, out):
    return out * (features + 1)


def residual(channels, planes, *, bottleneck=False, projected=False):
    """One block: convolutions without bias, a scale and a shift after each, and a 1x1 shortcut where asked."""
    out = 4 * planes if bottleneck else planes
    if bottleneck:
        inner = channels * planes + 9 * planes**2 + planes * out + 2 * (2 * planes + out)
    else:
        inner = 9 * channels * planes + 9 * planes**2 + 4 * planes
    return inner + (channels * out + 2 * out if projected else 0)


def cifar_resnet(blocks):
    stages = blocks * residual(16, 16)
    for channels in (16, 32):
        stages += residual(channels, 2 * channels, projected=True) + (blocks - 1) * residual(2 * channels, 2 * channels)
    return conv(3, 16, 3, bias=False) + 32 + stages + linear(64, 64) + linear(64, 10)


def bottleneck_resnet(blocks):
    stages, channels = 0, 16
    for planes in (16, 32, 64):
        stages += residual(channels, planes, bottleneck=True, projected=True)
        stages += (blocks - 1) * residual(4 * planes, planes, bottleneck=True)
        channels = 4 * planes
    return conv(3, 16, 3, bias=False) + 32 + stages + linear(256, 1024) + linear(1024, 10)


def torchvision_vgg(name):
    """Torchvision's convolutions without their biases, which BatchNorm takes away again."""
    features = on_meta(getattr(torchvision.models, name)).features
    return count(features) - sum(m.bias.numel() for m in features if isinstance(m, nn.Conv2d)) + linear(512, 10)


COUNTS = {
    "cnn4, as counted for Carlini and Wagner's": (cnn4, MNIST, 312_202),
    "cnn4 on CIFAR": (
        cnn4,
        CIFAR,
        conv(3, 32, 3) + conv(32, 32, 3) + conv(32, 64, 3) + conv(64, 64, 3)
        + linear(64 * 5 * 5, 200) + linear(200, 200) + linear(200, 10),
    ),
    "cnn6, one PReLU slope a convolution": (
        cnn6,
        MNIST,
        conv(1, 32, 5) + conv(32, 32, 5) + conv(32, 64, 5) + conv(64, 64, 5) + conv(64, 128, 5) + conv(128, 128, 5)
        + 6 + linear(128, 512) + linear(512, 64) + linear(64, 10),
    ),
    "lenet, as counted everywhere": (lenet, MNIST, 61_706),
    "resnet5": (
        resnet5,
        MNIST,
        conv(1, 32, 3, bias=False) + 64 + residual(32, 64, projected=True) + linear(64, 200) + linear(200, 10),
    ),
    "resnet18, as counted for the CIFAR stem": (resnet18, CIFAR, 11_173_962),
    "resnet20": (resnet20, CIFAR, cifar_resnet(3)),
    "resnet56": (resnet56, CIFAR, cifar_resnet(9)),
    "resnet110": (resnet110, CIFAR, bottleneck_resnet(12)),
    "vgg16": (vgg16, CIFAR, torchvision_vgg("vgg16_bn")),
    "vgg19": (vgg19, CIFAR, torchvision_vgg("vgg19_bn")),
    "vgg16_dropout": (
        vgg16_dropout,
        CIFAR,
        count(on_meta(torchvision.models.vgg16_bn).features) + linear(512, 512) + 2 * 512 + linear(512, 10),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("build", "shape", "parameters"), COUNTS.values(), ids=COUNTS)
def test_the_number_of_parameters_is_that_of_the_paper(build, shape, parameters):
    assert count(on_meta(build, shape, 10)) == parameters


@pytest.mark.parametrize(
    ("build", "millions"), [pytest.param(resnet20, 0.27, id="resnet20"), pytest.param(resnet56, 0.85, id="resnet56")]
)
def test_cifar_resnets_have_the_size_that_he_et_al_print(build, millions):
    """Table 6 of the paper, whose shortcuts have no parameters and which has no buffer layer."""
    model = on_meta(build, CIFAR, 10)
    shortcuts = sum(count(m.downsample) for m in model.modules() if getattr(m, "downsample", None) is not None)
    assert round((count(model) - shortcuts - count(model.stages["buffer"])) / 1e6, 2) == millions


# --- depths, maps and places


@pytest.mark.parametrize(
    ("build", "settings", "convolutions"),
    [
        pytest.param(resnet5, {}, 3, id="resnet5, and two linear layers"),
        pytest.param(resnet18, {}, 17, id="resnet18"),
        pytest.param(resnet20, {}, 19, id="resnet20"),
        pytest.param(resnet56, {}, 55, id="resnet56"),
        pytest.param(resnet110, {}, 109, id="resnet110"),
        pytest.param(resnet110, {"blocks_per_stage": 18}, 163, id="resnet110 as the code builds it"),
        pytest.param(vgg16, {}, 13, id="vgg16"),
        pytest.param(vgg16_dropout, {}, 13, id="vgg16_dropout"),
        pytest.param(vgg19, {}, 16, id="vgg19"),
    ],
)
def test_the_number_of_convolutions_gives_the_network_its_name(build, settings, convolutions):
    """Not counting the convolutions on shortcuts."""
    model = on_meta(build, CIFAR, 10, **settings)
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and "downsample" not in n]
    assert len(names) == convolutions


@pytest.mark.parametrize(
    ("name", "shape", "maps"),
    [
        pytest.param("resnet5", MNIST, {"stem": (32, 14, 14), "layer1": (64, 7, 7), "gap": (64,)}, id="resnet5"),
        pytest.param("resnet18", CIFAR, {"layer1": (64, 32, 32), "layer4": (512, 4, 4), "gap": (512,)}, id="resnet18"),
        pytest.param("resnet20", CIFAR, {"layer1": (16, 32, 32), "layer3": (64, 8, 8), "buffer": (64,)}, id="resnet20"),
        pytest.param(
            "resnet110", CIFAR, {"layer3": (128, 16, 16), "gap": (256,), "fc1024": (1024,)}, id="resnet110, pcl's taps"
        ),
        pytest.param("cnn6", MNIST, {"gap": (128,), "fc512": (512,), "fc64": (64,)}, id="cnn6, pcl's taps"),
        pytest.param("vgg19", CIFAR, {"block1": (64, 16, 16), "block5": (512, 1, 1)}, id="vgg19 on CIFAR"),
        pytest.param("vgg19", MNIST, {"block3": (256, 4, 4), "block5": (512, 1, 1)}, id="vgg19 on MNIST"),
    ],
)
def test_maps_have_the_papers_sizes(name, shape, maps):
    model = on_meta(NETWORKS[name].build, shape, 10)
    _, taps = model.tapped(torch.empty(2, *shape, device="meta"), maps)
    assert {stage: tuple(tap.shape[1:]) for stage, tap in taps.items()} == maps


def test_the_buffer_gives_what_its_relu_lets_through():
    _, taps = built("resnet20").eval().tapped(images(), ["buffer"])
    assert taps["buffer"].min() == 0


@pytest.mark.parametrize(
    ("name", "stage"), [pytest.param("resnet110", "fc1024", id="resnet110"), pytest.param("cnn6", "fc64", id="cnn6")]
)
def test_no_nonlinearity_stands_before_the_head_of_pcls_networks(name, stage):
    _, taps = built(name).eval().tapped(images(), [stage])
    assert (taps[stage] < 0).any()


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        pytest.param("cnn4", [0.5], id="cnn4"),
        pytest.param("vgg16_dropout", [0.3] + [0.4] * 7 + [0.5], id="vgg16_dropout"),
        pytest.param("vgg16", [], id="vgg16"),
    ],
)
def test_dropout_has_the_papers_rates(name, rates):
    model = built(name)
    assert [module.p for module in model.modules() if isinstance(module, nn.Dropout)] == rates


def test_what_a_defense_adds_to_cnn4_stands_behind_each_convolution_and_before_the_head():
    asked = []

    class Doubled(nn.Module):
        def forward(self, features):
            return torch.cat([features, -features], 1)

    def doubled(channels):
        asked.append(channels)
        return Doubled(), 2 * channels

    model = cnn4(MNIST, 10, width=8, after_conv=doubled, before_head=doubled)
    assert asked == [8, 8, 16, 16, 50]
    _, taps = model.tapped(images(), ["conv1", "conv4", "embedding"])
    assert [tuple(tap.shape[1:]) for tap in taps.values()] == [(16, 26, 26), (32, 4, 4), (100, 1, 1)]
