"""What tests of every folder share: one thread, the digits, the real data where they are, and one Ray."""

import logging
import os
from pathlib import Path

import pytest
import torch
from readmes import PAGES

from orchestrator.cluster.connection import RAY_ENVIRONMENT
from trainables.data.datasets import load
from trainables.data.spec import DatasetSpec
from trainables.data.splits import Splits


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Tests share few cores, and their tensors are small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits() -> Splits:
    """The bundled dataset, 28x28; not to be changed."""
    return load(DatasetSpec(name="digits"))


@pytest.fixture(scope="session")
def my_package(tmp_path_factory) -> Path:
    """The folder in which the package of trainables/README.md is installed, for those who put it on their path."""
    folder = tmp_path_factory.mktemp("installed")
    PAGES["trainables/README.md"].install(folder)
    return folder


@pytest.fixture(scope="session")
def shared_datasets() -> Path:
    """The folder of real Parquet tables beside the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "datasets"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.fixture(scope="session")
def ray_session():
    """One Ray for all tests that need it: two CPUs, no dashboard."""
    os.environ.update(RAY_ENVIRONMENT)
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()
