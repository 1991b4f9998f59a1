"""What holds for every test: its own seed, no `parity` without PyTorch, and nothing twice in CI.

FLAMBEAU_PASSED names a file. A run without PyTorch writes there which tests passed; a run with
PyTorch leaves those out, except where what is installed matters (SEE_PACKAGES).
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

import flambeau

SEE_PACKAGES = ("tests/cli/", "tests/compat/", "tests/house/", "tests/surface/")
PASSED_FILE = os.environ.get("FLAMBEAU_PASSED")
passed: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `parity` compare with PyTorch: they are skipped where it is not installed."""
    if find_spec("torch") is not None:
        if PASSED_FILE:
            _leave_out(config, items, set(Path(PASSED_FILE).read_text("utf-8").splitlines()))
        return
    skip = pytest.mark.skip(reason="torch is not installed")
    for item in items:
        if "parity" in item.keywords:
            item.add_marker(skip)


def _leave_out(config: pytest.Config, items: list[pytest.Item], ids: set[str]) -> None:
    ids = {name for name in ids if not name.startswith(SEE_PACKAGES)}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in ids])
    items[:] = [item for item in items if item.nodeid not in ids]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        passed.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if PASSED_FILE and find_spec("torch") is None and not hasattr(session.config, "workerinput"):
        Path(PASSED_FILE).write_text("".join(f"{name}\n" for name in passed), "utf-8")


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
