"""Aligned memory: alignment, lifetime of views, blocks used again, errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flambeau.execute.cpu import memory


@pytest.mark.parametrize("nbytes", [0, 1, 63, 4096, 65536, 65537, 3_000_001])
def test_allocation_is_aligned_and_whole(nbytes: int) -> None:
    held = [memory.allocate(nbytes) for _ in range(3)]
    spans = sorted((m.address, m.address + nbytes) for m in held)
    assert all(m.address % 64 == 0 and m.nbytes == nbytes for m in held)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    for i, one in enumerate(held):
        one.ndarray(np.uint8, nbytes)[...] = i + 1
    for i, one in enumerate(held):
        assert (one.ndarray(np.uint8, nbytes) == i + 1).all()


def test_views_keep_memory_alive_and_it_is_used_again() -> None:
    memory.release_kept_memory()
    one = memory.allocate(200_000)
    address = one.address
    view = one.ndarray(np.float32, (10, 20), offset=64)
    view[...] = 3.0
    assert view.ctypes.data == address + 64
    del one
    assert memory.allocate(200_000).address != address
    part = view[2:5].T
    del view
    another = memory.allocate(200_000)
    assert another.address != address
    assert (part == 3.0).all()
    del part
    assert memory.allocate(199_000).address == address


def test_kept_blocks_stay_within_their_limit() -> None:
    kept = memory._KeptBlocks(limit=1000)
    blocks = [np.empty(size, np.uint8) for size in (400, 300, 400, 2000)]
    for block in blocks:
        kept.give(block)
    assert kept.total == 700
    assert kept.take(2000) is None
    assert kept.take(400) is blocks[2]
    assert kept.take(400) is None
    assert kept.total == 300


def test_memory_errors() -> None:
    one = memory.allocate(100)
    for shape, offset in (((26,), 0), ((1,), 97), ((1,), -4), ((5, 5), 4)):
        with pytest.raises(ValueError, match="does not fit"):
            one.ndarray(np.float32, shape, offset)
    assert one.ndarray(np.float32, (0, 1000), 100).size == 0
    with pytest.raises(MemoryError, match=str(1 << 60)):
        memory.allocate(1 << 60)
    with pytest.raises(ValueError, match="-1"):
        memory.allocate(-1)


def test_out_of_memory_beyond_any_address_space() -> None:
    with pytest.raises(MemoryError, match=str(1 << 63)):
        memory.allocate(1 << 63)
