"""A long run does not grow: memory, states and plans after many steps are those after few."""

from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flambeau
from flambeau.record.options import OPTIONS
from flambeau.record.statistics import STATISTICS
from flambeau.record.tree import State

STEPS = int(os.environ.get("FLAMBEAU_MEMORY_STEPS", "100000"))


def bench() -> Any:
    """bench/memory.py as a module."""
    path = Path(__file__).parents[2] / "bench" / "memory.py"
    spec = importlib.util.spec_from_file_location("bench_memory", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_steps_do_not_grow_memory() -> None:
    # In a process of its own: another test's memory would be given back in the meantime.
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    alone = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert alone.returncode == 0, alone.stderr


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_results_of_many_shapes_are_given_back() -> None:
    """200 shapes of 8 MB: what they need together, 1.6 GB, is not kept; what is held stays."""
    resident = bench().resident
    before = resident()
    held = []
    for extra in range(200):
        result = flambeau.full((2_000_000 + extra,), 2.0) * 3
        assert result[-1].item() == 6
        if extra % 50 == 0:
            held.append(result)
    del result
    assert resident() - before < 800
    assert all((kept == 6).all().item() for kept in held)


def test_states_of_ever_new_shapes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where programs end in the middle of a step, so that histories lead from each into the
    one before.
    """
    monkeypatch.setattr(OPTIONS, "states", 2_000)
    w = flambeau.randn(4, 4, requires_grad=True)
    before = sum(type(o) is State for o in gc.get_objects())
    for extent in range(1, 200):
        y = (flambeau.ones(extent, 4) @ w).relu()
        for _ in range(20):
            y = y * 2 - 1
        y.sum().backward()
        w.grad = None
    del y
    flambeau.zeros(1).item()
    gc.collect()
    assert sum(type(o) is State for o in gc.get_objects()) - before < 5_000


def many_steps() -> None:
    module = bench()
    module.train(2000, 1000)
    states, plans = STATISTICS.states, STATISTICS.plans
    found = module.train(STEPS, STEPS // 5)
    assert STATISTICS.states - states < 20
    assert STATISTICS.plans - plans < 5
    # 10 bytes a step would be 1 MiB; the allocator's own noise is a few pages.
    assert found[-1] - found[0] < 2, found


if __name__ == "__main__":
    many_steps()
