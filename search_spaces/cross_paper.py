"""All five defenses, natural training, Madry and TRADES under one suite: the table that none of the papers has.

Each is also attacked as its sheet asks: BPDA on rbf_cnn's reconstruction, the joint loss on pcl, the straight-through
and the implicit gradient on wnll. The worst case is over all that a row met.
"""

from orchestrator.study import Study, Transfer

EPS = (0.05, 0.1, 0.2, 0.3)

CROSS_PAPER = Study(
    name="cross_paper",
    title="Five defenses, natural training, Madry and TRADES under one suite",
    question="Which of the five defenses holds under one suite, against its best adaptive attack?",
    paper="all five",
    table="none of the papers has it",
    base={"network": "cnn3", "optimisation.lr": 2e-3},
    space=(
        {"defense": ("none",)},
        {"defense": ("madry", "trades")},
        {"defense": ("rbf_mapping",)},
        {"defense": ("rbf_cnn",)},
        {"defense": ("pcl",)},
        {"defense": ("afd",)},
        {"defense": ("wnll",)},
    ),
    baseline={"defense": "none"},
    attacks={
        "fgsm_linf": {"name": "fgsm", "eps": EPS},
        "pgd_linf": {"name": "pgd", "eps": EPS, "steps": 40},
        "pgd_static": {"name": "pgd", "eps": EPS, "steps": 40, "view": "static"},
        "pgd_bpda": {"name": "pgd", "eps": EPS, "steps": 40, "view": "bpda"},
        "pgd_joint": {"name": "pgd", "eps": EPS, "steps": 40, "view": "joint_loss", "loss": "joint"},
        "pgd_straight_through": {"name": "pgd", "eps": EPS, "steps": 40, "view": "straight_through"},
    },
    transfers={"transfer_pgd_linf": Transfer(attack="pgd_linf", source={"defense": "none"})},
    seeds=(0, 1),
    scales={
        "quick": {
            "dataset": "digits",
            "network.width": 16,
            "epochs": 12,
            "examples": 200,
            "defense.attack.eps": 0.05,
            "defense.attack.steps": 5,
            "defense.attack.relative_step": 0.4,
            "defense.adversarial.eps": 0.05,
            "defense.adversarial.steps": 5,
            "defense.adversarial.relative_step": 0.4,
            "attack.pgd_linf.steps": 20,
            "attack.pgd_static.steps": 20,
            "attack.pgd_bpda.steps": 20,
            "attack.pgd_joint.steps": 20,
            "attack.pgd_straight_through.steps": 20,
        },
        "paper": {
            "dataset": "mnist",
            "network.width": 64,
            "epochs": 50,
            "examples": 1000,
            "defense.attack.eps": 0.3,
            "defense.attack.steps": 40,
            "defense.adversarial.eps": 0.3,
            "defense.adversarial.steps": 40,
            "seeds": (0, 1, 2),
        },
    },
)
