"""The quickstart: does learning Psi and beta in the radial basis mapping buy robustness?"""

from __future__ import annotations

from search_spaces.study import Study, Transfer

EPS = (0.05, 0.1, 0.2, 0.3)
QUICKSTART = Study(
    name="quickstart",
    title="Radial basis mapping: Psi learned x beta learned",
    question="Does learning Psi and beta in the radial basis mapping buy robustness?",
    paper="rbf_mapping",
    table="Table 6, on a classifier",
    base={"network": "cnn3", "optimisation.lr": 1e-3, "optimisation.batch_size": 128},
    space=(
        {"defense": ("none",)},
        {
            "defense": ("rbf_mapping",),
            "defense.psi": ("identity", "factor"),
            "defense.learn_beta": (False, True),
        },
    ),
    baseline={"defense": "none"},
    attacks={
        "fgsm_linf": {"name": "fgsm", "norm": "linf", "eps": EPS},
        "pgd_linf": {"name": "pgd", "norm": "linf", "eps": (*EPS, 0.5), "steps": 40},
    },
    measures={"gradients": {"name": "gradients"}},
    transfers={"transfer_pgd_linf": Transfer(attack="pgd_linf", source={"defense": "none"})},
    seeds=(0, 1),
    scales={
        "quick": {"dataset": "digits", "network.width": 16, "epochs": 15},
        "paper": {"dataset": "mnist", "network.width": 64, "epochs": 12, "seeds": (0, 1, 2, 3, 4)},
    },
)
