import pytest

from orchestrator.planning.plan import expand
from orchestrator.searching.history import TOP, History, SearchTrial, best_study, load_history, save_history
from orchestrator.searching.space import search_space
from search_spaces.study import FloatRange, IntRange, Study
from trainables.errors import InputError

STUDY = Study(
    name="s",
    title="S",
    base={"network.width": 4, "defense.attack.steps": 3},
    space=({"defense": ("madry",)},),
    search={
        "defense": ("rbf_mapping", "madry"),
        "optimisation.lr": FloatRange(low=1e-3, high=1e-2),
        "defense.centers": IntRange(low=2, high=9),
        "defense.placement": (("head",), ("conv", "head")),
    },
    baseline={"defense": "none"},
    attacks={"pgd": {"name": "pgd", "eps": (0.1,), "steps": 7}},
    transfers={"t": {"attack": "pgd", "source": {"defense": "none"}}},
    seeds=(0, 1),
)
RBF = {"defense.name": "rbf_mapping", "optimisation.lr": 0.002, "defense.centers": 3, "defense.placement": ("head",)}
MADRY = {"defense.name": "madry", "optimisation.lr": 0.004}


def trial(number, *values, **facts):
    state = "complete" if values else facts.pop("state", "failed")
    return SearchTrial(number=number, state=state, values=values, **{"settings": MADRY, "work": str(number)} | facts)


def history_of(*trials, objectives=("clean_accuracy", "robust_accuracy:pgd")):
    settled = search_space(STUDY, scale="quick", overrides={}, seeds=[5]).study
    return History(
        name="mine",
        study=settled,
        command="robust-sweep search s",
        objectives=objectives,
        ranges={},
        seeds=(5,),
        sampler="tpe",
        pruner="none",
        storage="sqlite:///x.db",
        trials=trials,
    )


@pytest.mark.parametrize(
    ("trials", "best"),
    [
        pytest.param([trial(0, 0.9, 0.1), trial(1, 0.5, 0.5), trial(2, 0.4, 0.4)], [0, 1], id="dominated"),
        pytest.param([trial(0, 0.5, 0.5), trial(1, 0.5, 0.6), trial(2, 0.6, 0.5)], [2, 1], id="better in one alone"),
        pytest.param([trial(0, 0.5, 0.5), trial(1, 0.5, 0.5)], [0, 1], id="equal"),
        pytest.param([trial(0, 0.5, 0.5), trial(1, 0.5, 0.5, same_as=0)], [0], id="the same twice"),
        pytest.param([trial(0), trial(1, state="pruned"), trial(2, 0.0, 0.0)], [2], id="failed and pruned"),
        pytest.param([trial(0)], [], id="none"),
    ],
)
def test_the_best_are_those_that_none_beats_in_every_objective(trials, best):
    assert [t.number for t in history_of(*trials).best] == best


def test_of_one_objective_the_best_are_the_highest():
    trials = [trial(number, value / 10) for number, value in enumerate((3, 9, 1, 7, 8))]
    best = history_of(*trials, objectives=("clean_accuracy",)).best
    assert [t.number for t in best] == [1, 4, 3]
    assert len(best) == TOP


def test_a_history_is_what_was_stored(store):
    history = history_of(trial(0, 0.5, 0.5, settings=RBF, models={5: "abc"}), trial(1, error="no"))
    save_history(store, history)
    loaded = load_history(store, "mine")
    assert loaded.trials[0].models == {5: "abc"}
    assert expand(best_study(loaded)).trainings == expand(best_study(history)).trainings
    assert expand(best_study(loaded)).evaluations == expand(best_study(history)).evaluations


def test_a_history_that_is_not_there_is_told(store):
    with pytest.raises(InputError, match=r"search 'none' is not in .*: run `robust-sweep search STUDY` first"):
        load_history(store, "none")


def test_the_best_are_a_study_of_the_baseline_and_their_rows_on_test_examples_under_every_attack():
    plan = expand(best_study(history_of(trial(0, 0.9, 0.1, settings=RBF), trial(1, 0.1, 0.9))))
    assert [v.label for v in plan.variants] == [
        "none",
        'rbf_mapping lr=0.002 centers=3 placement=["head"]',
        "madry lr=0.004",
    ]
    assert plan.slug == "best-mine"
    assert plan.seeds == (0, 1)
    assert {e.split for e in plan.evaluations.values()} == {"test"}
    assert set(plan.columns) == {"clean", "pgd", "t"}
    assert set(plan.baselines.values()) == {"none"}
    assert {s.defense.attack.steps for s in plan.trainings.values() if s.defense.name == "madry"} == {3}
    assert plan.attacks["pgd"].steps == 7


def test_a_search_without_a_complete_trial_has_no_best():
    with pytest.raises(InputError, match="search 'mine' has no complete trial yet"):
        best_study(history_of(trial(0)))
