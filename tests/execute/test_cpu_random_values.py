"""Random programs of whole numbers over all kinds of layouts: the compiler gives exactly what the
reference executor gives, at every vector width.

FLAMBEAU_FUZZ says how many, FLAMBEAU_FUZZ_FROM the first one's seed.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from against_reference import Builder
from random_values import Garden

from flambeau.core import dtypes
from flambeau.ops import indexed, reduction, view

DTYPES = (
    *(dtypes.float32, dtypes.int64, dtypes.float64, dtypes.bool_, dtypes.int32),
    *(dtypes.uint8, dtypes.bfloat16, dtypes.float16, dtypes.int8),
)


FIRST = int(os.environ.get("FLAMBEAU_FUZZ_FROM", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("FLAMBEAU_FUZZ", "27")))


@pytest.mark.parametrize("vector_bits", [128, 256, None], ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_exactly_the_reference(seed: int, vector_bits: int | None) -> None:
    dtype = DTYPES[seed % len(DTYPES)]
    garden = Garden(seed, dtype)
    pool = garden.grow(20)
    b = garden.builder
    picks = sorted({int(i) for i in b.rng.integers(len(pool) // 2, len(pool), 6)})
    updates = []
    for number, (kept, array) in enumerate(b.bases):
        fitting = [v for v in pool if v.size == array.size]
        if kept is dtype and fitting and b.rng.random() < 0.5:
            value = fitting[b.rng.integers(len(fitting))]
            updates.append((number, view.reshape(value, shape=(array.size,))))
    b.check([pool[i] for i in picks], updates, tolerance=0.0, vector_bits=vector_bits)


def test_sums_of_nothing_read_nothing() -> None:
    b = Builder()
    x = b.random((4,))
    index = b.data(np.zeros((3, 0)), dtypes.int64)
    taken = indexed.take(x, index, what="index")
    compiled = b.check([reduction.sum_(taken, axes=(1,)), reduction.prod(taken, axes=(0, 1))])
    assert all(
        operand.buffer is None or operand.buffer.kind == "result"
        for kernel in compiled.kernels
        for operand in kernel.operands
    )
