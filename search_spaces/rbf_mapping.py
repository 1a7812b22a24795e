"""rbf_mapping: Table 1 and Figure 3 as far as FGSM, BIM and PGD go, and the Psi / beta ablation on a classifier.

BIM is PGD without a random start. The paper scale takes width, optimiser and attacks from the paper (Sec. 5.1) and is
unverified until it is run; the number of epochs is that of the authors' repository.
"""

from orchestrator.study import Study

PAPER = {"dataset": "mnist", "network.width": 64, "epochs": 12, "seeds": (0, 1, 2, 3, 4)}
QUICK = {"dataset": "digits", "network.width": 16, "epochs": 15}
BASE = {"network": "cnn3", "optimisation.lr": 1e-3, "optimisation.batch_size": 128}
CURVE = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)

TABLE_1 = Study(
    name="rbf_mapping_t1",
    title="Radial basis mapping against the undefended network",
    question="Does the mapping hold where Table 1 says it does?",
    paper="rbf_mapping",
    table="Table 1 (FGSM, BIM and PGD columns)",
    base=BASE,
    space=({"defense": ("none", "rbf_mapping")},),
    baseline={"defense": "none"},
    attacks={
        "fgsm_linf": {"name": "fgsm", "eps": (0.3,)},
        "bim_linf": {"name": "pgd", "eps": (0.3,), "steps": 5, "step_size": 0.05, "random_start": False},
        "pgd_linf": {"name": "pgd", "eps": (0.1,), "steps": 40, "step_size": 0.01},
    },
    seeds=(0, 1),
    scales={"quick": QUICK, "paper": PAPER},
)

FIGURE_3 = Study(
    name="rbf_mapping_fig3",
    title="Accuracy against eps with and without the mapping",
    question="How does accuracy fall with eps?",
    paper="rbf_mapping",
    table="Figure 3",
    base=BASE,
    space=({"defense": ("none", "rbf_mapping")},),
    baseline={"defense": "none"},
    attacks={
        "fgsm_linf": {"name": "fgsm", "eps": CURVE},
        "pgd_linf": {"name": "pgd", "eps": CURVE, "steps": 40},
    },
    seeds=(0, 1),
    scales={"quick": QUICK, "paper": PAPER},
)

PSI_BETA = Study(
    name="rbf_mapping_psi_beta",
    title="Radial basis mapping: every Psi x beta learned or not",
    question="Does it matter how Psi is parameterised, and that Psi and beta are learned?",
    paper="rbf_mapping",
    table="Table 6, on a classifier",
    base=BASE,
    space=(
        {"defense": ("none",)},
        {
            "defense": ("rbf_mapping",),
            "defense.psi": ("identity", "factor", "cholesky"),
            "defense.learn_beta": (False, True),
        },
    ),
    baseline={"defense": "none"},
    attacks={"pgd_linf": {"name": "pgd", "eps": (0.05, 0.1, 0.2), "steps": 40}},
    seeds=(0, 1),
    scales={"quick": QUICK, "paper": PAPER},
)
