import re

import pytest

from orchestrator.cluster.resources import Resources
from trainables.errors import InputError

GIB = 2**30


@pytest.mark.parametrize(
    ("resources", "nodes", "slots"),
    [
        pytest.param(Resources(), {"CPU": 2}, 2, id="a CPU a trial"),
        pytest.param(Resources(cpus_per_trial=0.5), {"CPU": 2}, 4, id="half a CPU a trial"),
        pytest.param(Resources(cpus_per_trial=1.5), {"CPU": 4}, 2, id="the rest idles"),
        pytest.param(Resources(cpus_per_trial=0.1), {"CPU": 0.3}, 3, id="0.3 / 0.1 rounds below 3 in floats"),
        pytest.param(Resources(max_concurrent=3), {"CPU": 8}, 3, id="no more than asked for"),
        pytest.param(Resources(max_concurrent=8), {"CPU": 2}, 2, id="no more than fit"),
        pytest.param(Resources(gpus_per_trial=0.25), {"CPU": 16, "GPU": 1}, 4, id="four trials on a GPU"),
        pytest.param(Resources(gpus_per_trial=0.25), {"CPU": 3, "GPU": 1}, 3, id="CPUs are short"),
        pytest.param(Resources(cpus_per_trial=3), [{"CPU": 4}, {"CPU": 4}], 2, id="each on one node"),
        pytest.param(Resources(address="auto", max_concurrent=8), {"CPU": 2}, 8, id="a cluster may grow"),
        pytest.param(Resources(cpus_per_trial=0, gpus_per_trial=1), {"CPU": 1, "GPU": 2}, 2, id="GPUs alone"),
    ],
)
def test_as_many_trials_run_at_once_as_fit(resources, nodes, slots):
    resources.check()
    assert resources.slots(nodes if isinstance(nodes, list) else [nodes]) == slots


@pytest.mark.parametrize(
    ("resources", "nodes", "message"),
    [
        pytest.param(
            Resources(cpus_per_trial=4),
            [{"CPU": 2}, {"CPU": 3}],
            "asked for 4 CPU (--cpus-per-trial, --gpus-per-trial), the largest node has 3 CPU",
            id="CPU",
        ),
        pytest.param(
            Resources(gpus_per_trial=0.5),
            [{"CPU": 2}],
            "asked for 1 CPU and 0.5 GPU (--cpus-per-trial, --gpus-per-trial), the largest node has 2 CPU and 0 GPU",
            id="no GPU",
        ),
    ],
)
def test_a_trial_that_fits_nowhere_is_refused(resources, nodes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        resources.slots(nodes)


def test_a_trials_memory_becomes_its_share_of_the_smallest_gpu():
    packed = Resources(cpus_per_trial=2, gpu_memory_per_trial=6 * GIB).packed([80 * GIB, 24 * GIB])
    assert packed == Resources(cpus_per_trial=2, gpus_per_trial=0.25)
    assert packed.slots([{"CPU": 16, "GPU": 1}]) == 4
    assert Resources(gpus_per_trial=0.5).packed([]) == Resources(gpus_per_trial=0.5)


def test_a_trials_memory_without_a_gpu_is_refused():
    with pytest.raises(InputError, match="gpu_memory_per_trial needs a node with a GPU, and there is none"):
        Resources(gpu_memory_per_trial=GIB).packed([])


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        pytest.param(
            Resources(gpus_per_trial=0.5, gpu_memory_per_trial=6 * GIB),
            "--gpus-per-trial or follows from --gpu-memory-per-trial, got both: 0.5 and 6.00 GiB",
            id="a share and memory",
        ),
        pytest.param(Resources(cpus_per_trial=0), "a trial needs CPUs or GPUs, got cpus_per_trial=0", id="nothing"),
        pytest.param(
            Resources(cpus_per_trial=-1, gpus_per_trial=1), "cpus_per_trial must be >= 0, got -1", id="CPU < 0"
        ),
        pytest.param(
            Resources(gpus_per_trial=1.5),
            "gpus_per_trial must be in [0, 1], a trial uses one GPU, got 1.5",
            id="GPU 1.5",
        ),
        pytest.param(Resources(gpus_per_trial=-1), "gpus_per_trial must be in [0, 1]", id="GPU < 0"),
        pytest.param(Resources(cpus_per_trial=float("nan")), "resources must be numbers, got nan", id="no number"),
        pytest.param(Resources(address="ray://head:10001"), "from outside: robust-sweep submit STUDY", id="Ray Client"),
        pytest.param(Resources(max_concurrent=0), "max_concurrent must be >= 1, got 0", id="none at once"),
    ],
)
def test_resources_that_no_trial_could_have_are_refused(resources, message):
    with pytest.raises(InputError, match=re.escape(message)):
        resources.check()
