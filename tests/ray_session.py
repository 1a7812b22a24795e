"""One Ray for all tests that need it: two CPUs, no dashboard."""

import logging
import os

import pytest

from orchestrator.sweep import RAY_ENVIRONMENT


@pytest.fixture(scope="session")
def ray_session():
    os.environ.update(RAY_ENVIRONMENT)
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()
