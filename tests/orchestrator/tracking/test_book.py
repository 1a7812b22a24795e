"""MLflow as a view of the store, on a real SQLite backend."""

import numpy as np
import pytest
import torch
from made_up import record_of
from mlflow import MlflowClient

from orchestrator.planning.plan import expand
from orchestrator.storage.store import Store
from orchestrator.tracking.book import Book, Parent, default_uri, parent_of
from orchestrator.tracking.book import is_current as is_current_of
from search_spaces.study import Study

STUDY = Study(
    name="tracked",
    title="A tracked study",
    question="Is it logged?",
    base={"dataset": "digits", "epochs": 2},
    space=({"defense": ("none",)}, {"defense": ("rbf_mapping",), "defense.psi": ("identity",)}),
    baseline={"defense": "none"},
    attacks={"pgd_linf": {"name": "pgd", "eps": (0.05, 0.3)}},
    measures={"slopes": {"name": "gradients"}},
    seeds=(0,),
)


def opened(plan, store):
    book = Book(parent_of(plan), store, default_uri(store))
    book.add(plan)
    return book


def is_current(plan, store, uri):
    return is_current_of(parent_of(plan), [plan], store, uri)


def fill(plan, store):
    """Store made-up checkpoints and records: 3 of 4 right when clean, 2 and 1 at the two eps; two measured values."""
    for spec in plan.trainings.values():
        history = [{"loss": 1.0 / e, "validation_accuracy": 0.5, "epoch": e} for e in (1, 2)]
        store.save_checkpoint(spec, {"weight": torch.zeros(1)}, history)
    for evaluation in plan.evaluations.values():
        eps = evaluation.attack.eps if evaluation.attack else (0.0,)
        counts = (2, 1) if evaluation.attack else (3,)
        store.save_records(
            [
                record_of(
                    evaluation,
                    eps=e,
                    correct=np.arange(4) < n,
                    prediction=np.zeros(4, int),
                    distance=np.zeros(4, np.float32),
                    seconds=0.1,
                    queries=12,
                    provenance={},
                    values={"norm": np.array([1.0, 3.0]), "mean": np.array(0.5)} if evaluation.measure else {},
                )
                for e, n in zip(eps, counts, strict=True)
            ]
        )


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    store, plan = Store(tmp_path_factory.mktemp("root")), expand(STUDY)
    fill(plan, store)
    for _ in range(2):  # everything is written twice, by two drivers one after the other
        book = opened(plan, store)
        book.models(plan.trainings)
        book.models(plan.trainings)
        book.close({"report.md": b"# table"}, "# table", status="FINISHED")
    client = MlflowClient(default_uri(store))
    experiment = client.get_experiment_by_name("tracked")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    return plan, store, client, parents, children


def test_writing_twice_gives_one_parent_and_one_child_a_model(logged):
    plan, _, _, parents, children = logged
    assert len(parents) == 1
    assert len(children) == len(plan.trainings)
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    assert {run.data.tags["robust_sweep.model"] for run in children} == set(plan.trainings)
    assert {run.info.status for run in [*parents, *children]} == {"FINISHED"}


def test_robust_accuracy_is_drawn_over_eps_from_the_clean_accuracy_on(logged):
    _, _, client, _, children = logged
    for run in children:
        points = client.get_metric_history(run.info.run_id, "robust_accuracy/pgd_linf")
        assert [(p.step, p.value) for p in sorted(points, key=lambda p: p.step)] == [(0, 0.75), (50, 0.5), (300, 0.25)]
        assert [p.value for p in client.get_metric_history(run.info.run_id, "clean_accuracy")] == [0.75]


def test_settings_at_test_time_stand_in_the_names_of_metrics(tmp_path):
    space = ({"defense": ("wnll",), "inference.activation": ("linear", "wnll"), "inference.tvm": (None, {})},)
    store, plan = Store(tmp_path), expand(STUDY.model_copy(update={"space": space, "baseline": {}}))
    fill(plan, store)
    book = opened(plan, store)
    book.models(plan.trainings)
    (run,) = [r for r in book.client.search_runs([book.experiment]) if "mlflow.parentRunId" in r.data.tags]
    names = [f"activation:{activation} tvm:{tvm}" for activation in ("linear", "wnll") for tvm in ("null", "__")]
    assert {name for name in run.data.metrics if "accuracy" in name} == {
        "validation_accuracy",
        *(f"{metric} {name}" for metric in ("clean_accuracy", "robust_accuracy/pgd_linf") for name in names),
    }


