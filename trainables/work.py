"""Do a unit of work in plain torch: train one model, or answer the evaluations that attack one."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from trainables.attacks.suite import SuiteSpec
from trainables.data.spec import DatasetSpec
from trainables.data.splits import Splits
from trainables.defenses import Defense
from trainables.evaluation.attacked import evaluate_suite
from trainables.evaluation.clean import Clean, answers_of, evaluate_clean
from trainables.evaluation.outcome import Outcome, outcome_of
from trainables.evaluation.transferred import craft, evaluate_transferred
from trainables.judges import JUDGES, Judge
from trainables.measures import measured
from trainables.measures.spec import MeasureSpec
from trainables.results import Record, Shelf
from trainables.runtime.memory import let_go
from trainables.runtime.provenance import provenance
from trainables.runtime.randomness import seeded
from trainables.runtime.statetree import pack, unpack
from trainables.specs import EvaluationSpec
from trainables.training import TrainingRun, build, on_device
from trainables.units import EvaluateUnit, Probe, StepResult, TrainUnit, Work

logger = logging.getLogger(__name__)
MODELS_KEPT = 4


@dataclass
class Bench:
    """What a worker process keeps between units: the store, the datasets and the models used last."""

    store: Shelf
    datasets: Mapping[str, Any]  # DatasetSpec.key -> Splits, or Ray's reference to them
    state_seconds: float
    device_type: str  # "cuda" for trials that reserve GPUs
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # the driver's keys to the store
    fetch: Callable[[Any], Any] = lambda splits: splits  # makes Splits of what `datasets` holds
    _splits: dict[str, Splits] = field(default_factory=dict)
    _models: dict[str, tuple[Defense, Splits]] = field(default_factory=dict)
    _crafted: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    _clean: dict[tuple[Any, ...], Clean] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        return torch.device(self.device_type)

    def splits(self, spec: DatasetSpec) -> Splits:
        """Return a dataset; its arrays may be those of Ray's object store, which are not copied."""
        if spec.key not in self._splits:
            self._splits[spec.key] = self.fetch(self.datasets[spec.key])
        return self._splits[spec.key]

    def forget(self) -> None:
        """Let go of models and crafted images."""
        self._models.clear()
        self._crafted.clear()
        self._clean.clear()

    def crafted(self, name: str) -> dict[str, torch.Tensor]:
        """Return a transfer source's images; the last ones are kept for its other targets."""
        if name not in self._crafted:
            self._crafted = {name: self.store.load_crafted(name)}
        return self._crafted[name]

    def clean(self, spec: EvaluationSpec, model: nn.Module, images: torch.Tensor, judge: Judge) -> Clean:
        """Return a model's predictions on unattacked images; computed once for all attacks on it."""
        inference = json.dumps(dict(spec.inference), sort_keys=True)
        key = spec.model, inference, spec.split, spec.examples, spec.seed
        if key not in self._clean:
            while len(self._clean) >= MODELS_KEPT:
                del self._clean[next(iter(self._clean))]
            with seeded(spec.seed, self.device):
                self._clean[key] = answers_of(model, images, judge)
        return self._clean[key]

    def judge(self, fingerprint: str) -> Judge:
        """Return the judge of a trained model's answers, without loading its weights."""
        if fingerprint in self._models:
            return JUDGES[self._models[fingerprint][1].judge]
        return self.store.load_history(fingerprint).spec.judge

    def model(self, fingerprint: str) -> tuple[Defense, Splits]:
        """Return a trained model and its dataset; load it unless it is among the ones used last."""
        if fingerprint not in self._models:
            checkpoint = self.store.load_checkpoint(fingerprint)
            splits = self.splits(checkpoint.spec.dataset)
            defense = build(checkpoint.spec, splits, self.device)
            defense.model.load_state_dict(checkpoint.tensors)
            self._models[fingerprint] = defense, splits
        self._models[fingerprint] = self._models.pop(fingerprint)  # the one used last comes last
        while len(self._models) > MODELS_KEPT:
            del self._models[next(iter(self._models))]
        return self._models[fingerprint]


def perform(work: Work, bench: Bench) -> Iterator[StepResult]:
    """Do a unit's work step by step, with the memory free that no unit needs any more."""
    if isinstance(work, TrainUnit):
        bench.forget()
    let_go(bench.device)
    yield from train(work, bench) if isinstance(work, TrainUnit) else evaluate(work, bench)


def train(unit: TrainUnit, bench: Bench) -> Iterator[StepResult]:
    """Train one model from where the store has it; yield each epoch's metrics, and what a probe measures."""
    spec = unit.spec
    if bench.store.has("checkpoints", spec.fingerprint):  # a worker died after it, or another driver had it too
        bench.store.delete("states", spec.fingerprint)
        yield StepResult(bench.store.load_history(spec.fingerprint).history[-1], is_done=True)
        return
    run = TrainingRun(spec, bench.splits(spec.dataset), bench.device)
    if (state := bench.store.load_state(spec.fingerprint)) is not None:
        run.load_state(unpack(*state))
    saved = time.monotonic()
    while not run.finished:
        metrics = run.step()
        if run.finished:
            break
        if time.monotonic() - saved >= bench.state_seconds:
            _keep_state(run, bench)
            saved = time.monotonic()
        yield StepResult(metrics, probed=_probed(run, unit.probe, bench))
    bench.store.save_checkpoint(spec, run.defense.model.state_dict(), run.history, provenance(bench.device))
    bench.store.delete("states", spec.fingerprint)
    yield StepResult(run.history[-1], is_done=True)


