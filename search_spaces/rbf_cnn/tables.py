"""One study for each of rbf_cnn's tables."""

from __future__ import annotations

from search_spaces.rbf_cnn.settings import (
    BASE,
    BPDA,
    CERTIFIED,
    CIFAR10,
    CIFAR10_MADRY,
    CW_L2,
    FROM_UNDEFENDED,
    MADRY,
    MNIST,
    MNIST_MADRY,
    PGD,
    PGD_L1,
    PGD_L2,
    QUICK,
    QUICK_CERTIFIED,
    QUICK_L1_L2,
    QUICK_LINF,
    QUICK_MADRY,
    RCNN,
    RCNN_PLUS,
    STATIC,
    UNDEFENDED,
    WHITE_BOX,
)
from search_spaces.study import Study, Transfer, on_other_data

RBF_CNN_T1 = Study(
    name="rbf_cnn_t1",
    title="Reconstruction by a filter bank under Linf attacks",
    question="Does the reconstruction hold under static, adaptive and transfer attacks?",
    paper="rbf_cnn",
    table="Table I (MNIST)",
    base=BASE,
    space=(UNDEFENDED, RCNN, RCNN_PLUS),
    baseline={"defense": "none"},
    attacks=WHITE_BOX,
    transfers=FROM_UNDEFENDED,
    seeds=(0, 1),
    scales={"quick": {**QUICK, **QUICK_LINF}, "paper": MNIST},
)
RBF_CNN_T1_CIFAR10 = on_other_data(
    RBF_CNN_T1,
    name="rbf_cnn_t1_cifar10",
    table="Table I (CIFAR-10)",
    paper={**CIFAR10, "epochs": 600, "attack.*_linf.eps": 0.031},
)
RBF_CNN_T2 = Study(
    name="rbf_cnn_t2",
    title="Training times of the reconstruction and of Madry's training",
    question="How many times faster does the reconstruction train than Madry's adversarial training?",
    paper="rbf_cnn",
    table="Table II (MNIST)",
    base=BASE,
    space=({**MADRY, "epochs": (85,)}, {**RCNN, "epochs": (100,)}, {**RCNN_PLUS, "epochs": (100,)}),
    baseline={"defense": "madry"},
    costs=True,
    seeds=(0, 1),
    scales={"quick": {**QUICK, **QUICK_MADRY}, "paper": {**MNIST, **MNIST_MADRY}},
)
RBF_CNN_T2_CIFAR10 = on_other_data(
    RBF_CNN_T2,
    name="rbf_cnn_t2_cifar10",
    table="Table II (CIFAR-10)",
    space=({**MADRY, "epochs": (205,)}, {**RCNN, "epochs": (600,)}, {**RCNN_PLUS, "epochs": (600,)}),
    paper={**CIFAR10, **CIFAR10_MADRY},
)
RBF_CNN_T3 = Study(
    name="rbf_cnn_t3",
    title="The strongest attack on the reconstruction, on Madry's training and on no defense",
    question="Which defense holds under its strongest attack?",
    paper="rbf_cnn",
    table="Table III (MNIST)",
    base=BASE,
    space=(UNDEFENDED, MADRY, RCNN, RCNN_PLUS),
    baseline={"defense": "none"},
    attacks=WHITE_BOX,
    seeds=(0, 1),
    scales={"quick": {**QUICK, **QUICK_MADRY, **QUICK_LINF}, "paper": {**MNIST, **MNIST_MADRY}},
)
RBF_CNN_T3_CIFAR10 = on_other_data(
    RBF_CNN_T3,
    name="rbf_cnn_t3_cifar10",
    table="Table III (CIFAR-10)",
    paper={**CIFAR10, **CIFAR10_MADRY, "epochs": 600, "attack.*_linf.eps": 0.031},
)
RBF_CNN_T4 = Study(
    name="rbf_cnn_t4",
    title="At an eps larger than the one trained for",
    question="Does the reconstruction hold at a larger eps than it was trained for, where Madry's training breaks?",
    paper="rbf_cnn",
    table="Table IV (MNIST)",
    base=BASE,
    space=(MADRY, RCNN, RCNN_PLUS),
    baseline={"defense": "madry"},
    attacks=WHITE_BOX,
    seeds=(0, 1),
    scales={
        "quick": {**QUICK, **QUICK_MADRY, **QUICK_LINF, "attack.*_linf.eps": (0.1, 0.12)},
        "paper": {**MNIST, **MNIST_MADRY, "attack.*_linf.eps": (0.3, 0.35)},
    },
)
RBF_CNN_T4_CIFAR10 = on_other_data(
    RBF_CNN_T4,
    name="rbf_cnn_t4_cifar10",
    table="Table IV (CIFAR-10)",
    paper={**CIFAR10, **CIFAR10_MADRY, "epochs": 600, "attack.*_linf.eps": (0.031, 0.05)},
)
RBF_CNN_T5 = Study(
    name="rbf_cnn_t5",
    title="Attacks in other norms than the one trained for",
    question="Does the reconstruction hold in norms that neither it nor Madry's training was trained for?",
    paper="rbf_cnn",
    table="Table V (MNIST)",
    base=BASE,
    space=(UNDEFENDED, MADRY, RCNN, RCNN_PLUS),
    baseline={"defense": "madry"},
    attacks={
        "pgd_l1": PGD_L1,
        "static_pgd_l1": {**PGD_L1, **STATIC},
        "bpda_l1": {**PGD_L1, **BPDA},
        "pgd_l2": PGD_L2,
        "cw_l2": CW_L2,
        "static_pgd_l2": {**PGD_L2, **STATIC},
        "static_cw_l2": {**CW_L2, **STATIC},
        "bpda_l2": {**PGD_L2, **BPDA},
    },
    transfers={
        "transfer_pgd_l1": Transfer(attack="pgd_l1", source={"defense": "none"}),
        "transfer_pgd_l2": Transfer(attack="pgd_l2", source={"defense": "none"}),
        "transfer_cw_l2": Transfer(attack="cw_l2", source={"defense": "none"}),
    },
    seeds=(0, 1),
    scales={
        "quick": {**QUICK, **QUICK_MADRY, **QUICK_L1_L2},
        "paper": {**MNIST, **MNIST_MADRY},
    },
)
RBF_CNN_T5_CIFAR10 = on_other_data(
    RBF_CNN_T5,
    name="rbf_cnn_t5_cifar10",
    table="Table V (CIFAR-10)",
    paper={**CIFAR10, **CIFAR10_MADRY, "epochs": 600, "attack.*_l1.eps": 20.0, "attack.*_l2.eps": 1.0},
)
# The filters' noise is off: one draw for a whole batch would make its samples dependent. The paper smooths rCNN with .2
# and rCNN+ with .3 on MNIST, both with .1 on CIFAR-10. It gives no number of certified images; we take Cohen's 500.
WITHOUT_NOISE = ({**RCNN, "inference.beta2": (0.0,)}, {**RCNN_PLUS, "inference.beta2": (0.0,)})
RBF_CNN_T6 = Study(
    name="rbf_cnn_t6",
    title="Certified accuracy of the smoothed reconstruction",
    question="Can smoothing certify more images with the reconstruction than without it?",
    paper="rbf_cnn",
    table="Table VI (MNIST)",
    base=BASE,
    space=(UNDEFENDED, *WITHOUT_NOISE),
    baseline={"defense": "none"},
    measures={
        "certified_02": {**CERTIFIED, "sigma": 0.2, "eps": (0.5, 0.7, 1.0)},
        "certified_03": {**CERTIFIED, "sigma": 0.3, "eps": (0.5, 0.7, 1.0)},
    },
    seeds=(0, 1),
    scales={"quick": {**QUICK, **QUICK_CERTIFIED}, "paper": {**MNIST, "examples": 500}},
)
RBF_CNN_T6_CIFAR10 = on_other_data(
    RBF_CNN_T6,
    name="rbf_cnn_t6_cifar10",
    table="Table VI (CIFAR-10)",
    measures={"certified_01": {**CERTIFIED, "sigma": 0.1, "eps": (0.25, 0.3, 0.35)}},
    paper={**CIFAR10, "epochs": 600, "examples": 500},
)
RBF_CNN_T7 = Study(
    name="rbf_cnn_t7",
    title="The noise of the filters at test time",
    question="Does noise in the filters buy robustness, or does it only blind attacks that do not see it?",
    paper="rbf_cnn",
    table="Table VII (MNIST)",
    base=BASE,
    space=(UNDEFENDED, {**RCNN_PLUS, "inference.beta2": (0.0, 1.0, 1.75)}),
    baseline={"defense": "none"},
    attacks={
        "pgd_linf": PGD,
        "static_pgd_linf": {**PGD, **STATIC},
        "static_cw_linf": {**PGD, **STATIC, "loss": "margin"},
        "bpda_linf": {**PGD, **BPDA},
        "pgd_l1": PGD_L1,
        "static_pgd_l1": {**PGD_L1, **STATIC},
        "bpda_l1": {**PGD_L1, **BPDA},
        "pgd_l2": PGD_L2,
        "static_pgd_l2": {**PGD_L2, **STATIC},
        "static_cw_l2": {**CW_L2, **STATIC},
        "bpda_l2": {**PGD_L2, **BPDA},
    },
    transfers={"transfer_pgd_linf": Transfer(attack="pgd_linf", source={"defense": "none"})},
    seeds=(0, 1),
    scales={"quick": {**QUICK, **QUICK_L1_L2, "attack.*_linf.eps": 0.1}, "paper": MNIST},
)
RBF_CNN_T7_CIFAR10 = on_other_data(
    RBF_CNN_T7,
    name="rbf_cnn_t7_cifar10",
    table="Table VII (CIFAR-10)",
    paper={
        **CIFAR10,
        "epochs": 600,
        "inference.beta2": (0.0, 1.5, 1.75),
        "attack.*_linf.eps": 0.031,
        "attack.*_l1.eps": 20.0,
        "attack.*_l2.eps": 1.0,
    },
)