def test_what_was_measured_is_logged_and_is_no_clean_accuracy(logged):
    _, _, client, _, children = logged
    for run in children:
        found = {name: value for name, value in run.data.metrics.items() if name.startswith("measure/")}
        assert found == {"measure/slopes/median norm": 2.0, "measure/slopes/mean": 0.5}
        assert len(client.get_metric_history(run.info.run_id, "clean_accuracy")) == 1


def test_each_epoch_is_one_point(logged):
    _, _, client, _, children = logged
    for run in children:
        assert [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, "loss")] == [(1, 1.0), (2, 0.5)]


def test_runs_are_filtered_by_params_of_the_spec(logged):
    _, _, client, parents, _ = logged
    found = client.search_runs([parents[0].info.experiment_id], "params.`defense.psi` = 'identity'")
    assert [run.data.params["defense.name"] for run in found] == ["rbf_mapping"]
    assert found[0].data.params["seed"] == "0"


def test_a_setting_of_several_attacks_is_a_param_under_a_name_that_mlflow_takes(tmp_path):
    plan = expand(STUDY, overrides={"attack.*.steps": 2, "attack.pgd_*.eps": [0.1]})
    book = opened(plan, Store(tmp_path))
    params = book.client.get_run(book.parent).data.params
    assert (params["attack._.steps"], params["attack.pgd__.eps"]) == ("2", "[0.1]")


def test_the_parent_carries_the_report(logged):
    _, _, client, parents, _ = logged
    assert parents[0].data.tags["mlflow.note.content"] == "# table"
    assert [file.path for file in client.list_artifacts(parents[0].info.run_id, "report")] == ["report/report.md"]


def test_what_was_written_is_noted_and_a_lost_database_is_noticed(logged, tmp_path):
    plan, store, *_ = logged
    assert is_current(plan, store, default_uri(store))
    assert not is_current(plan, store, f"sqlite:///{tmp_path}/other.db")
    assert not is_current(expand(STUDY, seeds=[0, 1]), store, default_uri(store))


def test_a_later_evaluation_is_added_to_the_same_run_and_its_curve_still_starts_from_clean(tmp_path):
    store, plan = Store(tmp_path), expand(STUDY)
    fill(plan, store)
    clean = {f: store.load_records(f) for f, e in plan.evaluations.items() if e.attack is None}
    for fingerprint in clean:
        store.delete("records", fingerprint)
    first = opened(plan, store)
    first.models(plan.trainings)
    assert not any("robust_accuracy/pgd_linf" in run.data.metrics for run in models_runs(store, first))
    for records in clean.values():
        store.save_records(records)
    second = opened(plan, store)
    second.models(plan.trainings)
    runs = models_runs(store, second)
    assert len(runs) == len(plan.trainings)
    for run in runs:
        points = MlflowClient(default_uri(store)).get_metric_history(run.info.run_id, "robust_accuracy/pgd_linf")
        assert sorted(p.step for p in points) == [0, 50, 300]


def models_runs(store, book):
    return MlflowClient(default_uri(store)).search_runs([book.experiment], "tags.robust_sweep.model != ''")


def test_an_edited_study_of_the_same_name_gets_runs_of_its_own(tmp_path):
    store, plan = Store(tmp_path), expand(STUDY)
    edited = expand(STUDY.model_copy(update={"attacks": {}}))
    books = [opened(each, store) for each in (plan, edited)]
    assert plan.slug == edited.slug
    assert books[0].parent != books[1].parent


def test_params_that_an_interrupted_driver_did_not_log_are_logged_by_the_next(tmp_path):
    store, plan = Store(tmp_path), expand(STUDY)
    fill(plan, store)
    book = opened(plan, store)
    model = next(iter(plan.trainings))
    tags = {"mlflow.parentRunId": book.parent, "robust_sweep.model": model}
    bare = book.client.create_run(book.experiment, tags=tags)
    opened(plan, store).models([model])
    assert book.client.get_run(bare.info.run_id).data.params["defense.name"] == "none"


