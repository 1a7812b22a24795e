import io
import json
from dataclasses import replace

import numpy as np
import pytest
from made_up import record_of
from rich.console import Console

from orchestrator.commands.listing import entry_view, plan_json, plan_view, studies_table
from orchestrator.planning.plan import expand
from orchestrator.sweeping.remainder import remainder
from search_spaces import STUDIES
from search_spaces.study import Study
from trainables.errors import InputError
from trainables.judges import JUDGES
from trainables.specs import EvaluationSpec, TrainingSpec


def text_of(renderable, width=160):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def rows_of(text):
    """The words of every line."""
    return [line.split() for line in text.splitlines()]


def test_every_study_is_listed_with_its_question_and_its_size():
    text = text_of(studies_table(), width=300)
    for study in STUDIES.values():
        (line,) = (line for line in text.splitlines() if line.startswith(f"{study.name} "))
        assert study.question in line
        for scale in ("quick", "paper"):
            plan = expand(study, scale=scale)
            assert f"{len(plan.trainings)} + {len(plan.evaluations)}" in line


def test_a_plan_shows_what_is_cached_and_what_is_left(small_plan, store, save):
    trained, evaluated = list(small_plan.trainings.values())[:1], list(small_plan.evaluations.values())[:2]
    for spec in (*trained, *evaluated):
        save(spec)
    rows = rows_of(text_of(plan_view(small_plan, remainder(small_plan, store))))
    total = len(small_plan.evaluations)
    assert ["trainings", "4", "1", "3"] in rows
    assert ["evaluations", str(total), "2", str(total - 2)] in rows
    assert ["attack.fgsm.eps", "evaluation", "0.1,", "0.2"] in rows
    assert ["defense.name", "training", "none,", "rbf_mapping"] in rows
    cells = [f for (label, _, seed), f in small_plan.layout.items() if (label, seed) == ("none", 0)]
    done = sum(f in {spec.fingerprint for spec in evaluated} for f in cells)
    assert ["none", "(baseline)", "0", trained[0].fingerprint, "yes", f"{done}/{len(cells)}"] in rows
    model = small_plan.variants[1].models[1]
    assert any(row[:4] == ["rbf_mapping", "1", model, "no"] for row in rows)


def test_a_plan_says_how_often_its_transfers_are_crafted(small_study, small_plan, store):
    text = text_of(plan_view(small_plan, remainder(small_plan, store)))
    assert "4 evaluations are transfers, of the examples of 2 craftings" in text
    plan = expand(small_study.model_copy(update={"transfers": {}}))
    assert "transfers" not in text_of(plan_view(plan, remainder(plan, store)))


def test_brackets_in_a_setting_are_shown_as_they_are(store, save, write_images):
    images = f"parquet:{write_images('[raw]')}"
    study = Study(name="s", title="A [bold]title[/]", base={"defense": "none"}, space=({"dataset": (images,)},))
    plan = expand(study)
    text = text_of(plan_view(plan, remainder(plan, store)), width=1000)
    assert study.title in text
    assert text.count(images) == 2  # the axis and the row
    (model,) = plan.trainings.values()
    save(model)
    assert images in text_of(entry_view(store, model.fingerprint), width=1000)


def test_a_plan_as_json_is_the_plan(small_plan, store, save):
    cached = {*list(small_plan.trainings)[:1], *list(small_plan.evaluations)[:2]}
    for fingerprint in cached:
        save((small_plan.trainings | small_plan.evaluations)[fingerprint])
    found = json.loads(plan_json(small_plan, remainder(small_plan, store)))
    assert (found["study"], found["scale"], found["overrides"]) == ("small", "quick", {})
    assert found["seeds"] == list(small_plan.seeds)
    assert found["columns"] == list(small_plan.columns)
    assert found["axes"] == [{"key": a.key, "phase": a.phase, "values": list(a.values)} for a in small_plan.axes]
    assert found["rows"] == [
        {"label": v.label, "models": {str(seed): model for seed, model in v.models.items()}}
        for v in small_plan.variants
    ]
    for kind, build in (("trainings", TrainingSpec), ("evaluations", EvaluationSpec)):
        specs = {entry["fingerprint"]: build.model_validate(entry["spec"]) for entry in found[kind]}
        assert specs == getattr(small_plan, kind)
        assert {e["fingerprint"] for e in found[kind] if e["cached"]} == cached & set(specs)


