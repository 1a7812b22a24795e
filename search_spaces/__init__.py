"""Every named study, by name."""

from orchestrator.study import Study
from search_spaces import afd, cross_paper, pcl, quickstart, rbf_mapping, wnll

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        quickstart.QUICKSTART,
        cross_paper.CROSS_PAPER,
        rbf_mapping.TABLE_1,
        rbf_mapping.FIGURE_3,
        rbf_mapping.PSI_BETA,
        pcl.TABLE_4,
        pcl.TABLE_9,
        pcl.TABLE_11,
        afd.TABLE_1,
        afd.TABLE_2,
        wnll.TABLE_5,
        wnll.FIGURE_6,
    )
}
