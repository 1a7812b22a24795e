"""The rbf_mapping block against a direct one that materialises every difference f - c_j: B x P x K x H x W numbers.

Both forward and backward, two threads, in one run, in seconds of the processor, which other processes do not lengthen
as they do the clock's:

    OMP_WAIT_POLICY=passive pytest -m benchmark -s tests/benchmarks/test_rbf_mapping_speed.py

Without the policy, a thread that waits for the other one spins, which on a busy machine doubles the short times.
"""

import json
import time
from functools import partial

import pytest
import torch
from torch.profiler import profile

from trainables.defenses.rbf_mapping.block import RbfBlock
from trainables.defenses.rbf_mapping.config import RbfMappingConfig

B, K, P, SIDE = 128, 64, 64, 14
ROUNDS = {"ours": 20, "direct": 2}  # the best of each counts


@pytest.fixture
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def direct(block, features):
    """The formulas as they are printed."""
    difference = features[:, None] - block.centers[:, :, None, None]
    if block.psi == "factor":
        difference = torch.einsum("bpkhw,kr->bprhw", difference, block.A)
    phi = torch.exp(-block.beta[:, None, None] * difference.square().sum(2))
    return torch.cat([features, block.mix(phi)], 1)


FORWARDS = {"ours": RbfBlock.forward, "direct": direct}


def both_ways(function, block, features):
    """Return the output and the gradients of its sum of squares by the features and all parameters."""
    output = function(block, features)
    return output, *torch.autograd.grad(output.square().sum(), [features, *block.parameters()])


def best_seconds(function, rounds):
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return min(seconds)


def peak_bytes(function, folder):
    """The most that torch's CPU allocator held at once of what it gave while `function` ran.

    Every block counts, a temporary inside an operation too; the inputs, which were there before, do not.
    """
    with profile(profile_memory=True) as profiled:
        function()
    trace = folder / "trace.json"
    profiled.export_chrome_trace(str(trace))
    records = [event for event in json.loads(trace.read_text())["traceEvents"] if event["name"] == "[memory]"]
    held = peak = 0
    for record in sorted(records, key=lambda event: event["ts"]):
        held += record["args"]["Bytes"]
        peak = max(peak, held)
    return peak


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize("psi", ["factor", "identity"])
def test_the_block_is_10_times_as_fast_as_the_differences_in_a_20th_of_their_memory(psi, tmp_path):
    torch.manual_seed(0)
    block = RbfBlock(K, RbfMappingConfig(psi=psi, centers=P))
    features = torch.rand(B, K, SIDE, SIDE)
    block.calibrate(features)
    features.requires_grad_()
    runs = {name: partial(both_ways, function, block, features) for name, function in FORWARDS.items()}
    for fast, slow in zip(runs["ours"](), runs["direct"](), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-3, atol=1e-4 * slow.abs().max().item())
    seconds = {name: best_seconds(run, ROUNDS[name]) for name, run in runs.items()}
    peaks = {name: peak_bytes(run, tmp_path) for name, run in runs.items()}
    faster, smaller = (measured["direct"] / measured["ours"] for measured in (seconds, peaks))
    print(
        f"\npsi={psi}, B={B}, K=P={K}, {SIDE}x{SIDE}: direct {seconds['direct']:.2f} s, "
        f"ours {seconds['ours'] * 1e3:.0f} ms, {faster:.0f}x; "
        f"peak {peaks['direct'] / 1e6:.0f} MB and {peaks['ours'] / 1e6:.0f} MB, {smaller:.0f}x"
    )
    assert faster >= 10
    assert smaller >= 20
