"""rbf_mapping: Table 1 and Figure 3, and on classifiers the Psi / beta ablation and the transfer matrix of Table 5.

The paper scale takes width, optimiser and attacks from the paper (Sec. 5.1). The number of epochs comes from the
authors' repository, and attack settings that the paper omits are CleverHans's. C&W has no bound there: our eps, 28, is
the diagonal of the images. The paper scale is unverified until it is run.

The paper's Table 5 transfers DAG between U-Net and V-Net on skin lesions, with and without the mapping. Ours transfers
PGD between two classifiers: cnn3, and cnn4 with as many filters in its first layer. On cnn4 the mapping stands before
the softmax layer only. With a block behind each convolution, cnn4 stays at chance after 15 epochs on the digits.
"""

from __future__ import annotations

from search_spaces.study import Study, Transfer

PAPER = {"dataset": "mnist", "network.width": 64, "epochs": 12, "seeds": (0, 1, 2, 3, 4)}
QUICK = {"dataset": "digits", "network.width": 16, "epochs": 15}
BASE = {"network": "cnn3", "optimisation.lr": 1e-3, "optimisation.batch_size": 128}
CURVE = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
RBF_MAPPING_T1 = Study(
    name="rbf_mapping_t1",
    title="Radial basis mapping against the undefended network",
    question="Does the mapping hold where Table 1 says it does?",
    paper="rbf_mapping",
    table="Table 1",
    base=BASE,
    space=({"defense": ("none", "rbf_mapping")},),
    baseline={"defense": "none"},
    attacks={
        "fgsm_linf": {"name": "fgsm", "eps": (0.3,)},
        "bim_linf": {"name": "bim", "eps": (0.3,), "steps": 5, "step_size": 0.05},
        "mim_linf": {"name": "mim", "eps": (0.3,), "steps": 10, "step_size": 0.06},
        "pgd_linf": {"name": "pgd", "eps": (0.1,), "steps": 40, "step_size": 0.01},
        "cw_l2": {
            "name": "cw",
            "norm": "l2",
            "eps": (28.0,),
            "steps": 50,
            "lr": 5e-3,
            "initial_const": 0.01,
            "search_steps": 5,
        },
        "spsa_linf": {"name": "spsa", "eps": (0.3,)},
        "gaussian_noise": {"name": "gaussian_noise", "eps": (1.0,), "levels": 20},
    },
    seeds=(0, 1),
    scales={
        "quick": {**QUICK, "examples": 200, "attack.spsa_linf.steps": 20, "attack.spsa_linf.pairs": 16},
        "paper": PAPER,
    },
)
RBF_MAPPING_FIG3 = Study(
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
RBF_MAPPING_PSI_BETA = Study(
    name="rbf_mapping_psi_beta",
    title="Radial basis mapping: every Psi x beta, learned or not",
    question="Does it matter how Psi is parameterised, and that Psi and beta are learned?",
    paper="rbf_mapping",
    table="Table 6, on a classifier",
    base=BASE,
    space=(
        {"defense": ("none",)},
        {
            "defense": ("rbf_mapping",),
            "defense.psi": ("identity", "factor", "cholesky", "per_channel_code"),
            "defense.learn_beta": (False, True),
        },
    ),
    baseline={"defense": "none"},
    attacks={"pgd_linf": {"name": "pgd", "eps": (0.05, 0.1, 0.2), "steps": 40}},
    seeds=(0, 1),
    scales={"quick": QUICK, "paper": PAPER},
)
RBF_MAPPING_T5 = Study(
    name="rbf_mapping_t5",
    title="Transfer between two networks without and with the mapping",
    question="Does the mapping hold against examples of other networks, and do its own examples transfer?",
    paper="rbf_mapping",
    table="Table 5, on a classifier",
    base=BASE,
    space=(
        {"network": ("cnn3",), "defense": ("none", "rbf_mapping")},
        {"network": ("cnn4",), "defense": ("none",)},
        {"network": ("cnn4",), "defense": ("rbf_mapping",), "defense.placement": (("head",),)},
    ),
    baseline={"defense": "none"},
    attacks={"pgd_linf": {"name": "pgd", "eps": (0.1, 0.2, 0.3), "steps": 40}},
    transfers={
        "from_cnn3": Transfer(attack="pgd_linf", source={"network": "cnn3", "defense": "none"}),
        "from_cnn3_mapped": Transfer(attack="pgd_linf", source={"network": "cnn3", "defense": "rbf_mapping"}),
        "from_cnn4": Transfer(attack="pgd_linf", source={"network": "cnn4", "defense": "none"}),
        "from_cnn4_mapped": Transfer(attack="pgd_linf", source={"network": "cnn4", "defense": "rbf_mapping"}),
    },
    seeds=(0, 1),
    scales={"quick": {**QUICK, "examples": 200}, "paper": PAPER},
)
