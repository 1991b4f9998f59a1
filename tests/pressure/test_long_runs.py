"""Long runs: what does not repeat is forgotten, what repeats takes no more memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flambeau.record.options import OPTIONS

from . import TIMES, run_script

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")

# Argument: how many distinct shapes (10,000 in the long form).
SHAPES = """
import gc, resource, sys
import flambeau as torch
from flambeau.record.options import OPTIONS
from flambeau.record.result_memory import RESULT_MEMORY, SOFT
from flambeau.record.tree import State

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

OPTIONS.states = 2000
w = torch.ones(8, requires_grad=True)
total = 0.0

def steps(first, last):
    global total
    for n in range(first, last):
        x = torch.full((1 + n % 997, 8 * (1 + n // 997)), 0.5)
        w.grad = None
        loss = (x[:, :8] * w).sum()
        loss.backward()
        total += loss.item() - 4 * x.shape[0]
        assert w.grad[0].item() == 0.5 * x.shape[0]

count = int(sys.argv[1])
steps(0, 300)
before = resident()
steps(300, count)
gc.collect()
states = sum(type(o) is State for o in gc.get_objects())
assert total == 0, total
assert states < 3 * OPTIONS.states, states
assert RESULT_MEMORY.held < 4 * SOFT
grown = (resident() - before) / 2**20
assert grown < 150, f"{grown} MiB"
print("fine")
"""


def test_ever_new_shapes_take_bounded_memory() -> None:
    assert OPTIONS.states > 2000 and sys.platform == "linux"
    count = min(1000 + 100 * (TIMES - 1), 10_000)
    assert run_script(SHAPES, str(count)) == "fine\n"
