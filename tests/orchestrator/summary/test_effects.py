import pytest
from scipy import stats

from orchestrator.report.sections.effect import effect_sections
from orchestrator.summary.effects import factor_effects, interval
from search_spaces.study import Study

STUDY = Study(
    name="factors",
    title="Two factors",
    base={"defense": "none", "dataset": "digits"},
    space=({"network.width": (4, 8), "epochs": (1, 2)},),
    attacks={"fgsm": {"name": "fgsm", "eps": (0.1,)}},
    seeds=(0, 1, 2),
)
WIDTH, EPOCHS, BOTH = "network.width: 8 against 4", "epochs: 2 against 1", "network.width x epochs"
# Correct of four under FGSM, by width, epochs and seed.
CORRECT = {
    (4, 1): (0, 1, 0),
    (8, 1): (1, 1, 1),
    (4, 2): (1, 1, 2),
    (8, 2): (4, 3, 4),
}


def filled(summary_of, study=STUDY, *, without=()):
    outcomes = {}
    for (width, epochs), counts in CORRECT.items():
        for seed, n in enumerate(counts):
            cell = f"none width={width} epochs={epochs}", "fgsm", seed
            outcomes[cell] = None if cell in without else {0.1: "1" * n + "0" * (4 - n)}
    return summary_of(outcomes, study=study)


def effect_of(summary, name):
    return next(effect for effect in factor_effects(summary) if effect.name == name)


def by_seed(name):
    """The effect in each seed, by hand."""
    y = {key: [n / 4 for n in counts] for key, counts in CORRECT.items()}
    for s in range(3):
        if name == WIDTH:
            yield ((y[8, 1][s] - y[4, 1][s]) + (y[8, 2][s] - y[4, 2][s])) / 2
        elif name == EPOCHS:
            yield ((y[4, 2][s] - y[4, 1][s]) + (y[8, 2][s] - y[8, 1][s])) / 2
        else:
            yield (y[8, 2][s] - y[4, 2][s]) - (y[8, 1][s] - y[4, 1][s])


@pytest.mark.parametrize("name", [WIDTH, EPOCHS, BOTH])
def test_an_effect_is_the_mean_over_the_other_factor_with_a_t_interval_over_seeds(name, summary_of):
    summary = filled(summary_of)
    (column,) = summary.named("fgsm")
    found = interval(summary, effect_of(summary, name), column)
    expected = list(by_seed(name))
    test = stats.ttest_1samp(expected, 0.0)
    assert found.mean == pytest.approx(sum(expected) / 3)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_a_seed_that_lacks_a_row_is_left_out(summary_of):
    summary = filled(summary_of, without=[("none width=8 epochs=2", "fgsm", 1)])
    (column,) = summary.named("fgsm")
    found = interval(summary, effect_of(summary, WIDTH), column)
    expected = list(by_seed(WIDTH))
    assert found.n == 2
    assert found.mean == pytest.approx((expected[0] + expected[2]) / 2)


def test_one_seed_has_no_interval(summary_of):
    summary = summary_of(study=STUDY, seeds=(0,))
    found = interval(summary, effect_of(summary, WIDTH), summary.columns[0])
    assert (found.mean, found.low, found.high) == (0.0, None, None)


@pytest.mark.parametrize(
    ("design", "names", "contrast"),
    [
        ("one_at_a_time", [WIDTH, EPOCHS], ((1, "none width=8 epochs=1"), (-1, "none width=4 epochs=1"))),
        (
            "leave_one_out",
            ["network.width: 4 against 8", "epochs: 1 against 2"],
            ((1, "none width=4 epochs=2"), (-1, "none width=8 epochs=2")),
        ),
    ],
)
def test_designs_around_a_centre_tell_effects_but_no_interaction(design, names, contrast, summary_of):
    summary = summary_of(study=STUDY.model_copy(update={"design": design}))
    found = factor_effects(summary)
    assert [effect.name for effect in found] == names
    assert found[0].contrasts == (contrast,)


def test_the_section_has_a_row_an_effect(summary_of):
    (section,) = effect_sections(filled(summary_of))
    assert [label for label, _ in section.table.rows] == [WIDTH, EPOCHS, BOTH]
    clean, worst = section.table.rows[0][1]
    assert clean.text == "+0.0 [+0.0, +0.0]"
    assert worst.text.startswith("+37.5 [")


def test_a_study_of_one_factor_has_no_section(summary_of):
    assert effect_sections(summary_of()) == ()
