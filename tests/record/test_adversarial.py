"""Programs made to fool recognition: each runs recorded, op by op (FLAMBEAU_SYNC=1) and under
PyTorch, and what it gives must be the same in all three.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

import flambeau
from tests.pressure import TIMES
from tests.programs.modes import mode
from tests.record.adversarial import (  # noqa: F401 (each puts its cases there)
    gradients,
    models,
    surroundings,
    tensors,
)
from tests.record.adversarial.cases import CASES


def same(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        return a == b or abs(a - b) <= 1e-5 + 1e-4 * abs(a)
    return bool(a == b)


def difference(a: Any, b: Any, path: str = "") -> str:
    """Where two outcomes differ first."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        found = (difference(x, y, f"{path}[{n}]") for n, (x, y) in enumerate(zip(a, b)))
        return next((one for one in found if one), "")
    return "" if same(a, b) else f"{path}: {a} and {b}"


@pytest.mark.parametrize("name", CASES)
def test_recorded_is_op_by_op(name: str) -> None:
    with mode("sync"):
        wanted = CASES[name](flambeau)
    for way in ("recognised", "recognised", *(["compiled"] if TIMES > 1 else [])):
        with mode(way):
            assert not difference(wanted, CASES[name](flambeau)), way


@pytest.mark.parity
@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    wanted = CASES[name](torch)
    for _ in range(2):
        with mode("recognised"):
            assert not difference(wanted, CASES[name](flambeau))
