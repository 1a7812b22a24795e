"""The rows of a plan's table: one variant a point, its specs, its baseline and its transfer sources."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.planning.keys import DEFENSE, Point, concerns, flatten, hashable, is_inference, nest, with_whole_keys
from orchestrator.planning.layers import validated
from orchestrator.planning.wording import as_text
from search_spaces.study import Study
from trainables.data.datasets import resolve
from trainables.defenses import DEFENSES
from trainables.specs import TrainingSpec


@dataclass(frozen=True)
class Variant:
    """A row: one point of the search space.

    `models` maps a seed to its TrainingSpec's fingerprint; rows that differ in `inference` alone share models.
    """

    label: str
    settings: Mapping[str, Any]
    models: Mapping[int, str]
    inference: Mapping[str, Any]

    @property
    def inference_label(self) -> str:
        """The row's settings at test time as its label writes them; rows that share models differ in these alone."""
        return " ".join(f"{k.rpartition('.')[2]}={as_text(v)}" for k, v in self.settings.items() if is_inference(k))


def variants_of(
    points: list[Point], settings: Mapping[str, Any], seeds: tuple[int, ...]
) -> tuple[list[Variant], dict[str, TrainingSpec]]:
    """Return a row for each distinct point, and the specs that its models are trained by, by fingerprint."""
    variants: dict[tuple[str, ...], Variant] = {}
    trainings: dict[str, TrainingSpec] = {}
    for point in points:
        spec, inference = _specs_of({**settings, **point})
        by_seed = {seed: spec.model_copy(update={"seed": seed}) for seed in seeds}
        models = {seed: s.fingerprint for seed, s in by_seed.items()}
        identity = (*models.values(), json.dumps(inference, sort_keys=True))
        if identity not in variants:
            label = _label(spec, point, taken={v.label for v in variants.values()})
            variants[identity] = Variant(label, point, models, inference)
            trainings |= {s.fingerprint: s for s in by_seed.values()}
    return list(variants.values()), trainings


def _specs_of(settings: Mapping[str, Any]) -> tuple[TrainingSpec, dict[str, Any]]:
    """Return a point's TrainingSpec and all settings of its defense at test time."""
    nested = nest({key: value for key, value in settings.items() if concerns(key, settings)})
    asked = nested.pop("inference", {})
    spec: TrainingSpec = validated(TrainingSpec.model_validate, nested)
    inference = validated(DEFENSES[spec.defense.name].Inference.model_validate, asked, "inference")
    return spec.model_copy(update={"dataset": resolve(spec.dataset)}), inference.model_dump(mode="json")


def _label(spec: TrainingSpec, point: Point, taken: Collection[str]) -> str:
    """Name a row by its defense and the last words of its keys, or by whole keys if another row has that name."""
    keys = sorted((key for key in point if key != DEFENSE), key=is_inference)  # keys of test time come last
    settings = {key.removesuffix(".name"): as_text(point[key]) for key in keys}
    short = " ".join([spec.defense.name, *(f"{key.rpartition('.')[2]}={text}" for key, text in settings.items())])
    return short if short not in taken else " ".join([spec.defense.name, *(f"{k}={t}" for k, t in settings.items())])


def first_spec(variant: Variant, trainings: Mapping[str, TrainingSpec]) -> TrainingSpec:
    """Return a row's spec with its first seed; the specs of its other seeds differ in the seed alone."""
    return trainings[next(iter(variant.models.values()))]


def settings_by_row(variants: Sequence[Variant], trainings: Mapping[str, TrainingSpec]) -> dict[str, dict[str, Any]]:
    """Return every setting of each row by its label, as dotted keys; settings at test time are among them."""
    settings = {v.label: {**first_spec(v, trainings).model_dump(), "inference": v.inference} for v in variants}
    return {label: {k: hashable(value) for k, value in flatten(nested).items()} for label, nested in settings.items()}


def _select(
    settings: Mapping[str, Any], variants: Sequence[Variant], said: Mapping[str, Mapping[str, Any]], row: Variant
) -> Variant | None:
    """Return the variant to compare a row with: among those that have all `settings`, the one most like the row."""
    wanted = {key: hashable(value) for key, value in with_whole_keys(settings).items()}
    found = [v for v in variants if all(said[v.label].get(key) == value for key, value in wanted.items())]

    def likeness(variant: Variant) -> int:
        return len(said[variant.label].items() & said[row.label].items())

    return max(found, key=likeness, default=None)


def baselines_of(study: Study, variants: Sequence[Variant], said: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the label of each row's baseline; a row that has none is left out."""
    if not study.baseline and study.design != "grid":
        return {variant.label: variants[0].label for variant in variants}
    if not study.baseline:
        return {}
    found = {v.label: _select(study.baseline, variants, said, v) for v in variants}
    return {label: baseline.label for label, baseline in found.items() if baseline is not None}


def sources_of(
    study: Study,
    variants: Sequence[Variant],
    trainings: Mapping[str, TrainingSpec],
    said: Mapping[str, Mapping[str, Any]],
) -> dict[tuple[str, str], Variant]:
    """Return the source of each row and transfer; a pair of rows on different data has none."""
    found = {}
    for column, transfer in study.transfers.items():
        for variant in variants:
            source = _select(transfer.source, variants, said, variant)
            if source is not None and _share_data(source, variant, trainings):
                found[variant.label, column] = source
    return found


def _share_data(source: Variant, target: Variant, trainings: Mapping[str, TrainingSpec]) -> bool:
    """Whether two rows see the same test images, so that examples crafted on one can be shown to the other."""
    one, other = (first_spec(v, trainings).dataset for v in (source, target))
    return one.key == other.key
