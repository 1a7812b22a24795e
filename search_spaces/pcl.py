"""pcl: the adaptive attack (Table 4), other supervisions (Table 9) and layer subsets (Table 11).

The quick scale trains cnn6 on the digits; the paper scale takes Sec. 4's settings for MNIST (batch 256, lr .1 times .1
at 200 and 250 of 350 epochs) and is unverified until it is run.
"""

from orchestrator.study import Study

QUICK = {
    "dataset": "digits",
    "network.width": 8,
    "epochs": 12,
    "optimisation.optimizer": "adam",
    "optimisation.lr": 2e-3,
    "optimisation.schedule": "constant",
}
PAPER = {"dataset": "mnist", "epochs": 350, "seeds": (0, 1, 2)}
BASE = {
    "network": "cnn6",
    "optimisation.optimizer": "sgd",
    "optimisation.lr": 0.1,
    "optimisation.batch_size": 256,
    "optimisation.schedule": "multistep",
    "optimisation.milestones": (200, 250),
}
EPS = (0.05, 0.1, 0.3)
PGD = {"name": "pgd", "eps": EPS, "steps": 10, "relative_step": 0.25}
FGSM = {"name": "fgsm", "eps": EPS}

TABLE_4 = Study(
    name="pcl_t4",
    title="Prototype conformity under the attack on its joint loss",
    question="Does attacking cross-entropy and the prototype loss together break it further?",
    paper="pcl",
    table="Table 4",
    base=BASE,
    space=(
        {"defense": ("none",)},
        {"defense": ("pcl",), "defense.adversarial": (None, {"attack": "fgsm", "eps": (0.1, 0.5)})},
    ),
    baseline={"defense": "none"},
    attacks={
        "fgsm_linf": FGSM,
        "pgd_linf": PGD,
        "fgsm_joint": {**FGSM, "view": "joint_loss", "loss": "joint"},
        "pgd_joint": {**PGD, "view": "joint_loss", "loss": "joint"},
    },
    seeds=(0, 1),
    scales={"quick": QUICK, "paper": PAPER},
)

TABLE_9 = Study(
    name="pcl_t9",
    title="Losses of the deep supervision",
    question="Is it the prototype loss, or any distance loss in the same place?",
    paper="pcl",
    table="Table 9",
    base=BASE,
    space=(
        {"defense": ("none",)},
        {"defense": ("pcl",), "defense.supervision": ("softmax", "center", "contrastive", "triplet", "pcl")},
    ),
    baseline={"defense": "none"},
    attacks={"fgsm_linf": FGSM, "pgd_linf": PGD},
    seeds=(0, 1),
    scales={"quick": QUICK, "paper": PAPER},
)

TABLE_11 = Study(
    name="pcl_t11",
    title="Where the prototype loss is applied",
    question="Does supervising more layers buy robustness?",
    paper="pcl",
    table="Table 11",
    base=BASE,
    space=(
        {
            "defense": ("pcl",),
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
        },
    ),
    baseline={"defense": "pcl", "defense.layers": ()},
    attacks={"fgsm_linf": FGSM, "pgd_linf": PGD},
    seeds=(0, 1),
    scales={"quick": QUICK, "paper": PAPER},
)
