"""The prototype loss with and without adversarial training, under attack: Tables 3 to 7."""

from __future__ import annotations

from search_spaces.pcl.settings import (
    ADVTRAIN,
    AUTOATTACK,
    BASE,
    BIM,
    CIFAR_CW,
    CIFAR_CW_GRID,
    CNN6,
    CNN6_ADVTRAIN,
    CW,
    CW_GRID,
    FGSM,
    JOINT,
    LINF,
    MADRY,
    MIM,
    OURS,
    OURS_ADVTRAIN,
    PGD,
    QUICK,
    QUICK_ADVTRAIN,
    QUICK_AUTOATTACK,
    QUICK_CW,
    QUICK_RIVALS,
    RESNET110,
    RESNET110_ADVTRAIN,
    UNDEFENDED,
)
from search_spaces.study import Study, Transfer, on_other_data

FROM_VGG19 = {"defense": "none", "network": "vgg19"}
PCL_T3 = Study(
    name="pcl_t3",
    title="Prototype conformity in white box and in transfer from a VGG-19",
    question="Does the prototype loss hold in white box and in transfer, and what does adversarial training add?",
    paper="pcl",
    table="Table 3 (MNIST and Fashion-MNIST)",
    base=BASE,
    space=(UNDEFENDED, {**UNDEFENDED, "network": ("vgg19",)}, OURS, OURS_ADVTRAIN),
    baseline={"defense": "none", "network": "cnn6"},
    attacks={**LINF, "cw_l2": {**CW, "initial_const": 10.0}, **AUTOATTACK},
    transfers={
        "transfer_fgsm_linf": Transfer(attack="fgsm_linf", source=FROM_VGG19),
        "transfer_bim_linf": Transfer(attack="bim_linf", source=FROM_VGG19),
        "transfer_mim_linf": Transfer(attack="mim_linf", source=FROM_VGG19),
        "transfer_cw_l2": Transfer(attack="cw_l2", source=FROM_VGG19),
        "transfer_pgd_linf": Transfer(attack="pgd_linf", source=FROM_VGG19),
    },
    seeds=(0, 1),
    scales={
        "quick": {**QUICK, **QUICK_ADVTRAIN, **QUICK_CW, **QUICK_AUTOATTACK, "attack.*_linf.eps": 0.1},
        "paper": {**CNN6, **CNN6_ADVTRAIN, "dataset": ("mnist", "fashion_mnist")},
    },
)
QUICK_RESNET110 = {
    **QUICK,
    **QUICK_ADVTRAIN,
    **QUICK_CW,
    **QUICK_AUTOATTACK,
    "network.width": 4,
    "epochs": 8,
    "examples": 50,
    "defense.branch_dims": {"layer3": 32},
    "defense.adversarial.steps": 2,
    "attack.*_linf.eps": 0.05,
}
PCL_T3_CIFAR = on_other_data(
    PCL_T3,
    name="pcl_t3_cifar",
    table="Table 3 (CIFAR-10 and CIFAR-100)",
    base={**BASE, "network": "resnet110"},
    baseline={"defense": "none", "network": "resnet110"},
    quick=QUICK_RESNET110,
    paper={
        **RESNET110,
        **RESNET110_ADVTRAIN,
        **CIFAR_CW,
        "dataset": ("cifar10", "cifar100"),
        "attack.*_linf.eps": 0.03,
    },
)
PCL_T3_SVHN = on_other_data(
    PCL_T3_CIFAR,
    name="pcl_t3_svhn",
    table="Table 3 (SVHN)",
    paper={
        **RESNET110,
        **RESNET110_ADVTRAIN,
        **CIFAR_CW,
        "dataset": "svhn",
        "optimisation.augmentation": ("crop",),  # no flip: a mirrored digit is another digit
        "attack.*_linf.eps": 0.03,
    },
)
PCL_T4 = Study(
    name="pcl_t4",
    title="Prototype conformity under the attack on its joint loss",
    question="Does attacking cross-entropy and the prototype loss together break it further?",
    paper="pcl",
    table="Table 4 (CIFAR-10)",
    base=BASE,
    space=(UNDEFENDED, OURS, OURS_ADVTRAIN),
    baseline={"defense": "none"},
    attacks={
        **LINF,
        "joint_fgsm_linf": {**FGSM, **JOINT},
        "joint_bim_linf": {**BIM, **JOINT},
        "joint_mim_linf": {**MIM, **JOINT},
        "joint_pgd_linf": {**PGD, **JOINT},
        **AUTOATTACK,
    },
    seeds=(0, 1),
    scales={
        "quick": {**QUICK, **QUICK_ADVTRAIN, **QUICK_AUTOATTACK, "attack.*_linf.eps": (0.05, 0.1)},
        "paper": {
            **RESNET110,
            **RESNET110_ADVTRAIN,
            "dataset": "cifar10",
            "network": "resnet110",
            "attack.*_linf.eps": 0.03,
        },
    },
)
PCL_T4_FASHION_MNIST = on_other_data(
    PCL_T4,
    name="pcl_t4_fashion_mnist",
    table="Table 4 (Fashion-MNIST)",
    paper={**CNN6, **CNN6_ADVTRAIN, "dataset": "fashion_mnist"},
)
PCL_T5 = Study(
    name="pcl_t5",
    title="Prototype conformity against adversarial training, over eps",
    question="Does the prototype loss match adversarial training at every eps?",
    paper="pcl",
    table="Table 5 (CIFAR-10)",
    base=BASE,
    space=(UNDEFENDED, ADVTRAIN, MADRY, OURS, OURS_ADVTRAIN),
    baseline={"defense": "none"},
    attacks={**LINF, **CW_GRID},
    seeds=(0, 1),
    scales={
        "quick": {**QUICK, **QUICK_ADVTRAIN, **QUICK_RIVALS, **QUICK_CW, "attack.*_linf.eps": (0.02, 0.05)},
        "paper": {
            **RESNET110,
            **RESNET110_ADVTRAIN,
            **CIFAR_CW_GRID,
            "dataset": "cifar10",
            "network": "resnet110",
            "defense.attack.eps": 8 / 255,
            "defense.attack.steps": 7,
            "attack.*_linf.eps": (0.01, 0.02),
            "attack.fgsm_linf.eps": (0.02, 0.04),
        },
    },
)
PCL_T6 = on_other_data(
    PCL_T5,
    name="pcl_t6",
    table="Table 6 (MNIST)",
    quick={
        **QUICK,
        **QUICK_ADVTRAIN,
        **QUICK_RIVALS,
        **QUICK_CW,
        "attack.*_linf.eps": (0.1, 0.15),
        "attack.fgsm_linf.eps": (0.1, 0.2),
    },
    paper={
        **CNN6,
        **CNN6_ADVTRAIN,
        "dataset": "mnist",
        "defense.attack.eps": 0.3,
        "defense.attack.steps": 40,
        "defense.attack.relative_step": 1 / 30,
        "attack.*_linf.eps": (0.1, 0.15),
        "attack.fgsm_linf.eps": (0.1, 0.2),
    },
)
PCL_T7 = Study(
    name="pcl_t7",
    title="Prototype conformity at small eps, with many classes",
    question="Does the prototype loss hold with a hundred classes?",
    paper="pcl",
    table="Table 7 (CIFAR-100)",
    base=BASE,
    space=(UNDEFENDED, OURS),
    baseline={"defense": "none"},
    attacks={"bim_linf": BIM, "mim_linf": MIM, "pgd_linf": PGD},
    seeds=(0, 1),
    scales={
        "quick": {**QUICK, "attack.*_linf.eps": (0.02, 0.05)},
        "paper": {**RESNET110, "dataset": "cifar100", "network": "resnet110", "attack.*_linf.eps": (0.005, 0.01)},
    },
)
