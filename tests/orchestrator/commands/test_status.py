import io

import pytest
from rich.console import Console

from orchestrator.commands.status import causes, status_view
from orchestrator.planning.plan import command, expand
from orchestrator.sweeping.remainder import only_failed, remainder
from search_spaces.study import Study
from trainables.runtime.failures import DivergedError, Failure, failure_of

STUDY = Study(
    name="s",
    title="S",
    base={"defense": "none"},
    space=({"network.width": (2, 4, 8, 16)},),
    attacks={"fgsm": {"name": "fgsm", "eps": (0.1,)}},
)


@pytest.fixture(scope="module")
def plan():
    return expand(STUDY)


def failure(kind, error, log=""):
    return Failure(kind, error, traceback="Traceback", log=log, unit="u")


def shown(plan, store):
    out = io.StringIO()
    Console(file=out, width=150).print(status_view(plan, store))
    return out.getvalue()


def test_failures_that_differ_in_numbers_have_one_cause():
    found = causes(
        {
            "a": failure("diverged", "DivergedError: got nan in epoch 3"),
            "b": failure("diverged", "DivergedError: got inf in epoch 12"),
            "c": failure("bug", "KeyError: 'x'"),
            "d": failure("no model", "the model 0123456789abcdef0123 that it needs was not trained"),
            "e": failure("no model", "the model ffff456789abcdef0123 that it needs was not trained"),
            "f": failure("no model", "the model 0123456789abcdef0123 that it needs was not trained"),
        }
    )
    assert [(cause.kind, cause.units) for cause in found] == [
        ("diverged", ("a", "b")),
        ("bug", ("c",)),
        ("no model", ("d", "e", "f")),
    ]


def test_a_study_of_which_nothing_ran_has_all_left(plan, store):
    text = " ".join(shown(plan, store).split())
    assert text == "s: S done failed left trainings 0 0 4 evaluations 0 0 8"


def test_status_counts_and_groups(plan, store, save):
    first, second, third, _ = plan.trainings.values()
    save(first)
    for spec in (second, third):
        store.save_failure(spec.fingerprint, failure("diverged", "DivergedError: nan in epoch 2", "host:/log"))
    text = shown(plan, store)
    assert "trainings       1       2     1" in text
    assert "2 x diverged: DivergedError: nan in epoch 2" in text
    assert "log host:/log" in text
    assert f"{second.fingerprint}  train none width=4 seed=0" in text
    assert "lower optimisation.lr" in text
    assert "--retry-failed" in text


def test_only_failed_is_what_was_tried_and_is_still_missing(plan, store, save):
    first, second, *_ = plan.trainings.values()
    lost = next(e for e in plan.evaluations.values() if e.model == second.fingerprint)
    for spec in (first, second, lost):
        store.save_failure(spec.fingerprint, failure("bug", "x"))
    save(first)  # by another run, since
    failed = only_failed(remainder(plan, store), store)
    assert failed.trainings == (second,)
    assert failed.evaluations == (lost,)
    assert failed.trained == {first.fingerprint}


def test_trainings_that_diverged_have_one_cause_whatever_became_of_their_loss():
    metrics = ({"loss": float("nan"), "lr": 1e9}, {"loss": float("inf"), "lr": 0.1, "penalty": float("nan")})
    errors = [failure_of(DivergedError(each, epoch=epoch, last={})) for epoch, each in enumerate(metrics, 1)]
    assert errors[0].error == "DivergedError: the loss became nan in epoch 1 (lr 1e+09); lower optimisation.lr"
    assert len(causes(dict(zip("ab", errors, strict=True)))) == 1


def test_status_names_the_commands_to_run(plan, store):
    spec = next(iter(plan.trainings.values()))
    store.save_failure(spec.fingerprint, failure("diverged", "DivergedError: nan in epoch 2"))
    text = " ".join(shown(plan, store).split())
    assert f"robust-sweep show {spec.fingerprint}" in text
    assert f"run only these again: {command(plan)} --retry-failed" in text
