"""Other losses in place of the prototype loss, the layers it supervises and what it costs: Tables 9, 11 and 12."""

from __future__ import annotations

from search_spaces.pcl.settings import BASE, FGSM, LINF, PGD, QUICK, RESNET110, UNDEFENDED
from search_spaces.study import Study

PCL_T9 = Study(
    name="pcl_t9",
    title="Losses of the deep supervision",
    question="Does the prototype loss itself matter, or does any distance loss in its place do?",
    paper="pcl",
    table="Table 9 (CIFAR-10 and CIFAR-100)",
    base=BASE,
    space=(
        UNDEFENDED,
        {"defense": ("pcl",), "defense.supervision": ("softmax", "center", "contrastive", "triplet", "pcl")},
    ),
    baseline={"defense": "none"},
    attacks=LINF,
    seeds=(0, 1),
    scales={
        "quick": {**QUICK, "attack.*_linf.eps": (0.05, 0.1)},
        "paper": {
            **RESNET110,
            "dataset": ("cifar10", "cifar100"),
            "network": "resnet110",
            "attack.*_linf.eps": "8/255",
        },
    },
)
PCL_T11 = Study(
    name="pcl_t11",
    title="Where the prototype loss is applied",
    question="Does supervising more layers buy robustness?",
    paper="pcl",
    table="Table 11 (CIFAR-10)",
    base=BASE,
    space=(
        {
            "defense": ("pcl",),
            "defense.layers": (
                (),
                ("stem",),
                ("layer2",),
                ("layer3",),
                ("layer4",),
                ("fc1024",),
                ("layer4", "fc1024"),
                ("layer3", "layer4", "fc1024"),
            ),
        },
    ),
    baseline={"defense": "pcl", "defense.layers": ()},
    attacks={"fgsm_linf": FGSM, "pgd_linf": PGD},
    seeds=(0, 1),
    scales={
        "quick": {
            **QUICK,
            "defense.layers": (
                (),
                ("conv1",),
                ("conv2",),
                ("conv3",),
                ("fc512",),
                ("fc64",),
                ("fc512", "fc64"),
                ("conv3", "fc512", "fc64"),
            ),
            "attack.*_linf.eps": (0.05, 0.1),
        },
        "paper": {**RESNET110, "dataset": "cifar10", "network": "resnet110", "attack.*_linf.eps": 0.03},
    },
)
# The table asks for the seconds of an epoch with the joint loss, so there are no warm-up epochs.
JOINT_EPOCHS = {"defense": ("pcl",), "defense.warmup_epochs": (0,)}
PCL_T12 = Study(
    name="pcl_t12",
    title="Training times of the losses of the deep supervision",
    question="How much longer does an epoch of the prototype loss take than one of cross-entropy?",
    paper="pcl",
    table="Table 12 (CIFAR-10)",
    base=BASE,
    space=(
        {**UNDEFENDED, "epochs": (164,)},
        {**JOINT_EPOCHS, "defense.supervision": ("center", "pcl"), "epochs": (300,)},
        {**JOINT_EPOCHS, "defense.supervision": ("contrastive", "triplet"), "epochs": (400,)},
    ),
    baseline={"defense": "none"},
    costs=True,
    seeds=(0, 1),
    scales={
        "quick": {**QUICK, "epochs": 5},
        "paper": {
            "dataset": "cifar10",
            "network": "resnet110",
            "optimisation.augmentation": ("crop", "flip"),
            "defense.tau": 1.0,
            "defense.branch_dims": {"layer3": 512},
            "seeds": (0, 1, 2),
        },
    },
)
