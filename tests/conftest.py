"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips that lies beside the checkout; tests skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the real clips in ../shared/data, which are not part of the repository")
    return SHARED / "data"


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """ImageNet SqueezeNet weights beside the checkout; tests skip where they are absent."""
    path = SHARED / "weights" / "squeezenet1_0-imagenet.safetensors"
    if not path.is_file():
        pytest.skip("needs ../shared/weights, which is not part of the repository")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests without a GPU, unless REQUIRE_CUDA=1 turns that into failures."""
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_items or os.environ.get("REQUIRE_CUDA") == "1":
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason="no CUDA device here"))
