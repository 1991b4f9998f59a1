"""What holds for every test: its own seed, and no `parity` without PyTorch."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from zlib import crc32

import numpy as np
import pytest

import flambeau


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `parity` compare with PyTorch: they are skipped where it is not installed."""
    if find_spec("torch") is not None:
        return
    skip = pytest.mark.skip(reason="torch is not installed")
    for item in items:
        if "parity" in item.keywords:
            item.add_marker(skip)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Numbers that a test draws without a seed are the same in each run, another row per test."""
    seed = crc32(item.nodeid.encode())
    random.seed(seed)
    np.random.seed(seed)
    flambeau.manual_seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(seed)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch's threads wait for each other at work this small, and longer on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
