"""Steps of a compiled program that the reference executor computes, on the program's buffers."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np

from flambeau.core.shapes import memory_order
from flambeau.execute.cpu.body import Buffer
from flambeau.execute.cpu.lower import HostStep
from flambeau.execute.reference.executor import decode, encode
from flambeau.graph.program import Program
from flambeau.ops.value import Value


def run_host(step: HostStep, program: Program, table: Any) -> None:
    """Computes a step on a pointer table (int64 array). Raises what its primitive raises."""
    arrays = [
        decode(_row_major(b, _array(b, program, table), x), x.dtype)
        for b, x in zip(step.operands, step.value.inputs, strict=True)
    ]
    v = step.value
    with np.errstate(all="ignore"):
        result = v.primitive.reference(*arrays, **v.attrs)
        if v.dtype.name != "bfloat16" and result.dtype != v.dtype.numpy:
            result = result.astype(v.dtype.numpy)
    stored = np.ascontiguousarray(encode(result, v.dtype)).ravel()
    for buffer in step.results:
        _array(buffer, program, table)[:] = stored


def _row_major(buffer: Buffer, memory: Any, value: Value) -> Any:
    """The elements of a buffer as an array of the shape of `value` (a base may be longer)."""
    if buffer.strides is None:
        return memory[: value.size].reshape(value.shape)
    order = memory_order(buffer.shape, buffer.strides)
    inner = memory.reshape([buffer.shape[a] for a in order])
    return inner.transpose([order.index(a) for a in range(len(order))]).reshape(value.shape)


def _array(buffer: Buffer, program: Program, table: Any) -> Any:
    slot, offset = location(buffer, program)
    address = int(table[slot]) + offset
    if not buffer.size:
        return np.empty(0, buffer.dtype.numpy)
    return _memory(address, buffer.dtype.numpy, buffer.size)


@lru_cache(maxsize=256)
def _memory(address: int, dtype: Any, count: int) -> Any:
    """So many elements at an address, which the array does not hold: programs run on the same ones
    again and again.
    """
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
    return np.frombuffer(memoryview(memory), dtype, count)


def location(buffer: Buffer, program: Program) -> tuple[int, int]:
    """(table slot, byte offset) of a buffer."""
    bases, results = len(program.bases), len(program.results)
    if buffer.kind == "base":
        return buffer.place, 0
    if buffer.kind == "result":
        return bases + buffer.place, 0
    return bases + results + 1, buffer.place
