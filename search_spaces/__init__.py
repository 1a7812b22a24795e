"""The studies by name, and what a study file of your own imports: `from search_spaces import Study`."""

from __future__ import annotations

from search_spaces import afd, cross_paper, quickstart, rbf_mapping, wnll
from search_spaces.pcl import attacked, losses, transfer
from search_spaces.rbf_cnn import tables as rbf_cnn
from search_spaces.study import FloatRange, IntRange, Study, Transfer, on_other_data

__all__ = ["STUDIES", "FloatRange", "IntRange", "Study", "Transfer", "on_other_data"]

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        quickstart.QUICKSTART,
        cross_paper.CROSS_PAPER,
        rbf_mapping.RBF_MAPPING_T1,
        rbf_mapping.RBF_MAPPING_FIG3,
        rbf_mapping.RBF_MAPPING_PSI_BETA,
        rbf_mapping.RBF_MAPPING_T5,
        rbf_cnn.RBF_CNN_T1,
        rbf_cnn.RBF_CNN_T1_CIFAR10,
        rbf_cnn.RBF_CNN_T2,
        rbf_cnn.RBF_CNN_T2_CIFAR10,
        rbf_cnn.RBF_CNN_T3,
        rbf_cnn.RBF_CNN_T3_CIFAR10,
        rbf_cnn.RBF_CNN_T4,
        rbf_cnn.RBF_CNN_T4_CIFAR10,
        rbf_cnn.RBF_CNN_T5,
        rbf_cnn.RBF_CNN_T5_CIFAR10,
        rbf_cnn.RBF_CNN_T6,
        rbf_cnn.RBF_CNN_T6_CIFAR10,
        rbf_cnn.RBF_CNN_T7,
        rbf_cnn.RBF_CNN_T7_CIFAR10,
        attacked.PCL_T3,
        attacked.PCL_T3_CIFAR,
        attacked.PCL_T3_SVHN,
        attacked.PCL_T4,
        attacked.PCL_T4_FASHION_MNIST,
        attacked.PCL_T5,
        attacked.PCL_T6,
        attacked.PCL_T7,
        losses.PCL_T9,
        losses.PCL_T11,
        losses.PCL_T12,
        transfer.PCL_T13,
        afd.AFD_T1,
        afd.AFD_T1_CIFAR,
        afd.AFD_T2,
        afd.AFD_T2_CIFAR,
        wnll.WNLL_T2,
        wnll.WNLL_T3,
        wnll.WNLL_T5,
        wnll.WNLL_FIG6A,
        wnll.WNLL_FIG6B,
    )
}
