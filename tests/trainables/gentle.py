"""Settings under which each defense learns the digits in a few epochs of a narrow network."""

PGD = {"eps": 0.02, "steps": 2, "relative_step": 0.7}

GENTLE = {
    "gaussian_augmentation": {"fraction": 0.5},
    "fgsm_training": {"attack": {"attack": "fgsm", "eps": (0.01, 0.03)}},
    "madry": {"attack": PGD},
    "trades": {"attack": PGD},
    "embedding_matching": {"attack": PGD, "weight": 0.1},
}


def gentle(name):
    """Return a defense by its name, with its gentle settings."""
    return {"name": name, **GENTLE.get(name, {})}
