import pytest
import torch

from trainables.runtime.memory import let_go, peak_memory

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_on_the_cpu_nothing_is_measured():
    let_go(torch.device("cpu"))
    assert peak_memory(torch.device("cpu")) == 0


@needs_gpu
def test_a_peak_is_that_since_the_last_unit_was_let_go():
    device = torch.device("cuda")
    let_go(device)
    before = peak_memory(device)
    large = torch.empty(64 * 2**20, dtype=torch.uint8, device=device)
    assert peak_memory(device) >= before + 64
    del large
    let_go(device)
    assert peak_memory(device) < before + 64
