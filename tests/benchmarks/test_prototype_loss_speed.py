"""The prototype loss with its gradient and the prototypes' step, against a loop over samples, in one run.

pytest -m benchmark -s tests/benchmarks/test_prototype_loss.py
"""

import time
from functools import partial

import pytest
import torch

from trainables.defenses.pcl.prototype_loss import Prototypes, Rule, code_loss, code_step

B, K, D = 256, 100, 1024
ROUNDS = 5


def loop(f, y, pull, push):
    """Loss and gradients as a loop over samples gives them, with autograd for the prototypes."""
    losses = []
    for features, label in zip(f, y, strict=True):
        others = torch.arange(K) != label
        away = (features - push[others]).square().sum(1).mean()
        losses.append((features - pull[label]).square().sum() - 1e-4 * away)
    loss = torch.stack(losses).mean()
    d_f, d_pull, d_push = torch.autograd.grad(loss, (f, pull, push))
    return loss, d_f, torch.stack([pull - 0.5 * d_pull, push - 1e-4 * d_push / 1e-4])


def ours(f, y, prototypes):
    loss = prototypes(f, y)
    (d_f,) = torch.autograd.grad(loss, f)
    return loss, d_f, prototypes.w


def best_of(rounds, function):
    function()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


@pytest.mark.benchmark
def test_one_product_is_at_least_20_times_as_fast_as_a_loop_over_samples():
    generator = torch.Generator().manual_seed(0)
    f = torch.randn(B, D, generator=generator).requires_grad_()
    y = torch.randint(0, K, (B,), generator=generator)
    rule = Rule(2, partial(code_loss, pull_weight=1, push_weight=1e-4), partial(code_step, pull_lr=0.5, push_lr=1e-4))
    prototypes = Prototypes(rule, K, D)
    pull, push = (w.clone().requires_grad_() for w in prototypes.w)
    slow_result = loop(f, y, pull, push)
    for fast, slow in zip(ours(f, y, prototypes), slow_result, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)
    slow = best_of(ROUNDS, lambda: loop(f, y, pull, push))
    fast = best_of(10 * ROUNDS, lambda: ours(f, y, prototypes))
    print(f"\nB={B}, k={K}, d={D}: loop {slow * 1e3:.1f} ms, ours {fast * 1e3:.2f} ms, {slow / fast:.0f}x")
    assert slow / fast >= 20
