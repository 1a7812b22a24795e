"""Certification by randomized smoothing (Cohen, Rosenfeld, Kolter, ICML 2019).

The smoothed model g answers with the class that the view f most often names under N(0, sigma^2 I) noise. Within the
certified L2 radius, g provably keeps its class, but for a probability `alpha` of having been unlucky in the noise. It
says nothing of f itself, which is what attacks meet. Noisy images are not clipped to [0, 1], as the proof wants it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from torch import Tensor, nn

from trainables.attacks.spec import Eps, check_ascending
from trainables.errors import InputError
from trainables.images import as_float
from trainables.judges import Judge
from trainables.measures.spec import MeasureSpec

ALONE = 8  # images by which it is seen whether a view classifies each by itself
CLOSE = 1e-3  # of logits; rounding differs between batch sizes


class CertificationSpec(MeasureSpec):
    """Noise, samples and radii; `samples`, `selection_samples` and `alpha` default to Cohen et al.'s."""

    name: Literal["certification"] = "certification"
    view: Literal["default", "static"] = "default"
    sigma: PositiveFloat = Field(0.25, description="standard deviation of the noise, on the [0, 1] image scale")
    samples: PositiveInt = Field(100_000, description="n, by which the class is certified")
    selection_samples: PositiveInt = Field(100, description="n_0, by which the class is chosen")
    alpha: float = Field(0.001, gt=0, lt=1, description="probability that an answer is wrong")
    eps: tuple[Eps, ...] = Field((0.25, 0.5, 0.75, 1.0), description="L2 radii at which accuracy is certified")
    batch: PositiveInt = Field(1000, description="noisy images at a time")

    @field_validator("eps")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return check_ascending(value)


def certify(
    view: nn.Module, images: Tensor, labels: Tensor, *, spec: CertificationSpec, judge: Judge, seed: int
) -> dict[str, np.ndarray]:
    """Run CERTIFY and PREDICT on each example; return for each [N]:

    - `radius`: the L2 radius within which g is certified to be right; 0 where it is not certified or wrong
    - `abstained`: whether CERTIFY named no class
    - `certified_at_<eps>`: whether g is certified to be right within eps; its share is the certified accuracy
    - `right`, `undecided`: whether PREDICT names the label, or nothing; from the same noise as CERTIFY

    Raise InputError for a view that draws or looks across its batch: then the samples would not be independent.
    """
    _check_independent(view, as_float(images[:ALONE]))
    generator = torch.Generator(images.device).manual_seed(seed)
    chosen, counts = [], []
    for image in as_float(images):
        chosen.append(class_counts(view, image, spec.selection_samples, spec=spec, generator=generator).argmax())
        counts.append(class_counts(view, image, spec.samples, spec=spec, generator=generator))
    target = labels.cpu().numpy()
    decided, at = np.array(chosen), np.stack(counts)  # [N], [N, K]
    radius = certified_radius(at[np.arange(len(at)), decided], spec)
    predicted = np.array([predict(row, alpha=spec.alpha) for row in at])
    right = np.where(decided == target, radius, 0.0)
    return {
        "radius": right,
        "abstained": radius == 0,
        **{f"certified_at_{eps}": right >= eps for eps in spec.eps},
        "right": predicted == target,
        "undecided": predicted < 0,
    }


@torch.no_grad()
def class_counts(
    view: nn.Module, image: Tensor, samples: int, *, spec: CertificationSpec, generator: torch.Generator
) -> np.ndarray:
    """Return how often the view names each class [K] for noisy copies of an image [C, H, W]: SAMPLEUNDERNOISE."""
    found = []
    for start in range(0, samples, spec.batch):
        shape = (min(spec.batch, samples - start), *image.shape)
        noise = torch.randn(shape, generator=generator, device=image.device)
        logits = view(image + spec.sigma * noise)
        found.append(torch.bincount(logits.argmax(1), minlength=logits.shape[1]).cpu().numpy())
    return np.sum(found, axis=0)


def certified_radius(counts: np.ndarray, spec: CertificationSpec) -> np.ndarray:
    """Return sigma Phi^-1(p) [N], p the lower bound for the chosen class's `counts` [N]; 0 unless p > 1/2."""
    from scipy.stats import norm

    lower = lower_bound(counts, spec.samples, spec.alpha)
    return np.where(lower > 0.5, spec.sigma * norm.ppf(lower), 0.0)


def lower_bound(counts: np.ndarray, samples: int, alpha: float) -> np.ndarray:
    """Return what the probability behind `counts` of `samples` is above with confidence 1 - alpha (Clopper-Pearson)."""
    from scipy.stats import beta

    return np.where(counts > 0, beta.ppf(alpha, np.maximum(counts, 1), samples - counts + 1), 0.0)


def predict(counts: np.ndarray, *, alpha: float) -> int:
    """Return the class that most of the counts [K] name, or -1 unless it beats the second with confidence: PREDICT."""
    from scipy.stats import binomtest

    second, first = np.sort(counts)[-2:]
    sure = binomtest(int(first), int(first + second), 0.5).pvalue <= alpha
    return int(counts.argmax()) if sure else -1


@torch.no_grad()
def _check_independent(view: nn.Module, images: Tensor) -> None:
    alone = torch.cat([view(image[None]) for image in images])
    if not torch.allclose(view(images), alone, rtol=CLOSE, atol=CLOSE):
        raise InputError(
            "certification needs a view that classifies each image by itself and every time alike, got one that draws "
            "or looks across its batch (rbf_cnn: view=static or inference.beta2=0; wnll: inference.transductive=false)"
        )
