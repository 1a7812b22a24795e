"""afd: Tables 1 and 2 on MNIST and, as `_cifar`, on CIFAR-10 and 100.

We add AutoAttack to Table 1 and the BatchNorm ablation to Table 2. PGD's step is relative to eps, as in Foolbox
(Table A3).

The paper scale takes its settings from Sec. 8.1 and Table A2. Every row uses the learning rate LR_EDc (.1), because the
paper gives no learning rates for the other methods. The paper does not give the steps of the training attack either: on
MNIST we use those of the evaluation, on CIFAR 10 steps of 2/255. The paper scale is unverified until it is run. The
`_cifar` studies have the same quick scale as the others.
"""

from __future__ import annotations

from search_spaces.study import Study, Transfer, on_other_data

QUICK = {
    "dataset": "digits",
    "network": "cnn3",
    "network.width": 16,
    "epochs": 15,
    "optimisation.optimizer": "adam",
    "optimisation.lr": 2e-3,
    "optimisation.batch_size": 64,
    "defense.attack.eps": 0.05,
    "defense.adversarial.eps": 0.05,
}
BASE = {
    "network": "resnet5",
    "epochs": 300,
    "optimisation.optimizer": "sgd",
    "optimisation.lr": 0.1,
    "optimisation.momentum": 0.9,
    "optimisation.weight_decay": 1e-4,
    "optimisation.batch_size": 50,
}
MNIST = {
    "dataset": "mnist",
    "defense.attack.eps": 0.3,
    "defense.attack.steps": 40,
    "defense.attack.relative_step": 0.033,
    "defense.adversarial.eps": 0.3,
    "defense.adversarial.steps": 40,
    "defense.adversarial.relative_step": 0.033,
    "seeds": (0, 1, 2),
}
CIFAR = {
    "dataset": ("cifar10", "cifar100"),
    "network": "resnet18",
    "epochs": 850,
    "optimisation.momentum": 0.8,
    "optimisation.batch_size": 64,
    "optimisation.schedule": "multistep",
    "optimisation.milestones": (350, 700),
    "optimisation.augmentation": ("crop", "flip"),
    "defense.attack.eps": 0.031,
    "defense.adversarial.eps": 0.031,
    "attack.pgd_linf.steps": 20,
    "attack.pgd_linf.relative_step": None,
    "attack.pgd_linf.step_size": 2 / 255,
    "seeds": (0, 1, 2),
}
PGD = {"name": "pgd", "steps": 40, "relative_step": 0.033}
FAR_PGD = {"name": "pgd", "steps": 50, "relative_step": 0.025}
AFD_T1 = Study(
    name="afd_t1",
    title="Adversarial feature desensitization against adversarial training",
    question="Does desensitization beat Madry and TRADES, in white box and in transfer?",
    paper="afd",
    table="Table 1 (MNIST)",
    base=BASE,
    space=({"defense": ("none", "madry", "trades", "afd")},),
    baseline={"defense": "none"},
    attacks={
        "fgsm_linf": {"name": "fgsm", "eps": (0.3,)},
        "pgd_linf": {**PGD, "eps": (0.3,)},
        "autoattack_linf": {"name": "autoattack", "eps": (0.3,)},
    },
    transfers={
        "transfer_fgsm_linf": Transfer(attack="fgsm_linf", source={"defense": "none"}),
        "transfer_pgd_linf": Transfer(attack="pgd_linf", source={"defense": "none"}),
    },
    seeds=(0, 1),
    scales={
        "quick": {
            **QUICK,
            "examples": 100,
            "attack.*_linf.eps": (0.05, 0.1),
            "attack.autoattack_linf.attacks": ("apgd-ce", "apgd-t"),
            "attack.autoattack_linf.steps": 20,
            "attack.autoattack_linf.targets": 3,
        },
        "paper": MNIST,
    },
)
AFD_T1_CIFAR = on_other_data(
    AFD_T1, name="afd_t1_cifar", table="Table 1 (CIFAR-10 and CIFAR-100)", paper={**CIFAR, "attack.*_linf.eps": "8/255"}
)
AFD_T2 = Study(
    name="afd_t2",
    title="Accuracy over the whole range of eps, and BatchNorm shared by clean and attacked images",
    question="Does desensitization enlarge the area under accuracy against eps, and is BatchNorm the reason?",
    paper="afd",
    table="Table 2 (MNIST)",
    base=BASE,
    space=(
        {"defense": ("none", "madry", "trades")},
        {"defense": ("afd",), "defense.joint_batchnorm": (False, True)},
    ),
    baseline={"defense": "none"},
    attacks={
        "fgsm_linf": {"name": "fgsm", "eps": (0.2, 0.3, 0.5, 0.8)},
        "pgd_linf": {**PGD, "eps": (0.1, 0.3, 0.5, 0.8, 1.0)},
        "mim_linf": {"name": "mim", "eps": (0.1, 0.3, 0.5, 0.8, 1.0), "steps": 40},
        "deepfool_linf": {"name": "deepfool", "eps": (0.01, 0.1, 0.3, 0.5, 1.0), "steps": 50},
        "pgd_l1": {**FAR_PGD, "norm": "l1", "eps": (10.0, 50.0, 100.0, 200.0, 400.0)},
        "pgd_l2": {**FAR_PGD, "norm": "l2", "eps": (2.0, 5.0, 10.0, 20.0)},
        "ddn_l2": {"name": "ddn", "norm": "l2", "eps": (1.0, 2.0, 5.0, 10.0), "steps": 100},
        "cw_l2": {"name": "cw", "norm": "l2", "eps": (1.0, 2.0, 5.0), "steps": 100, "lr": 0.05},
    },
    seeds=(0, 1),
    scales={
        "quick": {
            **QUICK,
            "examples": 100,
            "attack.*_linf.eps": (0.05, 0.1, 0.2, 0.3),
            "attack.*_l1.eps": (5.0, 10.0, 20.0, 40.0),
            "attack.*_l2.eps": (0.5, 1.0, 2.0, 4.0),
            "attack.cw_l2.search_steps": 4,
        },
        "paper": MNIST,
    },
)
AFD_T2_CIFAR = on_other_data(
    AFD_T2,
    name="afd_t2_cifar",
    table="Table 2 (CIFAR-10 and CIFAR-100)",
    paper={
        **CIFAR,
        "attack.fgsm_linf.eps": ("2/255", "4/255", "8/255", "16/255", "32/255", "64/255"),
        "attack.pgd_linf.eps": ("2/255", "4/255", "8/255", "16/255", "32/255"),
        "attack.mim_linf.eps": ("2/255", "4/255", "8/255", "16/255", "32/255"),
        "attack.deepfool_linf.eps": ("2/255", "4/255", "8/255", "16/255", "32/255", "64/255"),
        "attack.ddn_l2.eps": (2.0, 5.0, 10.0, 15.0),
    },
)