def test_a_model_is_shown_with_its_settings_history_and_records(small_plan, store, save):
    for spec in (*small_plan.trainings.values(), *small_plan.evaluations.values()):
        save(spec)
    model = small_plan.variants[1].models[1]
    text = text_of(entry_view(store, model[:8]))
    rows = rows_of(text)
    assert f"model {model}" in text
    assert ["defense.psi", "factor"] in rows
    assert ["epoch", "loss"] in rows
    assert ["2", "0.5"] in rows
    mine = {f for f, spec in small_plan.evaluations.items() if spec.model == model}
    others = set(small_plan.evaluations) - mine
    assert mine
    assert all(fingerprint in text for fingerprint in mine)
    assert not any(fingerprint in text for fingerprint in others)


def test_an_evaluation_is_shown_with_every_eps_and_what_it_was_made_with(small_plan, store, save):
    fingerprint = small_plan.layout["none", "fgsm", 1]
    save(small_plan.evaluations[fingerprint])
    text = text_of(entry_view(store, fingerprint))
    rows = rows_of(text)
    assert f"evaluation {fingerprint}" in text
    assert ["attack.eps", "[0.1,", "0.2]"] in rows
    for eps in ("0.1", "0.2"):
        assert [fingerprint, "fgsm", "linf", eps, "3", "4", "0.7500", "0.50"] in rows
    assert "torch 2.13" in text


@pytest.mark.parametrize(
    ("beginning", "reason"),
    [
        pytest.param("xyz", "the store has no such entry", id="none"),
        pytest.param("", r"\d+ entries begin so: \w+, ", id="several"),
    ],
)
def test_a_beginning_that_names_no_entry_or_several_is_refused(beginning, reason, small_plan, store, save):
    for spec in small_plan.trainings.values():
        save(spec)
    with pytest.raises(InputError, match=f"must name one model or evaluation, got '{beginning}': {reason}"):
        entry_view(store, beginning)


def test_a_measures_record_is_shown_with_its_numbers(store, small_plan):
    evaluation = EvaluationSpec(model=next(iter(small_plan.trainings)), measure={"name": "gradients"})
    values = {"linf_norm": np.array([0.5, 0.25, 0.125]), "zero": np.array([True, False, False, False])}
    arrays = np.ones(3, bool), np.zeros(3, int), np.zeros(3)
    store.save_records([record_of(evaluation, 0.0, *arrays, 0.1, 0, {}, values)])
    text = text_of(entry_view(store, evaluation.fingerprint))
    assert ["median", "linf_norm", "0.25"] in rows_of(text)
    assert ["share", "zero", "0.25"] in rows_of(text)
    assert any(row[:2] == [evaluation.fingerprint, "gradients"] for row in rows_of(text))


@pytest.mark.parametrize("metric", ["accuracy", "closeness"])
def test_a_score_is_called_what_the_judge_of_the_model_calls_it(metric, small_plan, store, save, monkeypatch):
    judge = replace(JUDGES["classification"], metric=metric)
    monkeypatch.setitem(JUDGES.added, "classification", judge)
    evaluation = small_plan.evaluations[small_plan.layout["none", "fgsm", 1]]
    save(evaluation)
    headings = ["evaluation", "asked", "source", "eps", "correct", "of"]
    assert [*headings, "score", "seconds"] in rows_of(text_of(entry_view(store, evaluation.fingerprint)))
    save(small_plan.trainings[evaluation.model])
    for fingerprint in (evaluation.fingerprint, evaluation.model):
        assert [*headings, metric, "seconds"] in rows_of(text_of(entry_view(store, fingerprint)))
