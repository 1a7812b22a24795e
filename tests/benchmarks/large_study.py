"""A study of 1,000 units, 125 trainings and 875 evaluations; its seeds make it larger or smaller."""

from search_spaces.study import Study, Transfer

EPS = (0.05, 0.1, 0.2)
STUDY = Study(
    name="large",
    title="A thousand units",
    base={"dataset": "digits", "defense": "none"},
    space=({"network.width": (4, 8, 12, 16, 20), "optimisation.lr": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)},),
    baseline={"network.width": 4},
    attacks={
        "fgsm_linf": {"name": "fgsm", "eps": EPS},
        "pgd_linf": {"name": "pgd", "eps": EPS},
        "spsa_linf": {"name": "spsa", "eps": EPS},
    },
    transfers={f"from_{width}": Transfer(attack="pgd_linf", source={"network.width": width}) for width in (4, 12, 20)},
    seeds=(0, 1, 2, 3, 4),
)
