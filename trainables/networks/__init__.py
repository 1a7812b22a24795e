"""Networks by name: functions from image shape, outputs and width to named stages with a linear head."""

from __future__ import annotations

from trainables.networks.cnn3 import cnn3
from trainables.networks.cnn4 import cnn4
from trainables.networks.cnn6 import cnn6
from trainables.networks.lenet import lenet
from trainables.networks.registry import NETWORKS, Network
from trainables.networks.resnets import resnet5, resnet18, resnet20, resnet56, resnet110
from trainables.networks.spec import NetworkSpec
from trainables.networks.staged import Staged, Widen, unchanged
from trainables.networks.vgg import vgg16, vgg16_dropout, vgg19

NETWORKS.add_all(
    cnn3=cnn3,
    cnn4=cnn4,
    cnn6=cnn6,
    lenet=lenet,
    resnet5=resnet5,
    resnet18=resnet18,
    resnet20=resnet20,
    resnet56=resnet56,
    resnet110=resnet110,
    vgg16=vgg16,
    vgg16_dropout=vgg16_dropout,
    vgg19=vgg19,
)

__all__ = ["NETWORKS", "Network", "NetworkSpec", "Staged", "Widen", "unchanged"]
