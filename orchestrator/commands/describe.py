"""Descriptions of everything that can be chosen, from the code itself: docstrings and the fields of settings."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from orchestrator.commands.setting_types import TEXT, models_in, type_of
from orchestrator.planning.keys import SHORTHANDS
from orchestrator.report import FORMATS
from search_spaces import STUDIES
from trainables.attacks import ATTACKS, CRITERIA, NORMS
from trainables.attacks.ascent import SteppedSpec
from trainables.data import DATASETS, Dataset
from trainables.data.spec import DatasetSpec
from trainables.defenses import DEFENSES
from trainables.errors import InputError, unknown
from trainables.judges import JUDGES
from trainables.measures import MEASURES
from trainables.networks import NETWORKS
from trainables.networks.spec import NetworkSpec
from trainables.specs import AttackSpec, TrainingSpec
from trainables.values import Frozen

CITATION = re.compile(r" ?\(([^()]*(?:\b(?:19|20)\d\d\b|\b(?:Figure|Table) )[^()]*)\)")
DERIVED = "derived"  # a default that depends on other settings


@dataclass(frozen=True)
class Setting:
    """A key as `--set` takes it. `default` is a JSON value, and without meaning where the setting is required."""

    key: str
    type: str
    default: Any
    description: str
    is_required: bool = False


@dataclass(frozen=True)
class Description:
    """A thing of some kind: what it is, the paper it comes from ("" if none), and its settings."""

    kind: str
    name: str
    what: str
    paper: str
    settings: tuple[Setting, ...] = ()
    views: tuple[str, ...] = ()  # of a defense: what an attacker may see


@dataclass(frozen=True)
class Kind:
    """The things of one kind by name, and how each is described."""

    about: str
    things: Mapping[str, Any]
    text_of: Callable[[Any], tuple[str, str]]  # what it is, and its paper
    settings_of: Callable[[Any], Iterator[Setting]] = lambda thing: iter(())
    views_of: Callable[[Any], Iterable[str]] = lambda thing: ()


def kind_named(kind: str) -> Kind:
    """Return a kind; raise InputError for an unknown one."""
    if kind in KINDS:
        return KINDS[kind]
    raise _named_without_kind(kind) or unknown("kind", kind, KINDS)


def _named_without_kind(name: str) -> InputError | None:
    """Return the error for a name that stands where its kind should, with the commands that describe it."""
    kinds = [kind for kind, known in KINDS.items() if name in known.things]
    if not kinds:
        return None
    what = " and ".join(f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}" for kind in kinds)
    return InputError(f"{name} is {what}: {' or '.join(f'robust-sweep describe {kind} {name}' for kind in kinds)}")


def describe(kind: str, name: str) -> Description:
    """Describe a thing by its name; raise InputError for an unknown kind or name."""
    known = kind_named(kind)
    if name not in known.things:
        raise unknown(kind, name, known.things)
    thing = known.things[name]
    what, paper = known.text_of(thing)
    if what.startswith(f"{name}: "):
        what = what.removeprefix(f"{name}: ")
        what = what[0].upper() + what[1:]
    return Description(kind, name, what, paper, tuple(known.settings_of(thing)), tuple(known.views_of(thing)))


def descriptions(kind: str) -> list[Description]:
    """Describe all things of a kind."""
    return [describe(kind, name) for name in kind_named(kind).things]


def settings_in(model: type[Frozen], prefix: str, default: object = None) -> Iterator[Setting]:
    """Yield the settings of a config, nested ones below their own; `default` is a config whose values are defaults."""
    for leaf, field in model.model_fields.items():
        if leaf == "name" and prefix.count(".") == prefix.count("<column>.") + 1:
            continue  # what is described has this name
        nested = [] if AttackSpec in (found := models_in(field.annotation)) else found
        value = getattr(default, leaf) if isinstance(default, Frozen) else _default_of(field)
        is_shown = not nested or not isinstance(value, Frozen)
        if is_shown:
            yield _setting(f"{prefix}{leaf}", field, value, _meaning(model, leaf))
        for below in nested:
            yield from settings_in(below, f"{prefix}{leaf}.", value)


def _setting(key: str, field: FieldInfo, value: object, description: str) -> Setting:
    is_required = value is PydanticUndefined
    shown = None if is_required else TypeAdapter(Any).dump_python(value, mode="json")
    return Setting(key, type_of(field.annotation, field.metadata), shown, description, is_required)


def _meaning(model: type[Frozen], leaf: str) -> str:
    """Return a field's description: its own, or that of the field that it replaces in a class above."""
    classes = [c for c in model.__mro__ if issubclass(c, Frozen) and leaf in c.model_fields]
    return next((text for c in classes if (text := c.model_fields[leaf].description)), "")


def _default_of(field: FieldInfo) -> object:
    return DERIVED if field.default_factory is not None else field.default


def _paragraph(text: str | None) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())


def _text(*, module: str, own: str | None = None) -> tuple[str, str]:
    """Return what a thing is and its paper, from the docstring of its module and, if it has one, its own.

    A module's docstring gives its paper in brackets, or as all of its first paragraph.
    """
    whole = inspect.cleandoc(getattr(sys.modules.get(module), "__doc__", None) or "")
    first = _paragraph(whole)
    if own and '"' in first:
        return _paragraph(own), first.partition(": ")[2]
    what, paper = _cited(first)
    paper = paper or _cited(" ".join(whole.split()))[1]
    return _paragraph(own) or what, paper


def _cited(text: str) -> tuple[str, str]:
    """Return a text without its first citation, and that citation."""
    found = CITATION.search(text)
    return (CITATION.sub("", text, count=1), found[1]) if found else (text, "")


