"""Loss curves of the long and winding programs of bench/long.py: PyTorch's, from the same seed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES

sys.path.append(str(Path(__file__).parents[2] / "bench"))
import long

pytestmark = pytest.mark.parity
PROGRAMS: dict[str, tuple[Callable[[Any], Any], int, float]] = {
    "cells": (long.cells(length=30, width=16, batch=4), 8, 1e-5),
    "gates": (long.gates(length=20, width=16, batch=4), 8, 1e-5),
    "transformer": (long.layers.transformer(12, 2, 16), 6, 1e-5),
    "mlp_gan": (long.mlp_gan, 6, 1e-4),
    "dcgan": (long.dcgan, 3, 1e-3),
    "deciding": (long.deciding, 12, 1e-5),
    "counting": (long.counting, 20, 1e-5),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_loss_curves(name: str) -> None:
    build, count, rtol = PROGRAMS[name]
    curves = []
    for library in LIBRARIES:
        library.manual_seed(0)
        step = build(library).step
        curves.append([step() for _ in range(count)])
    assert curves[1] == pytest.approx(curves[0], rel=rtol)
