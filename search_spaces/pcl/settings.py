"""The common settings of pcl's tables: training at each scale, the rows and the attacks."""

from __future__ import annotations

QUICK = {
    "dataset": "digits",
    "network.width": 8,
    "epochs": 10,
    "optimisation.optimizer": "adam",
    "optimisation.lr": 5e-3,
    "optimisation.weight_decay": 0.0,
    "optimisation.batch_size": 64,
    "optimisation.schedule": "constant",
}
QUICK_ADVTRAIN = {
    "defense.adversarial.eps": (0.02, 0.15),
    "defense.adversarial.steps": 3,
    "defense.adversarial.relative_step": 0.5,
}
QUICK_RIVALS = {"defense.attack.eps": 0.1, "defense.attack.steps": 5, "defense.attack.relative_step": 0.4}
BASE = {
    "network": "cnn6",
    "epochs": 350,
    "optimisation.optimizer": "sgd",
    "optimisation.lr": 0.1,
    "optimisation.weight_decay": 1e-4,
    "optimisation.batch_size": 256,
    "optimisation.schedule": "multistep",
    "optimisation.milestones": (200, 250),
}
CNN6 = {"defense.tau": 1.0, "seeds": (0, 1, 2)}
CNN6_ADVTRAIN = {"defense.adversarial.eps": (0.1, 0.5)}
RESNET110 = {
    "epochs": 500,
    "optimisation.augmentation": ("crop", "flip"),
    "defense.tau": 1.0,
    "defense.warmup_epochs": 200,
    "defense.branch_dims": {"layer3": 512},
    "seeds": (0, 1, 2),
}
RESNET110_ADVTRAIN = {"defense.adversarial.eps": (0.01, 0.05)}
UNDEFENDED = {"defense": ("none",)}
OURS = {"defense": ("pcl",), "defense.adversarial": (None,)}
OURS_ADVTRAIN = {"defense": ("pcl",), "defense.adversarial.attack": ("fgsm", "pgd")}
ADVTRAIN = {"defense": ("fgsm_training",), "defense.attack.attack": ("fgsm",)}
MADRY = {"defense": ("madry",)}
FGSM = {"name": "fgsm", "eps": (0.3,)}
BIM = {"name": "bim", "eps": (0.3,), "steps": 10}
MIM = {"name": "mim", "eps": (0.3,), "steps": 10}
PGD = {"name": "pgd", "eps": (0.3,), "steps": 10, "relative_step": 0.25}
LINF = {"fgsm_linf": FGSM, "bim_linf": BIM, "mim_linf": MIM, "pgd_linf": PGD}
AUTOATTACK = {"autoattack_linf": {"name": "autoattack", "eps": (0.3,)}}
# One descent at a constant c that succeeds at any distance: 28 is the diagonal of MNIST's images, 56 that of CIFAR's.
CW = {"name": "cw", "norm": "l2", "eps": (28.0,), "steps": 1000, "lr": 0.01, "search_steps": 1}
CW_GRID = {
    "cw_least_l2": {**CW, "initial_const": 0.1},
    "cw_middle_l2": {**CW, "initial_const": 1.0},
    "cw_most_l2": {**CW, "initial_const": 10.0},
}
CIFAR_CW = {"attack.*_l2.eps": 56.0, "attack.cw_l2.initial_const": 0.1}
CIFAR_CW_GRID = {
    "attack.*_l2.eps": 56.0,
    "attack.cw_least_l2.initial_const": 0.001,
    "attack.cw_middle_l2.initial_const": 0.01,
    "attack.cw_most_l2.initial_const": 0.1,
}
QUICK_CW = {"attack.*_l2.steps": 100, "attack.*_l2.lr": 0.05}
QUICK_AUTOATTACK = {
    "attack.autoattack_linf.attacks": ("apgd-ce", "apgd-t"),
    "attack.autoattack_linf.steps": 20,
    "attack.autoattack_linf.targets": 3,
    "examples": 100,
}
JOINT = {"view": "joint_loss", "loss": "joint"}
