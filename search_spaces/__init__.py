"""Every named study, by name."""

from __future__ import annotations

from search_spaces import afd, cross_paper, quickstart, rbf_mapping, wnll
from search_spaces.pcl import attacked, losses, transfer
from search_spaces.rbf_cnn import tables as rbf_cnn
from search_spaces.study import Study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        quickstart.QUICKSTART,
        cross_paper.CROSS_PAPER,
        rbf_mapping.TABLE_1,
        rbf_mapping.FIGURE_3,
        rbf_mapping.PSI_BETA,
        rbf_mapping.TABLE_5,
        rbf_cnn.TABLE_1,
        rbf_cnn.TABLE_1_CIFAR10,
        rbf_cnn.TABLE_2,
        rbf_cnn.TABLE_2_CIFAR10,
        rbf_cnn.TABLE_3,
        rbf_cnn.TABLE_3_CIFAR10,
        rbf_cnn.TABLE_4,
        rbf_cnn.TABLE_4_CIFAR10,
        rbf_cnn.TABLE_5,
        rbf_cnn.TABLE_5_CIFAR10,
        rbf_cnn.TABLE_6,
        rbf_cnn.TABLE_6_CIFAR10,
        rbf_cnn.TABLE_7,
        rbf_cnn.TABLE_7_CIFAR10,
        attacked.TABLE_3,
        attacked.TABLE_3_CIFAR,
        attacked.TABLE_3_SVHN,
        attacked.TABLE_4,
        attacked.TABLE_4_FASHION_MNIST,
        attacked.TABLE_5,
        attacked.TABLE_6,
        attacked.TABLE_7,
        losses.TABLE_9,
        losses.TABLE_11,
        losses.TABLE_12,
        transfer.TABLE_13,
        afd.TABLE_1,
        afd.TABLE_1_CIFAR,
        afd.TABLE_2,
        afd.TABLE_2_CIFAR,
        wnll.TABLE_2,
        wnll.TABLE_3,
        wnll.TABLE_5,
        wnll.FIGURE_6A,
        wnll.FIGURE_6B,
    )
}