def _keep_state(run: TrainingRun, bench: Bench) -> None:
    """Save how far a training is; a store that fails for the moment must not end it."""
    try:
        bench.store.save_state(run.spec.fingerprint, *pack(run.state()))
    except OSError:
        logger.warning("the state of %s could not be saved", run.spec.fingerprint, exc_info=True)


def _probed(run: TrainingRun, probe: Probe | None, bench: Bench) -> float | None:
    """Return the mean score of a probe's evaluation if it is due after this epoch; the training does not notice."""
    if probe is None or len(run.history) not in probe.epochs:
        return None
    spec = probe.evaluation
    with seeded(spec.seed, bench.device):
        outcomes = _direct(spec, run.defense, bench.splits(run.spec.dataset), bench, is_trained=False)
    return float(np.mean([outcome.mean_score for outcome in outcomes]))


def evaluate(unit: EvaluateUnit, bench: Bench) -> Iterator[StepResult]:
    """Answer each evaluation that the store does not have by now; yield after each."""
    for number, spec in enumerate(unit.specs, 1):
        if bench.store.has("records", spec.fingerprint):  # a worker died after it, or another driver had it too
            last = bench.store.load_records(spec.fingerprint)[-1]
        else:
            last = _recorded(spec, bench)[-1]
        yield StepResult(_headline(spec, last, bench.judge(spec.model)), is_done=number == len(unit.specs))


def _recorded(spec: EvaluationSpec, bench: Bench) -> list[Record]:
    """Answer an evaluation and put its records into the store."""
    with seeded(spec.seed, bench.device):  # for the draws of a stochastic defense
        outcomes = _outcomes(spec, bench)
    known = provenance(bench.device)
    records = [Record(spec, **vars(outcome), provenance=known) for outcome in outcomes]
    bench.store.save_records(records)
    return records


def _outcomes(spec: EvaluationSpec, bench: Bench) -> list[Outcome]:
    if spec.measure is not None:
        return [_measured(spec, spec.measure, bench)]
    return _transferred(spec, bench) if spec.source else _direct(spec, *bench.model(spec.model), bench)


def _headline(spec: EvaluationSpec, last: Record, judge: Judge) -> dict[str, float]:
    """Name the mean score at the last eps as a person reads it."""
    attack = f" under {spec.attack.name} {spec.attack.norm} eps={last.eps:g}" if spec.attack else ""
    return {f"{judge.metric}{attack}": last.mean_score}


def _direct(
    spec: EvaluationSpec, defense: Defense, splits: Splits, bench: Bench, *, is_trained: bool = True
) -> list[Outcome]:
    """Evaluate a model; the clean predictions of one that `is_trained` are kept for its other attacks."""
    images, labels = _examples(spec, splits, bench)
    judge = JUDGES[splits.judge]
    inference = defense.Inference.model_validate(spec.inference)
    model = defense.view("default", inference)
    if spec.attack is None:
        return [evaluate_clean(model, images, labels, judge)]
    attacks = spec.attack.attacks if isinstance(spec.attack, SuiteSpec) else (spec.attack,)
    threats = [(attack, defense.view(attack.view, inference)) for attack in attacks]
    clean = bench.clean(spec, model, images, judge) if is_trained else answers_of(model, images, judge)
    with seeded(spec.seed, bench.device):
        return evaluate_suite(model, threats, images, labels, judge=judge, seed=spec.seed, clean=clean)


def _transferred(spec: EvaluationSpec, bench: Bench) -> list[Outcome]:
    """Judge a target on its source's examples; craft these first if no earlier target did."""
    assert spec.attack is not None
    assert spec.source is not None
    target, splits = bench.model(spec.model)
    images, labels = _examples(spec, splits, bench)
    judge = JUDGES[splits.judge]
    name = spec.crafting_fingerprint
    if not bench.store.has("crafted", name):
        source, _ = bench.model(spec.source)
        view = source.view(spec.attack.view, source.Inference.model_validate(spec.source_inference))
        bench.store.save_crafted(name, craft(view, images, labels, attack=spec.attack, judge=judge, seed=spec.seed))
    model = target.view("default", target.Inference.model_validate(spec.inference))
    clean = bench.clean(spec, model, images, judge)
    with seeded(spec.seed, bench.device):
        return evaluate_transferred(
            model, bench.crafted(name), images, labels, attack=spec.attack, judge=judge, clean=clean
        )


def _measured(spec: EvaluationSpec, measure: MeasureSpec, bench: Bench) -> Outcome:
    """Measure a model; the outcome's scores are the clean ones."""
    defense, splits = bench.model(spec.model)
    images, labels = _examples(spec, splits, bench)
    judge = JUDGES[splits.judge]
    inference = defense.Inference.model_validate(spec.inference)
    start = time.perf_counter()
    clean = bench.clean(spec, defense.view("default", inference), images, judge)
    with seeded(spec.seed, bench.device):
        values = measured(
            defense.view(measure.view, inference), images, labels, spec=measure, judge=judge, seed=spec.seed
        )
    return replace(outcome_of(0.0, clean.prediction, labels, torch.zeros(len(labels)), judge, start), values=values)


def _examples(spec: EvaluationSpec, splits: Splits, bench: Bench) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = on_device(splits.test if spec.split == "test" else splits.validation, bench.device)
    return images[: spec.examples], labels[: spec.examples]
