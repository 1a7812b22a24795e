"""Every named study, by name."""

from orchestrator.study import Study
from search_spaces.quickstart import QUICKSTART

STUDIES: dict[str, Study] = {study.name: study for study in (QUICKSTART,)}
