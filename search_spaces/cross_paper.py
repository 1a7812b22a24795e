"""All five defenses, natural training, Madry and TRADES under one suite: the table that none of the papers has.

Each defense also meets the adaptive attack that suits it: BPDA through rbf_cnn's reconstruction, the joint loss on pcl,
the straight-through and the implicit gradient on wnll. A row's worst case counts every attack that the row met. The
verdict on gradient masking has all it needs: PGD with more steps, PGD at an eps that can turn any image grey, SPSA,
AutoAttack, a transfer attack and the loss gradients.

The quick scale shortens AutoAttack and SPSA (fewer steps, targets and queries); the report says so below the table.

A search of this study tunes the defenses; `--set defense=pcl` limits it to one. The ranges are our own, chosen for the
digits.
"""

from __future__ import annotations

from search_spaces.study import FloatRange, IntRange, Study, Transfer

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
    search={
        "defense": ("none", "madry", "trades", "rbf_mapping", "rbf_cnn", "pcl", "afd", "wnll"),
        "optimisation.lr": FloatRange(low=5e-4, high=1e-2, log=True),
        # madry and trades
        "defense.attack.eps": FloatRange(low=0.02, high=0.2),
        "defense.beta": FloatRange(low=0.5, high=12.0, log=True),
        # rbf_mapping
        "defense.psi": ("factor", "cholesky", "identity"),
        "defense.learn_beta": (True, False),
        "defense.centers": IntRange(low=4, high=64, log=True),
        # rbf_cnn
        "defense.train_beta1": FloatRange(low=20.0, high=200.0, log=True),
        "defense.smoothing": FloatRange(low=0.0, high=0.3),
        "inference.beta2": FloatRange(low=0.0, high=3.0),
        # pcl
        "defense.tau": FloatRange(low=1e-3, high=0.3, log=True),
        "defense.pull_weight": FloatRange(low=0.1, high=3.0, log=True),
        "defense.push_weight": FloatRange(low=1e-5, high=1e-2, log=True),
        # afd
        "defense.adversarial.eps": FloatRange(low=0.02, high=0.2),
        "defense.relative_encoder_lr": FloatRange(low=0.05, high=2.0, log=True),
        "defense.gan_loss": ("softplus", "wgan", "hinge"),
        # wnll
        "defense.neighbors": IntRange(low=8, high=40),
        "defense.wnll_epochs": IntRange(low=1, high=5),
        "defense.training_data": ("original", "tvm"),
    },
    baseline={"defense": "none"},
    attacks={
        "fgsm_linf": {"name": "fgsm", "eps": EPS},
        "pgd_linf": {"name": "pgd", "eps": (*EPS, 0.5), "steps": 40},
        "pgd_long": {"name": "pgd", "eps": EPS, "steps": 200},
        "pgd_static": {"name": "pgd", "eps": EPS, "steps": 40, "view": "static"},
        "pgd_bpda": {"name": "pgd", "eps": EPS, "steps": 40, "view": "bpda"},
        "pgd_joint": {"name": "pgd", "eps": EPS, "steps": 40, "view": "joint_loss", "loss": "joint"},
        "pgd_straight_through": {"name": "pgd", "eps": EPS, "steps": 40, "view": "straight_through"},
        "spsa_linf": {"name": "spsa", "eps": EPS},
        "autoattack": {"name": "autoattack", "eps": EPS},
    },
    measures={"gradients": {"name": "gradients"}},
    transfers={"transfer_pgd_linf": Transfer(attack="pgd_linf", source={"defense": "none"})},
    seeds=(0, 1),
    scales={
        "quick": {
            "dataset": "digits",
            "network.width": 16,
            "epochs": 12,
            "examples": 200,
            "optimisation.batch_size": 64,
            "defense.later_lr": 0.5,
            "defense.wnll_epochs": 1,
            "defense.attack.eps": 0.05,
            "defense.attack.steps": 5,
            "defense.attack.relative_step": 0.4,
            "defense.adversarial.eps": 0.05,
            "defense.adversarial.steps": 5,
            "defense.adversarial.relative_step": 0.4,
            "attack.pgd_linf.steps": 20,
            "attack.pgd_long.steps": 60,
            "attack.spsa_linf.steps": 15,
            "attack.spsa_linf.pairs": 8,
            "attack.spsa_linf.lr": 0.05,
            "attack.autoattack.steps": 20,
            "attack.autoattack.targets": 2,
            "attack.autoattack.queries": 100,
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
