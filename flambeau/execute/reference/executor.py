"""Runs programs with NumPy, one primitive at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType, bfloat16_from_float32, float32_from_bfloat16
from flambeau.execute.reference.blas import one_thread
from flambeau.graph.program import Program, data_operands, reachable
from flambeau.ops.primitive import RECURRENCE, Array
from flambeau.ops.value import Scalar, Value

# (all values of a program) -> (value, operands) -> the value where there is a shorter way, or None.
Shortcut = Callable[[Value, Sequence[Array]], "Array | None"]


# Functions whose reference is a loop in Python, and from how many elements on that takes long.
LOOPS = ("erf", "erfc", "erfinv", "lgamma", "digamma")
LONG_LOOP = 1024


def takes_long(v: Value) -> bool:
    """Whether a kernel for this value alone is worth having."""
    if v.primitive.family == RECURRENCE:
        return True
    return v.primitive.name in LOOPS and v.size >= LONG_LOOP and v.dtype.itemsize >= 4


def execute(
    program: Program,
    bases: Sequence[Array],
    scalars: Sequence[Scalar],
    shortcuts: Callable[[Sequence[Value]], Shortcut] | None = None,
) -> list[Array]:
    """Computes the program; returns the results as contiguous arrays and writes the updates into
    `bases`.

    `bases` are flat arrays in storage form (bfloat16 as uint16 bits). Nothing is written if a
    primitive raises. `shortcuts` gives kernels for some of the values.
    """
    nodes = reachable(program.outputs(), data=True)
    uses: dict[Value, int] = {}
    for node in nodes:
        for operand in data_operands(node):
            uses[operand] = uses.get(operand, 0) + 1
    for output in program.outputs():
        uses[output] = uses.get(output, 0) + 1
    shortcut = None if shortcuts is None else shortcuts(nodes)
    arrays: dict[Value, Array] = {}
    with np.errstate(all="ignore"), one_thread():
        for node in nodes:
            try:
                arrays[node] = evaluate(node, arrays, bases, scalars, shortcut)
            except Exception as error:
                error.__dict__["node"] = node  # whoever runs the program can say where it is from
                raise
            for operand in data_operands(node):
                uses[operand] -= 1
                if not uses[operand]:
                    arrays.pop(operand, None)
        results = [np.array(encode(arrays[v], v.dtype), order="C") for v in program.results]
        updates = [
            (u.base, np.array(encode(arrays[u.value], u.value.dtype))) for u in program.updates
        ]
    for base, array in updates:
        bases[base][: array.size] = array.ravel()
    return results


def evaluate(
    node: Value,
    arrays: dict[Value, Array],
    bases: Sequence[Array],
    scalars: Sequence[Scalar],
    shortcut: Shortcut | None = None,
) -> Array:
    """One primitive on computed operands; bfloat16 values travel as float32 arrays."""
    if node.primitive.name == "input":
        index = node.attrs["index"]
        if node.attrs["role"] == "base":
            return decode(bases[index][: node.shape[0]], node.dtype)
        return np.asarray(scalars[index], node.dtype.numpy)
    operands = [arrays[v] for v in data_operands(node)]
    if shortcut is not None:
        short = shortcut(node, operands)
        if short is not None:
            return short
    result = node.primitive.reference(*operands, **node.attrs)
    if node.dtype.name == "bfloat16":
        # Round at once, as storing would.
        return float32_from_bfloat16(bfloat16_from_float32(np.asarray(result, np.float32)))
    if result.dtype != node.dtype.numpy:
        result = result.astype(node.dtype.numpy)
    assert result.shape == node.shape, (node, result.shape)
    return result


def encode(array: Array, dtype: DType) -> Array:
    """A computed array in storage form."""
    return bfloat16_from_float32(array) if dtype.name == "bfloat16" else array


def decode(array: Array, dtype: DType) -> Array:
    """A stored array in computing form."""
    return float32_from_bfloat16(array) if dtype.name == "bfloat16" else array


def to_array(value: Any, dtype: DType) -> Array:
    """A scalar or nested list as an array of `dtype` in storage form."""
    if dtype.name == "bfloat16":
        return bfloat16_from_float32(np.asarray(value, np.float32))
    return np.asarray(value, dtype.numpy)
