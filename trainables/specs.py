"""TrainingSpec, AttackSpec, MeasureSpec and EvaluationSpec: frozen, validated and content-addressed.

A fingerprint is a hash of a spec's canonical JSON and of SCHEMA, which is raised whenever the meaning of
a spec changes, so that a store never answers with the result of another meaning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from trainables.errors import InputError, unknown

SCHEMA = 2
FINGERPRINT_LENGTH = 20
LARGEST_SEED = 2**31 - 1


class Frozen(BaseModel):
    """A value: immutable, with no field that it does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: object) -> object:
        for key in value if isinstance(value, dict) else ():
            if key not in cls.model_fields:
                raise unknown("key", key, cls.model_fields)
        return value


class DatasetSpec(Frozen):
    """Which images, how they are split and at what size; see `trainables.data` for the names."""

    name: str = Field("digits", description="digits, a torchvision name or parquet:<folder>")
    digest: str = Field("", description="hash of a parquet folder's files, filled in by the planner")
    image_size: PositiveInt | None = Field(None, description="resize to this many pixels a side")
    train_examples: PositiveInt | None = Field(None, description="use the first n after the split; None: all")
    validation_fraction: float = Field(0.1, gt=0, lt=1, description="share of the training data held out")

    @property
    def key(self) -> str:
        """Name this dataset among those that a sweep shares: by its content, wherever it lies."""
        return json.dumps(self.identity, sort_keys=True)

    @property
    def identity(self) -> dict[str, Any]:
        """What determines the images: a parquet folder counts by its content, not by where it lies."""
        values = self.model_dump(mode="json")
        if self.digest:
            values["name"] = "parquet"
        return values


class NetworkSpec(Frozen):
    """Which network; `width` is the number of filters of its first layer (None: the network's own)."""

    name: str = "cnn3"
    width: PositiveInt | None = None


class OptimisationSpec(Frozen):
    """How the weights are fitted: the optimiser, its schedule, batches and augmentation."""

    optimizer: Literal["adam", "sgd"] = "adam"
    lr: PositiveFloat = 1e-3
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd only")
    nesterov: bool = Field(False, description="Nesterov's momentum; sgd only")
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine", "multistep"] = "constant"
    milestones: tuple[PositiveInt, ...] = Field((), description="epochs after which multistep multiplies lr")
    gamma: PositiveFloat = Field(0.1, description="factor of multistep")
    batch_size: PositiveInt = 128
    augmentation: tuple[Literal["crop", "flip"], ...] = ()
    patience: PositiveInt | None = Field(
        None, description="stop after this many epochs without a better validation accuracy; the last weights stay"
    )

    @model_validator(mode="after")
    def _nesterov_of_a_momentum(self) -> OptimisationSpec:
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            got = f"optimizer={self.optimizer}, momentum={self.momentum}"
            raise ValueError(f"nesterov needs optimizer=sgd and a momentum above 0, got {got}")
        return self


class DefenseConfig(Frozen):
    """The settings of one defense; each defense declares its own subclass above its training."""

    name: str


def _named(value: object) -> object:
    """Let `dataset=digits` stand for `dataset.name=digits`."""
    return {"name": value} if isinstance(value, str) else value


class TrainingSpec(Frozen):
    """Everything that determines a trained model."""

    dataset: Annotated[DatasetSpec, BeforeValidator(_named)] = DatasetSpec()
    network: Annotated[NetworkSpec, BeforeValidator(_named)] = NetworkSpec()
    defense: SerializeAsAny[DefenseConfig]
    optimisation: OptimisationSpec = OptimisationSpec()
    epochs: PositiveInt = 10
    seed: int = Field(0, ge=0, le=LARGEST_SEED)

    @field_validator("defense", mode="before")
    @classmethod
    def _typed_defense(cls, value: object) -> object:
        from trainables.defenses import DEFENSES

        return _from_registry("defense", _named(value), {n: d.Config for n, d in DEFENSES.items()})

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, value: DatasetSpec) -> DatasetSpec:
        from trainables.data import check_name

        check_name(value.name)
        return value

    @field_validator("network")
    @classmethod
    def _known_network(cls, value: NetworkSpec) -> NetworkSpec:
        from trainables.networks import NETWORKS

        if value.name not in NETWORKS:
            raise unknown("network", value.name, NETWORKS)
        return value

    @property
    def fingerprint(self) -> str:
        values = self.model_dump(mode="json")
        values["dataset"] = self.dataset.identity
        return _fingerprint("training", values)


