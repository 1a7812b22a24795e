"""rbf_mapping: a network with RBF blocks, trained end to end on clean images
(Asgari Taghanaki et al., "A Kernelized Manifold Mapping ...", CVPR 2019).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from trainables.defenses.contract import DefenseConfig


class RbfMappingConfig(DefenseConfig):
    """The ablation switches; defaults are the resolutions of what paper and published code leave open.

    The paper's Psi is K x P, yet it is inverted on K-vectors. `factor` lets M = A A^T, with A [K, rank], play
    Psi^-1, which is positive semi-definite as the paper wants. `cholesky` is the literal Psi = A A^T + jitter I.
    `identity` does not learn Psi (the cross in Table 6). `distance_power` 1 takes the square root of the form,
    as the authors' code does. `per_channel_code` is the layer of that code, which contracts over the centres
    instead of the channels (see RbfBlock); all of it is psi=per_channel_code, distance_power=1, beta_init=2.
    """

    name: Literal["rbf_mapping"] = "rbf_mapping"
    psi: Literal["factor", "cholesky", "identity", "per_channel_code"] = Field(
        "factor",
        description="how Psi, the shape of the basis functions, is learned. factor: Psi^-1 = A A^T. "
        "cholesky: Psi = A A^T + jitter I. identity: not at all. per_channel_code: the layer of the authors' code",
    )
    learn_beta: bool = Field(True, description="whether the widths beta are trained")
    beta_init: PositiveFloat | None = Field(
        None, description="null: 1 / median(D) on the first batch; the authors' code: 2.0, which underflows for K >= 64"
    )
    centers: PositiveInt | None = Field(None, description="P; null: as many as channels (authors' code)")
    outputs: PositiveInt | None = Field(None, description="O; null: as many as channels (authors' code)")
    rank: PositiveInt | None = Field(None, description="r, columns of A; null: P; factor and cholesky only")
    distance_power: Literal[1, 2] = Field(
        2, description="1 takes the square root of the quadratic form, as the code does; paper: 2"
    )
    placement: tuple[Literal["conv", "head"], ...] = Field(
        ("conv", "head"),
        min_length=1,
        description="the places of the blocks: behind every conv block, before the softmax layer",
    )
    jitter: PositiveFloat = Field(1e-3, description="cholesky only")
