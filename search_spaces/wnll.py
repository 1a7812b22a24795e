"""wnll: training data x activation x TVM at test (Tables 4 and 5), and IFGSM's eps (Figure 6b).

IFGSM is PGD without a random start, 10 steps. Activation and TVM at test are inference settings: they never retrain.
The paper scale takes Sec. 5's settings for ResNet20 on CIFAR-10 and is unverified until it is run.
"""

from orchestrator.study import Study

QUICK = {
    "dataset": "digits",
    "network": "cnn3",
    "network.width": 16,
    "epochs": 12,
    "examples": 200,
    "optimisation.optimizer": "adam",
    "optimisation.lr": 2e-3,
    "optimisation.schedule": "constant",
}
PAPER = {"dataset": "cifar10", "epochs": 800, "seeds": (0, 1, 2)}
BASE = {
    "network": "resnet20",
    "optimisation.optimizer": "sgd",
    "optimisation.lr": 0.1,
    "optimisation.momentum": 0.9,
    "optimisation.weight_decay": 5e-4,
    "optimisation.batch_size": 128,
    "optimisation.schedule": "multistep",
    "optimisation.milestones": (40, 80, 120, 160, 200, 240, 280, 320, 360),
    "optimisation.gamma": 0.5,
}
CURVE = ("1/255", "2/255", "3/255", "4/255", "5/255", "6/255", "7/255", "8/255")
IFGSM = {"name": "pgd", "steps": 10, "random_start": False}

TABLE_5 = Study(
    name="wnll_t5",
    title="Interpolating activation, training data and TVM at test",
    question="What do the interpolating activation and TVM each buy?",
    paper="wnll",
    table="Tables 4 and 5 (FGSM and IFGSM)",
    base=BASE,
    space=(
        {
            "defense": ("wnll",),
            "defense.training_data": ("original", "tvm", "original+tvm"),
            "inference.activation": ("linear", "wnll"),
            "inference.tvm": (None, {}),
        },
    ),
    baseline={"defense": "wnll", "defense.training_data": "original"},
    attacks={
        "fgsm_linf": {"name": "fgsm", "eps": (0.02, 0.06, 0.1), "view": "straight_through"},
        "ifgsm_linf": {**IFGSM, "eps": (0.02, 0.06, 0.1), "view": "straight_through"},
    },
    seeds=(0, 1),
    scales={"quick": QUICK, "paper": PAPER},
)

FIGURE_6 = Study(
    name="wnll_fig6",
    title="IFGSM over eps, by the surrogate's gradient and by the exact one",
    question="Is the straight-through gradient the strongest attack on the interpolation?",
    paper="wnll",
    table="Figure 6b",
    base=BASE,
    space=({"defense": ("none",)}, {"defense": ("wnll",)}),
    baseline={"defense": "none"},
    attacks={
        "ifgsm_linf": {**IFGSM, "eps": CURVE},
        "ifgsm_straight_through": {
            **IFGSM,
            "eps": CURVE,
            "view": "straight_through",
        },
    },
    seeds=(0, 1),
    scales={"quick": QUICK, "paper": PAPER},
)