def _parse_eps(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return float(Fraction(value))
    except (ArithmeticError, ValueError):
        raise ValueError(f"eps must be a number or a fraction such as 8/255, got {value!r}") from None


Eps = Annotated[float, BeforeValidator(_parse_eps), Field(gt=0)]
Loss = Literal["cross_entropy", "margin", "dlr", "joint"]


def check_ascending(eps: tuple[float, ...]) -> tuple[float, ...]:
    """Return a grid of eps; raise ValueError if it is empty, or does not ascend."""
    if not eps:
        raise ValueError("eps must name at least one value, got ()")
    if len(set(eps)) < len(eps) or list(eps) != sorted(eps):
        raise ValueError(f"eps must ascend without repeats, got {list(eps)}")
    return eps


def check_joint(loss: Loss, view: str) -> None:
    """Raise ValueError unless pcl's joint loss and the view that it reads come together."""
    if (loss == "joint") != (view == "joint_loss"):
        raise ValueError(f"loss joint goes with view joint_loss, got loss {loss} and view {view}")


class AttackSpec(Frozen):
    """A threat: an attack, its norm and its grid of eps on the [0,1] image scale, and what it may see."""

    name: str
    norm: Literal["linf", "l2", "l1"] = "linf"
    eps: tuple[Eps, ...]
    view: str = Field("default", description="the view of the defense that is attacked")
    loss: Loss = Field(
        "cross_entropy", description="what the attack maximises; joint adds pcl's, and reads the view joint_loss"
    )
    eot_samples: PositiveInt = Field(1, description="attack the mean over this many draws of a stochastic view")

    @model_validator(mode="after")
    def _joint_loss_of_its_view(self) -> AttackSpec:
        check_joint(self.loss, self.view)
        if self.loss == "joint" and self.eot_samples > 1:
            raise ValueError(f"eot_samples averages logits, and loss joint reads more, got {self.eot_samples}")
        return self

    @model_validator(mode="after")
    def _eps_on_the_image_scale(self) -> AttackSpec:
        if self.norm == "linf" and (big := [e for e in self.eps if e > 1]):
            hint = f" (did you mean {big[0]:g}/255?)" if big[0] <= 255 else ""
            raise ValueError(f"eps must be in (0, 1] for norm linf, got {big[0]}{hint}")
        check_ascending(self.eps)
        return self

    @property
    def views(self) -> frozenset[str]:
        """The views of a defense that are attacked."""
        return frozenset({self.view})

    def seen_through(self, views: Collection[str]) -> AttackSpec | None:
        """Return the attack as a model that has these views meets it; None if it cannot be attacked so."""
        return self if self.view in views else None


def attack_spec(value: object) -> AttackSpec:
    """Build the AttackSpec subclass that `value["name"]` asks for; raise InputError for an unknown name."""
    from trainables.attacks import ATTACKS

    built = _from_registry("attack", value, {name: attack.Spec for name, attack in ATTACKS.items()})
    if not isinstance(built, AttackSpec):
        raise InputError(f"an attack must be a mapping with a name and an eps grid, got {value!r}")
    return built


class MeasureSpec(Frozen):
    """What is measured of a model beside its accuracy; each measure declares its own subclass."""

    name: str
    view: str = Field("default", description="the view of the defense that is measured")


def measure_spec(value: object) -> MeasureSpec:
    """Build the MeasureSpec subclass that `value["name"]` asks for; raise InputError for an unknown name."""
    from trainables.measures import MEASURES

    built = _from_registry("measure", value, {name: measure.Spec for name, measure in MEASURES.items()})
    if not isinstance(built, MeasureSpec):
        raise InputError(f"a measure must be a mapping with a name, got {value!r}")
    return built


class EvaluationSpec(Frozen):
    """One question to one trained model: its accuracy on a split, clean or under an attack; or a measure of it.

    `source` is the fingerprint of another model on which the examples are crafted (a transfer attack), which then
    predicts under `source_inference`.
    """

    model: str = Field(description="fingerprint of the TrainingSpec")
    inference: Mapping[str, Any] = Field({}, description="settings of the model at test time; they never retrain")
    attack: SerializeAsAny[AttackSpec] | None = None
    measure: SerializeAsAny[MeasureSpec] | None = None
    source: str | None = None
    source_inference: Mapping[str, Any] = Field({}, description="settings of the source at test time")
    split: Literal["test", "validation"] = "test"
    examples: PositiveInt | None = Field(None, description="the first n of the split; None: all")
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="of the attack's random starts, or the measure's draws")

    @field_validator("attack", mode="before")
    @classmethod
    def _typed_attack(cls, value: object) -> object:
        return None if value is None else attack_spec(value)

    @field_validator("measure", mode="before")
    @classmethod
    def _typed_measure(cls, value: object) -> object:
        return None if value is None else measure_spec(value)

    @model_validator(mode="after")
    def _one_question(self) -> EvaluationSpec:
        if self.measure is not None and (self.attack is not None or self.source is not None):
            raise ValueError("an evaluation has a measure, or an attack and its source, got both")
        if self.source_inference and self.source is None:
            raise ValueError(f"source_inference goes with a source, got {dict(self.source_inference)} and none")
        return self

    @property
    def is_clean(self) -> bool:
        """Whether the question is the accuracy on the images as they are."""
        return self.attack is None and self.measure is None

    @property
    def crafted_on(self) -> str:
        """Fingerprint of the model whose gradients are used."""
        return self.source or self.model

    @property
    def fingerprint(self) -> str:
        return _fingerprint("evaluation", self.model_dump(mode="json", exclude=self._unsaid))

    @property
    def crafting_fingerprint(self) -> str:
        """What the crafted examples depend on: everything but the target."""
        values = self.model_dump(mode="json", exclude={"model", "inference", "source", *self._unsaid})
        return _fingerprint("crafting", values | {"crafted_on": self.crafted_on})

    @property
    def _unsaid(self) -> set[str]:
        """Fields that a fingerprint leaves out: empty, they mean what a spec meant before it had them."""
        return set() if self.source_inference else {"source_inference"}


def _from_registry(kind: str, value: object, classes: dict[str, type[Any]]) -> object:
    if not isinstance(value, dict):
        return value
    name = value.get("name")
    if name not in classes:
        raise unknown(kind, name, classes)
    try:
        return classes[name].model_validate(value)
    except ValidationError as error:
        raise InputError(explain(error)) from None


def _fingerprint(kind: str, values: dict[str, Any]) -> str:
    canonical = json.dumps({"schema": SCHEMA, "kind": kind, **values}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:FINGERPRINT_LENGTH]


def explain(error: ValidationError) -> str:
    """Return one line for each error: the dotted key, the rule and the value got."""
    return "\n".join(_explain_one(item) for item in error.errors())


def _explain_one(item: ErrorDetails) -> str:
    key = ".".join(map(str, item["loc"]))
    message = item["msg"].removeprefix("Value error, ")
    if isinstance(item.get("ctx", {}).get("error"), InputError):
        return f"{key}: {message}" if key else message
    got = "" if "got" in message else f", got {item['input']!r}"
    return f"{key}{': ' if key else ''}{message[0].lower()}{message[1:]}{got}."