def _configured(thing: Any, config: type[Frozen]) -> tuple[str, str]:
    return _text(module=config.__module__, own=vars(thing).get("__doc__") if isinstance(thing, type) else None)


def _function(function: Any) -> Any:
    return getattr(function, "func", function)


def _without_verb(function: Any) -> str:
    """Return what a function builds or returns, as its docstring says it."""
    return re.sub(r"^(?:Build|Return) ", "", _paragraph(function.__doc__))


def _dataset_text(dataset: Dataset) -> tuple[str, str]:
    return _cited(dataset.about) if dataset.about else _text(module=_function(dataset.read).__module__)


def _defense_settings(defense: Any) -> Iterator[Setting]:
    yield from settings_in(defense.Config, "defense.")
    yield from settings_in(defense.Inference, "inference.")


def _attack_settings(attack: Any) -> Iterator[Setting]:
    """Yield an attack's settings; those that have no default and are not missed follow from the others."""
    prefix, name = "attack.<column>.", attack.Spec.model_fields["name"].default
    try:
        follow = attack.Spec.model_validate({"name": name, "eps": [0.1]}).model_fields_set - {"name", "eps"}
    except ValidationError:
        follow = set()
    for setting in settings_in(attack.Spec, prefix):
        leaf = setting.key.removeprefix(prefix)
        chosen = replace(setting, type=_sizes(attack.Spec)) if leaf == "eps" else _with_choices(setting, leaf)
        travelled = replace(chosen, description=_with_travel(chosen.description, attack.Spec))
        yield replace(travelled, default=DERIVED, is_required=False) if leaf in follow else travelled


def _measure_settings(measure: Any) -> Iterator[Setting]:
    prefix = "measure.<column>."
    for setting in settings_in(measure.Spec, prefix):
        yield _with_choices(setting, setting.key.removeprefix(prefix))


def _with_choices(setting: Setting, leaf: str) -> Setting:
    """Return a setting that takes a registered name with the names that there are."""
    choices: dict[str, Iterable[str]] = {"norm": NORMS, "loss": CRITERIA}
    if setting.type != TEXT:
        return setting
    if leaf == "view":
        return replace(setting, type="a view of the defense: see `describe defense NAME`")
    return replace(setting, type=" | ".join(choices[leaf])) if leaf in choices else setting


def _sizes(spec: type[AttackSpec]) -> str:
    """Return the type of `eps`: how large it may be depends on the norm."""
    allowed = get_args(spec.model_fields["norm"].annotation) or tuple(NORMS.imported())
    largest = {norm: NORMS[norm].largest for norm in allowed}
    parts = [f"0 < number <= {most:g} for {norm}" for norm, most in largest.items() if most is not None]
    if len(parts) < len(allowed):
        parts.append("number > 0 for others" if parts else "number > 0")
    return f"list of ({'; '.join(parts)})"


def _with_travel(description: str, spec: type[AttackSpec]) -> str:
    """Return a description with the distance, in eps, that all steps of the attack go together."""
    return description.replace("`travel`", f"{spec.travel:g}") if issubclass(spec, SteppedSpec) else description


def _dataset_settings(dataset: Any) -> Iterator[Setting]:
    return (setting for setting in settings_in(DatasetSpec, "dataset.") if setting.key != "dataset.digest")


def _training_settings(spec: type[TrainingSpec]) -> Iterator[Setting]:
    """Yield what every training has beside its dataset, network and defense, which are kinds of their own."""
    for setting in settings_in(spec, ""):
        if setting.key == "seed":
            yield replace(setting, description=f"{setting.description}; given by --seeds, not by --set")
        elif setting.key.partition(".")[0] not in SHORTHANDS:
            yield setting


KINDS: dict[str, Kind] = {
    "defense": Kind(
        "how a model is built and trained to resist attacks",
        DEFENSES,
        lambda defense: _configured(defense, defense.Config),
        _defense_settings,
        lambda defense: sorted(defense.views),
    ),
    "attack": Kind(
        "how images are changed so that a model fails on them",
        ATTACKS,
        lambda attack: _configured(attack, attack.Spec),
        _attack_settings,
    ),
    "training": Kind(
        "how long a model is trained, and how its weights are fitted",
        {"training": TrainingSpec},
        lambda spec: ("What every training has, whatever its defense, network and dataset.", ""),
        _training_settings,
    ),
    "network": Kind(
        "the network that a defense trains",
        NETWORKS,
        lambda network: (_without_verb(network), ""),
        lambda network: settings_in(NetworkSpec, "network."),
    ),
    "measure": Kind(
        "what is measured of a model besides its accuracy",
        MEASURES,
        lambda measure: _configured(measure, measure.Spec),
        _measure_settings,
    ),
    "dataset": Kind(
        "the images that models are trained and tested on",
        DATASETS,
        _dataset_text,
        _dataset_settings,
    ),
    "norm": Kind("how the size of a change is measured", NORMS, lambda norm: (norm.about, "")),
    "criterion": Kind(
        "what an attack maximises",
        CRITERIA,
        lambda criterion: _cited(_without_verb(criterion.loss)),
    ),
    "judge": Kind(
        "how a model's answers are scored, for each kind of task",
        JUDGES,
        lambda judge: _text(module=_function(judge.predict).__module__),
    ),
    "format": Kind(
        "how a report is written to a file",
        FORMATS,
        lambda known: _text(module=_function(known.render).__module__),
    ),
    "study": Kind(
        "a named question: what is compared, under which attacks",
        STUDIES,
        lambda study: (study.question or study.title, ", ".join(filter(None, (study.paper, study.table)))),
    ),
}
