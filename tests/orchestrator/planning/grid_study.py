"""A study of one attack with the grids that a test gives it, and what its plan holds."""

from orchestrator.planning.keys import flatten
from search_spaces import STUDIES
from search_spaces.study import Study, Transfer

QUICKSTART = STUDIES["quickstart"]
PGD = {"name": "pgd", "eps": (0.1, 0.2)}
WIDTHS = {"network.width": (4, 8)}
BOTH = {"defense": ("none", "rbf_mapping")}
GRADIENTS = {"name": "gradients"}


def study(*space, **changes):
    data = {"name": "s", "title": "S", "base": {"defense": "none"}, "attacks": {"pgd": PGD}}
    return Study(**data | {"space": space or ({},)} | changes)


def labels(plan):
    return [variant.label for variant in plan.variants]


def models(plan):
    """The spec of every row with its first seed, flat."""
    return [flatten(plan.trainings[variant.models[plan.seeds[0]]].model_dump()) for variant in plan.variants]


def values(plan, key):
    return [spec.get(key) for spec in models(plan)]


def transfer_study(*sources):
    return study(
        {"network.width": (2, 4, 8)},
        seeds=(0, 1, 5),
        transfers={f"from_{w}": Transfer(attack="pgd", source={"network.width": w}) for w in sources},
    )
