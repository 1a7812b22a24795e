import re

import pytest

from orchestrator.resources import Resources
from trainables.errors import InputError


@pytest.mark.parametrize(
    ("resources", "cluster", "slots"),
    [
        pytest.param(Resources(), {"CPU": 2}, 2, id="a CPU a trial"),
        pytest.param(Resources(cpus_per_trial=0.5), {"CPU": 2}, 4, id="half a CPU a trial"),
        pytest.param(Resources(cpus_per_trial=1.5), {"CPU": 4}, 2, id="the rest idles"),
        pytest.param(Resources(cpus_per_trial=0.1), {"CPU": 0.3}, 3, id="0.3 / 0.1 rounds below 3 in floats"),
        pytest.param(Resources(max_concurrent=3), {"CPU": 8}, 3, id="no more than asked for"),
        pytest.param(Resources(max_concurrent=8), {"CPU": 2}, 2, id="no more than fit"),
        pytest.param(Resources(gpus_per_trial=0.25), {"CPU": 16, "GPU": 1}, 4, id="four trials on a GPU"),
        pytest.param(Resources(gpus_per_trial=0.25), {"CPU": 3, "GPU": 1}, 3, id="CPUs are short"),
        pytest.param(Resources(gpus_per_trial=2), {"CPU": 16, "GPU": 8}, 4, id="two GPUs a trial"),
        pytest.param(Resources(cpus_per_trial=0, gpus_per_trial=1), {"CPU": 1, "GPU": 2}, 2, id="GPUs alone"),
    ],
)
def test_as_many_trials_run_at_once_as_fit(resources, cluster, slots):
    resources.check()
    assert resources.slots(cluster) == slots


@pytest.mark.parametrize(
    ("resources", "cluster", "message"),
    [
        pytest.param(
            Resources(cpus_per_trial=4),
            {"CPU": 2},
            "--cpus-per-trial=4 asks for more than the cluster's 2 CPUs",
            id="CPU",
        ),
        pytest.param(
            Resources(gpus_per_trial=0.5),
            {"CPU": 2},
            "--gpus-per-trial=0.5 asks for more than the cluster's 0 GPUs",
            id="no GPU",
        ),
    ],
)
def test_a_trial_that_fits_nowhere_is_refused(resources, cluster, message):
    with pytest.raises(InputError, match=re.escape(message)):
        resources.slots(cluster)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        pytest.param(Resources(cpus_per_trial=0), "a trial needs CPUs or GPUs, got cpus_per_trial=0", id="nothing"),
        pytest.param(
            Resources(cpus_per_trial=-1, gpus_per_trial=1), "cpus_per_trial must be >= 0, got -1", id="CPU < 0"
        ),
        pytest.param(
            Resources(gpus_per_trial=1.5), "gpus_per_trial must be in [0, 1] or a whole number, got 1.5", id="GPU 1.5"
        ),
        pytest.param(Resources(gpus_per_trial=-1), "gpus_per_trial must be in [0, 1]", id="GPU < 0"),
        pytest.param(Resources(max_concurrent=0), "max_concurrent must be >= 1, got 0", id="none at once"),
    ],
)
def test_resources_that_no_trial_could_have_are_refused(resources, message):
    with pytest.raises(InputError, match=re.escape(message)):
        resources.check()
