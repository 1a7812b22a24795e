"""Transfer between an undefended network, two adversarially trained ones and the prototype loss: Table 13.

AdvTrain is the VGG-19 of Kurakin et al., trained on FGSM's examples. The paper names neither the network of Madry's
training nor the variant of Ours. We use ResNet-110 and Ours + AdvTrain by PGD, because that variant's number in
transfer from VGG-19 is the one in Table 3. At paper scale both are models of Table 5.
"""

from __future__ import annotations

from search_spaces.pcl.settings import (
    ADVTRAIN,
    BASE,
    MADRY,
    PGD,
    QUICK,
    QUICK_ADVTRAIN,
    QUICK_RIVALS,
    RESNET110,
    RESNET110_ADVTRAIN,
    UNDEFENDED,
)
from search_spaces.study import Study, Transfer

VGG19 = {"network": ("vgg19",)}
PCL_T13 = Study(
    name="pcl_t13",
    title="Transfer among no defense, adversarial training and prototype conformity",
    question="Do examples crafted on one defense fool the others?",
    paper="pcl",
    table="Table 13 (CIFAR-10)",
    base={**BASE, "network": "resnet110"},
    space=(
        {**UNDEFENDED, **VGG19},
        {**ADVTRAIN, **VGG19},
        MADRY,
        {"defense": ("pcl",), "defense.adversarial.attack": ("pgd",)},
    ),
    baseline={"defense": "none"},
    attacks={"pgd_linf": PGD},
    transfers={
        "from_vgg19": Transfer(attack="pgd_linf", source={"defense": "none"}),
        "from_advtrain": Transfer(attack="pgd_linf", source={"defense": "fgsm_training"}),
        "from_madry": Transfer(attack="pgd_linf", source={"defense": "madry"}),
        "from_pcl": Transfer(attack="pgd_linf", source={"defense": "pcl"}),
    },
    seeds=(0, 1),
    scales={
        "quick": {
            **QUICK,
            **QUICK_ADVTRAIN,
            **QUICK_RIVALS,
            "dataset.image_size": 18,  # the smallest size that VGG-19 can halve five times
            "network.width": 4,
            "epochs": 8,
            "examples": 200,
            "defense.adversarial.steps": 2,
            "defense.attack.steps": 3,
            "attack.pgd_linf.eps": (0.05, 0.1),
            "defense.branch_dims": {"layer3": 32},
        },
        "paper": {
            **RESNET110,
            **RESNET110_ADVTRAIN,
            "dataset": "cifar10",
            "defense.attack.eps": 8 / 255,
            "defense.attack.steps": 7,
            "attack.pgd_linf.eps": 0.03,
        },
    },
)
