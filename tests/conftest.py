"""Tests marked `parity` compare with PyTorch: they are skipped where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_spec("torch") is not None:
        return
    skip = pytest.mark.skip(reason="torch is not installed")
    for item in items:
        if "parity" in item.keywords:
            item.add_marker(skip)
