"""An epoch of afd beside one of natural training and one of Madry's with the same attack, in one run.

pytest -m benchmark -s tests/benchmarks/test_afd_epoch.py
"""

import time

import pytest
import torch

from trainables.defenses.afd import Afd, AfdConfig
from trainables.defenses.madry import Madry, MadryConfig
from trainables.defenses.natural import Natural, NaturalConfig
from trainables.fitting import Batches, Task
from trainables.specs import NetworkSpec, OptimisationSpec

ATTACK = {"attack": "pgd", "eps": 0.3, "steps": 10}
ROUNDS = 4


@pytest.mark.benchmark
def test_the_game_costs_less_than_half_of_plain_adversarial_training(digits):
    optimisation = OptimisationSpec(batch_size=64)
    pixels, labels = (torch.from_numpy(array[:512]) for array in (digits.train.pixels, digits.train.labels))
    batches = Batches(pixels, labels, optimisation, torch.Generator().manual_seed(0))
    task = Task(digits.shape, digits.classes, NetworkSpec(width=16), optimisation, ROUNDS, torch.device("cpu"))
    defenses = {
        "natural": Natural(NaturalConfig(), task),
        "madry": Madry(MadryConfig(attack=ATTACK), task),
        "afd": Afd(AfdConfig(adversarial=ATTACK), task),
    }
    seconds = dict.fromkeys(defenses, float("inf"))
    # The first round warms up; rounds alternate, so that a busy machine slows all of them.
    for number in range(ROUNDS + 1):
        for name, defense in defenses.items():
            defense.model.train()
            start = time.perf_counter()
            defense.train_epoch(batches)
            if number:
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    natural, madry, afd = seconds.values()
    print(
        f"\nepoch of 512 images, PGD-10: natural {natural:.3f} s, madry {madry:.3f} s, afd {afd:.3f} s; "
        f"afd / natural {afd / natural:.1f}x, afd / madry {afd / madry:.2f}x"
    )
    assert afd / madry < 1.5
