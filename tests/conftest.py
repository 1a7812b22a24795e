"""What tests of every folder share: one thread, the digits, and the real data where they are."""

from pathlib import Path

import pytest
import torch

from trainables.data import Splits, load
from trainables.specs import DatasetSpec


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
def shared_datasets() -> Path:
    """The folder of real Parquet tables beside the repository."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "datasets"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder
