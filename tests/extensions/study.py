"""A study that asks for one toy of each kind."""

from search_spaces import Study, Transfer

ATTACK = {"norm": "rms", "loss": "squared_error", "eps": (0.02, 0.1)}

STUDY = Study(
    name="toys",
    title="How near do regressors of ink stay to the truth?",
    base={"dataset": "ink", "network": "perceptron", "epochs": 4, "optimisation.lr": 3e-3},
    space=({"defense": ("regressor",), "defense.noise": (0.0, 0.2)},),
    baseline={"defense.noise": 0.0},
    attacks={"corner_rms": {"name": "corner", **ATTACK}, "pgd_rms": {"name": "pgd", "steps": 5, **ATTACK}},
    transfers={"moved": Transfer(attack="pgd_rms", source={"defense.noise": 0.0})},
    measures={"spread": {"name": "spread"}},
    search={"defense": ("regressor",), "defense.noise": (0.0, 0.1, 0.2)},
    seeds=(0, 1),
    examples=100,
)
