"""afd: Table 1 and the Linf curves of Table 2, as far as FGSM and PGD go, and its BatchNorm ablation.

PGD's step is Foolbox's relative .033 (Table A3). The paper scale takes Sec. 4's settings for MNIST (ResNet5, batch 50,
300 epochs, SGD .1 for step 1) and is unverified until it is run.
"""

from orchestrator.study import Study, Transfer

QUICK = {
    "dataset": "digits",
    "network": "cnn3",
    "network.width": 16,
    "epochs": 15,
    "optimisation.optimizer": "adam",
    "optimisation.lr": 2e-3,
    "optimisation.batch_size": 64,
}
PAPER = {"dataset": "mnist", "epochs": 300, "seeds": (0, 1, 2)}
BASE = {
    "network": "resnet5",
    "optimisation.optimizer": "sgd",
    "optimisation.lr": 0.1,
    "optimisation.momentum": 0.9,
    "optimisation.weight_decay": 1e-4,
    "optimisation.batch_size": 50,
}
PGD = {"name": "pgd", "steps": 40, "relative_step": 0.033}
TRAINED_AT = (0.05,)

TABLE_1 = Study(
    name="afd_t1",
    title="Adversarial feature desensitization against adversarial training",
    question="Does desensitization beat Madry and TRADES, in white box and in transfer?",
    paper="afd",
    table="Table 1 (MNIST)",
    base=BASE,
    space=(
        {"defense": ("none",)},
        {"defense": ("madry", "trades"), "defense.attack.eps": TRAINED_AT},
        {"defense": ("afd",), "defense.adversarial.eps": TRAINED_AT},
    ),
    baseline={"defense": "none"},
    attacks={"fgsm_linf": {"name": "fgsm", "eps": (0.1, 0.3)}, "pgd_linf": {**PGD, "eps": (0.1, 0.3)}},
    transfers={"transfer_pgd_linf": Transfer(attack="pgd_linf", source={"defense": "none"})},
    seeds=(0, 1),
    scales={"quick": QUICK, "paper": {**PAPER, "defense.attack.eps": 0.3, "defense.adversarial.eps": 0.3}},
)

TABLE_2 = Study(
    name="afd_t2",
    title="Accuracy over the whole range of eps, and BatchNorm shared by clean and attacked images",
    question="Is the area under accuracy against eps larger, and is it BatchNorm that makes it so?",
    paper="afd",
    table="Table 2 (FGSM and PGD-Linf)",
    base=BASE,
    space=(
        {"defense": ("none",)},
        {
            "defense": ("afd",),
            "defense.adversarial.eps": TRAINED_AT,
            "defense.joint_batchnorm": (False, True),
        },
    ),
    baseline={"defense": "none"},
    attacks={
        "fgsm_linf": {"name": "fgsm", "eps": (0.05, 0.1, 0.2, 0.3, 0.4)},
        "pgd_linf": {**PGD, "eps": (0.05, 0.1, 0.2, 0.3, 0.4)},
    },
    seeds=(0, 1),
    scales={"quick": QUICK, "paper": {**PAPER, "defense.adversarial.eps": 0.3}},
)