def test_closing_ends_the_runs_that_are_still_open_and_a_retry_clears_the_failure(tmp_path):
    store, plan = Store(tmp_path), expand(STUDY)
    one, other = plan.trainings
    book = opened(plan, store)
    book.failed(one, "DivergedError: loss is nan")
    book.epochs(other, [{"loss": 1.0, "epoch": 1}])
    book.close({}, "", status="KILLED")
    assert {run.data.tags["robust_sweep.model"]: run.info.status for run in models_runs(store, book)} == {
        one: "FAILED",
        other: "KILLED",
    }
    fill(plan, store)
    again = opened(plan, store)
    again.models(plan.trainings)
    for run in models_runs(store, again):
        assert run.info.status == "FINISHED"
        assert "robust_sweep.failure" not in run.data.tags


def test_a_failed_model_ends_its_run_as_failed_with_the_reason(tmp_path):
    store, plan = Store(tmp_path), expand(STUDY)
    book = opened(plan, store)
    model = next(iter(plan.trainings))
    book.failed(model, "DivergedError: loss is nan")
    (run,) = MlflowClient(default_uri(store)).search_runs([book.experiment], f"tags.robust_sweep.model = '{model}'")
    assert run.info.status == "FAILED"
    assert run.data.tags["robust_sweep.failure"] == "DivergedError: loss is nan"


def test_runs_of_a_search_lie_under_its_own_parent_as_its_points_come_and_name_their_split(tmp_path):
    store = Store(tmp_path)
    parent = Parent(STUDY, "search-tracked", "an identity", {"sampler": "tpe"}, "accuracy")
    plans = [expand(STUDY, overrides={"epochs": epochs}, split="validation") for epochs in (2, 3)]
    for _ in range(2):
        book = Book(parent, store, default_uri(store))
        for plan in plans:
            book.add(plan)
            fill(plan, store)
            book.models(plan.trainings)
        book.close({}, "", status="FINISHED")
    runs = models_runs(store, book)
    assert len(runs) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {book.parent}
    client = MlflowClient(default_uri(store))
    assert client.get_run(book.parent).data.params == {"sampler": "tpe"}
    for run in runs:
        assert {"validation_clean_accuracy", "validation_robust_accuracy/pgd_linf"} <= set(run.data.metrics)
        assert not {"clean_accuracy", "robust_accuracy/pgd_linf"} & set(run.data.metrics)
    assert is_current_of(parent, plans, store, default_uri(store))
    assert not is_current_of(parent, plans[:1], store, default_uri(store))


def test_the_run_of_a_model_that_was_given_up_says_after_which_epoch(tmp_path):
    store, plan = Store(tmp_path), expand(STUDY)
    book, model = opened(plan, store), next(iter(plan.trainings))
    book.epochs(model, [{"loss": 1.0, "epoch": 1}, {"loss": 1.0, "epoch": 2}])
    book.given_up(model)
    (run,) = models_runs(store, book)
    assert run.info.status == "KILLED"
    assert run.data.tags["robust_sweep.given_up"] == "after epoch 2"


def test_two_books_open_at_once_log_each_model_in_one_run_and_each_point_once(tmp_path):
    store, plan = Store(tmp_path), expand(STUDY)
    one, other = opened(plan, store), opened(plan, store)
    fill(plan, store)
    one.models(plan.trainings)
    other.models(plan.trainings)
    runs = one.client.search_runs([one.experiment])
    assert len(runs) == 1 + len(plan.trainings)
    for run in (run for run in runs if "mlflow.parentRunId" in run.data.tags):
        for metric in ("clean_accuracy", "loss"):
            points = one.client.get_metric_history(run.info.run_id, metric)
            assert len({point.step for point in points}) == len(points)


def test_a_look_again_sees_what_another_book_has_logged(tmp_path):
    store, plan = Store(tmp_path), expand(STUDY)
    one, other = opened(plan, store), opened(plan, store)
    fill(plan, store)
    one.epochs(next(iter(plan.trainings)), [{"loss": 1.0, "epoch": 1}])
    other.look_again()
    one.models(plan.trainings)
    other.look_again()
    other.models(plan.trainings)
    for run in one.client.search_runs([one.experiment], "tags.robust_sweep.model != ''"):
        assert len(one.client.get_metric_history(run.info.run_id, "robust_accuracy/pgd_linf")) == 3
