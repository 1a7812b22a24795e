"""Every named study expands at both scales, and says what it answers."""

import pytest

from orchestrator.plan import expand
from orchestrator.study import SCALES
from search_spaces import STUDIES

every_study = pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)


@every_study
@pytest.mark.parametrize("scale", SCALES)
def test_it_expands_to_rows_that_differ_and_cells_for_every_column(study, scale):
    plan = expand(study, scale=scale)
    assert len({variant.label for variant in plan.variants}) == len(plan.variants) >= 2
    assert {column for _, column, _ in plan.layout} == set(plan.columns)
    assert set(plan.baselines) == {variant.label for variant in plan.variants}


@every_study
def test_it_names_its_question_its_paper_and_its_table(study):
    assert study.question.endswith("?")
    assert study.paper
    assert study.table


@every_study
def test_its_quick_scale_is_on_bundled_data(study):
    assert {spec.dataset.name for spec in expand(study).trainings.values()} == {"digits"}


def test_settings_at_test_time_never_retrain():
    """wnll's Table 5 has 12 rows and 3 kinds of model."""
    plan = expand(STUDIES["wnll_t5"], seeds=[0])
    assert len(plan.variants) == 12
    assert len(plan.trainings) == 3
