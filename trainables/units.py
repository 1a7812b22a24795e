"""Messages between the driver and a worker: a unit of work, and the result of each of its steps.

Ray Tune carries both as dicts, a trial's config and its results. Only this file spells their keys, and only
`trainables.tune` and the driver's tuner turn values into dicts and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from trainables.runtime.failures import Failure
from trainables.specs import EvaluationSpec, TrainingSpec
from trainables.values import Frozen

UNIT, WORK = "unit", "work"  # the keys of a trial's config


class Probe(Frozen):
    """An evaluation of a model while it is trained, after each of `epochs`, by which a search may give it up."""

    evaluation: EvaluationSpec
    epochs: tuple[int, ...]


class TrainUnit(Frozen):
    """Train one model; its steps are epochs."""

    kind: Literal["train"] = "train"
    spec: TrainingSpec
    probe: Probe | None = None


class EvaluateUnit(Frozen):
    """Answer evaluations that attack one model; its steps are evaluations."""

    kind: Literal["evaluate"] = "evaluate"
    specs: tuple[EvaluationSpec, ...]


Work = TrainUnit | EvaluateUnit
WORKS: TypeAdapter[Work] = TypeAdapter(Annotated[Work, Field(discriminator="kind")])


@dataclass(frozen=True)
class StepResult:
    """What came of one step of a unit; `is_done` says that it was the last.

    `probed` is what a probe measured after the epoch, if one was due. `failure` is None, or why the unit ended as
    failed. `gpu_peak_mib` is the most GPU memory that the unit's tensors took so
    far, in MiB; 0 on the CPU.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    is_done: bool = False
    probed: float | None = None
    failure: Failure | None = None
    gpu_peak_mib: int = 0


def config_of(name: str, work: Work) -> dict[str, str]:
    """Return the config of a trial: the unit's name, by which the driver knows it, and its work as JSON."""
    return {UNIT: name, WORK: work.model_dump_json()}


def name_in(config: Mapping[str, Any]) -> str:
    """Return the name of a trial's unit."""
    name: str = config[UNIT]
    return name


def work_in(config: Mapping[str, Any]) -> Work:
    """Return the work of a trial's unit; raise ValidationError or InputError if it is none."""
    return WORKS.validate_json(config[WORK])


def as_dict(result: StepResult) -> dict[str, Any]:
    """Return a result as Tune takes it; `done` is Tune's own key, and ends the trial."""
    return {
        "metrics": dict(result.metrics),
        "done": result.is_done,
        "probed": result.probed,
        "failure": result.failure.as_json() if result.failure else None,
        "gpu_peak_mib": result.gpu_peak_mib,
    }


def result_in(reported: Mapping[str, Any]) -> StepResult:
    """Return the result in what Tune reports of a step, which holds much else."""
    failure = reported.get("failure")
    return StepResult(
        metrics=reported.get("metrics") or {},
        is_done=reported["done"],
        probed=reported.get("probed"),
        failure=Failure.from_json(failure) if failure else None,
        gpu_peak_mib=reported.get("gpu_peak_mib", 0),
    )
