"""Settings under which each defense learns the digits in a few epochs of a narrow network."""

PGD = {"eps": 0.02, "steps": 2, "relative_step": 0.7}

GENTLE = {
    "gaussian_augmentation": {"fraction": 0.5},
    "fgsm_training": {"attack": {"attack": "fgsm", "eps": (0.01, 0.03)}},
    "madry": {"attack": PGD},
    "trades": {"attack": PGD},
    "embedding_matching": {"attack": PGD, "weight": 0.1},
}

# Configs of which a part of the model differs so much that they are to pass what every defense passes.
VARIANTS = {"rbf_mapping per_channel_code": {"name": "rbf_mapping", "psi": "per_channel_code"}}


def gentle(name):
    """Return a defense by its name, with its gentle settings, or one of the VARIANTS."""
    return VARIANTS.get(name) or {"name": name, **GENTLE.get(name, {})}
