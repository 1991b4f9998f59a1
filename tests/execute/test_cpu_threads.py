"""Compiled results do not depend on the number of threads, nor on the run: not in the last bit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from against_reference import Builder, flat, run

from flambeau.core import dtypes, random_streams
from flambeau.execute.cpu import pool
from flambeau.execute.cpu.compiler import compile_program
from flambeau.ops import (
    contraction,
    elementwise,
    indexed,
    ordered,
    randomness,
    reduction,
    window,
)
from flambeau.ops.value import Value


def sums(b: Builder) -> tuple[list[Value], list[tuple[int, Value]]]:
    x, y = b.random((300_001,)), b.random((700, 513))
    return [
        reduction.sum_(elementwise.exp(x), axes=(0,)),
        reduction.sum_(y, axes=(0,)),
        reduction.sum_(y, axes=(1,)),
        reduction.prod(y * 0.1 + 1.0, axes=(0,)),
        reduction.argmax(y, axes=(0,)),
    ], [(0, elementwise.tanh(x))]


def products(b: Builder) -> tuple[list[Value], list[tuple[int, Value]]]:
    x, w, v = b.random((64, 784)), b.random((784, 512)), b.random((512, 10))
    hidden = elementwise.maximum(contraction.dot(x, w), contraction.dot(x, w * 0.5))
    out = contraction.dot(hidden, v)
    ct = contraction.dot(out, contraction.swap_last(v))
    step = w - contraction.dot(contraction.swap_last(x), ct) * 0.01
    long = contraction.dot(contraction.swap_last(hidden), out)
    return [out, long], [(1, flat(step))]


def images(b: Builder) -> tuple[list[Value], list[tuple[int, Value]]]:
    x, w = b.random((32, 1, 3, 24, 24)), b.random((1, 10, 3, 5, 5))
    attrs = {"strides": (1, 1), "dilations": (1, 1)}
    out = contraction.conv(x, w, **attrs)
    pooling = {"sizes": (2, 2), "steps": (2, 2), "dilations": (1, 1)}
    pooled = window.max_pool(out, **pooling)
    ct = window.max_pool_gradient(out, elementwise.tanh(pooled), **pooling)
    gx, gw = contraction.conv.vjp(ct, out, x, w, **attrs)
    assert gx is not None and gw is not None
    return [pooled, gx, reduction.sum_(ct, axes=(0, 1, 3, 4))], [(1, flat(w - gw * 0.1))]


def orders(b: Builder) -> tuple[list[Value], list[tuple[int, Value]]]:
    x = b.random((40, 3000))
    index = b.data(b.rng.integers(0, 40, (2000,)), dtypes.int64)
    rows = indexed.take(x, index, what="index")
    state = b.data(np.asarray(random_streams.seed_state(3)), dtypes.uint32)
    attrs = {"kind": "normal_float32", "count": 70_000, "dtype": dtypes.float32}
    return [
        ordered.argsort(x, axis=1, descending=False),
        ordered.cumsum(x, axis=0),
        ordered.cumsum(x, axis=1),
        indexed.put_add(x, index, rows, what="index"),
        randomness.random_draw(state, **attrs, parameters=()),
    ], []


@pytest.fixture
def threads() -> Iterator[None]:
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


@pytest.mark.parametrize("make", [sums, products, images, orders])
def test_any_number_of_threads(
    make: Callable[[Builder], tuple[list[Value], list[tuple[int, Value]]]], threads: None
) -> None:
    b = Builder(make.__name__)
    program = b.program(*make(b))
    compiled = compile_program(program)
    assert compiled.parallel
    bases = [array for _, array in b.bases]
    outcomes = []
    for count in (1, 2, 3, 2, 1):
        pool.set_num_threads(count)
        results, after, code = run(compiled, program, bases, [])
        assert code == 0
        outcomes.append([array.tobytes() for array in (*results, *after)])
    assert all(outcome == outcomes[0] for outcome in outcomes)


SCRIPT = """
import flambeau as torch
from flambeau import nn, optim

torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
    nn.Linear(1440, 64), nn.BatchNorm1d(64), nn.Tanh(), nn.Linear(64, 10),
)
x, y = torch.randn(32, 1, 28, 28), torch.randint(0, 10, (32,))
optimizer = optim.Adam(model.parameters(), lr=0.01)
for step in range(6):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    print(loss.item().hex())
for parameter in model.parameters():
    print(parameter.detach().numpy().tobytes().hex())
"""


def test_a_training_run_is_the_same_with_any_number_of_threads() -> None:
    outputs = []
    for count in ("1", "2", "2"):
        settings = {"FLAMBEAU_NUM_THREADS": count, "FLAMBEAU_EXECUTOR": "compiled"}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | settings,
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1] == outputs[2]
    assert len(outputs[0].split()) == 14
