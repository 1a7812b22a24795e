"""The common settings of rbf_cnn's tables: training at each scale, the rows and the attacks."""

from __future__ import annotations

from search_spaces.study import Transfer

QUICK = {
    "dataset": "digits",
    "network.width": 16,
    "epochs": 12,
    "optimisation.lr": 2e-3,
    "optimisation.schedule": "constant",
    "optimisation.batch_size": 64,
    "defense.em.m_steps": 100,
    "defense.plus.made_after_epoch": 4,
    "defense.plus.attack.eps": 0.1,
    "defense.plus.attack.steps": 10,
    "defense.plus.gaussian_std": 0.12,
    "defense.plus.gaussian_bound": 0.1,
}
QUICK_MADRY = {"defense.attack.eps": 0.1, "defense.attack.steps": 5, "defense.attack.relative_step": 0.4}
MNIST = {"dataset": "mnist", "seeds": (0, 1, 2)}
MNIST_MADRY = {"defense.attack.eps": 0.3, "defense.attack.steps": 40, "defense.attack.relative_step": 1 / 30}
CIFAR10 = {
    "dataset": "cifar10",
    "network": "vgg16_dropout",
    "optimisation.optimizer": "sgd",
    "optimisation.nesterov": True,
    "optimisation.lr": 0.1,
    "optimisation.weight_decay": 1e-3,
    "optimisation.milestones": tuple(range(10, 600, 10)),
    "optimisation.augmentation": ("flip",),
    "defense.em.k_star": 175,
    "defense.em.creation_m_steps": None,
    "defense.plus.made_after_epoch": 200,
    "defense.plus.adversarial_share": 30 / 128,
    "defense.plus.gaussian_share": 30 / 128,
    "defense.plus.gaussian_std": 0.05,
    "defense.plus.gaussian_bound": 0.03,
    "defense.plus.attack.eps": 0.03,
    "defense.plus.attack.steps": 10,
    "defense.plus.max_rotation": 0.0,
    "defense.plus.max_shift": 0.0,
    "defense.plus.mirror": False,
    "seeds": (0, 1, 2),
}
CIFAR10_MADRY = {"defense.attack.eps": 8 / 255, "defense.attack.steps": 7, "defense.attack.relative_step": 0.25}
BASE = {
    "network": "cnn4",
    "epochs": 100,
    "optimisation.optimizer": "adam",
    "optimisation.lr": 1e-3,
    "optimisation.schedule": "multistep",
    "optimisation.milestones": (20, 40, 60, 80),
    "optimisation.gamma": 0.5,
    "optimisation.batch_size": 128,
}
UNDEFENDED = {"defense": ("none",)}
MADRY = {"defense": ("madry",)}
RCNN = {"defense": ("rbf_cnn",), "defense.plus": (None,)}
RCNN_PLUS = {"defense": ("rbf_cnn",), "defense.plus.made_after_epoch": (25,)}
FGSM = {"name": "fgsm", "eps": (0.3,)}
PGD = {"name": "pgd", "eps": (0.3,), "steps": 40}
MIM = {"name": "mim", "eps": (0.3,), "steps": 40}
DAA = {"name": "daa", "eps": (0.3,), "steps": 40}
PGD_L1 = {"name": "pgd", "norm": "l1", "eps": (15.0,), "steps": 40}
PGD_L2 = {"name": "pgd", "norm": "l2", "eps": (2.0,), "steps": 40}
CW_L2 = {"name": "cw", "norm": "l2", "eps": (2.0,)}
STATIC = {"view": "static"}
BPDA = {"view": "bpda", "eot_samples": 50}
WHITE_BOX = {
    "fgsm_linf": FGSM,
    "pgd_linf": PGD,
    "cw_linf": {**PGD, "loss": "margin"},
    "static_fgsm_linf": {**FGSM, **STATIC},
    "static_pgd_linf": {**PGD, **STATIC},
    "static_mim_linf": {**MIM, **STATIC},
    "static_cw_linf": {**PGD, **STATIC, "loss": "margin"},
    "static_daa_linf": {**DAA, **STATIC},
    "bpda_linf": {**PGD, **BPDA},
    "spsa_linf": {"name": "spsa", "eps": (0.3,)},
}
FROM_UNDEFENDED = {
    "transfer_fgsm_linf": Transfer(attack="fgsm_linf", source={"defense": "none"}),
    "transfer_pgd_linf": Transfer(attack="pgd_linf", source={"defense": "none"}),
    "transfer_cw_linf": Transfer(attack="cw_linf", source={"defense": "none"}),
}
QUICK_ATTACKS = {"attack.*.steps": 10, "attack.bpda_*.eot_samples": 5, "examples": 100}
QUICK_LINF = {**QUICK_ATTACKS, "attack.*_linf.eps": 0.1, "attack.spsa_linf.pairs": 8}
QUICK_L1_L2 = {
    **QUICK_ATTACKS,
    "attack.*_l1.eps": 10.0,
    "attack.*_l2.eps": 1.0,
    "attack.*cw_l2.steps": 50,
    "attack.*cw_l2.lr": 0.05,
    "attack.*cw_l2.search_steps": 4,
}
CERTIFIED = {"name": "certification", "samples": 50_000}
QUICK_CERTIFIED = {"measure.*.samples": 1000, "measure.*.eps": (0.1, 0.25, 0.4), "examples": 50}
