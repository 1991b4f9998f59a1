"""Runs a program in the CPU compiler and in the reference executor, on random data."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.expansion import expand_primitives
from flambeau.execute.cpu.forms import Forms
from flambeau.execute.cpu.memory import allocate
from flambeau.execute.reference.executor import decode, execute, to_array
from flambeau.graph.program import Program, Update, scalar_words
from flambeau.graph.simplify import simplify
from flambeau.graph.verify import verify
from flambeau.ops import (
    source,
    view,
)
from flambeau.ops.value import Value

FLOATS = (dtypes.float32, dtypes.float64, dtypes.float16, dtypes.bfloat16)
INTEGERS = (dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)


def flat(v: Value) -> Value:
    return view.reshape(v, shape=(v.size,))


class Builder:
    """Makes program inputs with random contents, then runs the program both ways."""

    def __init__(self, seed: int | str = 0) -> None:
        number = zlib.crc32(seed.encode()) if isinstance(seed, str) else seed
        self.rng = np.random.default_rng(number)
        self.bases: list[tuple[DType, np.ndarray[Any, Any]]] = []
        self.scalars: list[tuple[DType, Any]] = []
        self.flat: list[Value] = []

    def data(self, array: Any, dtype: DType) -> Value:
        """A base with the given contents, shown in its shape."""
        array = np.asarray(array)
        stored = to_array(array.ravel(), dtype)
        index = len(self.bases)
        self.bases.append((dtype, np.array(stored)))
        flat = source.program_input("base", index, (stored.size,), dtype)
        self.flat.append(flat)
        strides = (
            tuple(int(s) for s in np.zeros(array.shape, np.int8).strides)
            if array.size
            else (0,) * array.ndim
        )
        return view.as_strided(flat, shape=array.shape, strides=strides, offset=0)

    def random(self, shape: tuple[int, ...], dtype: DType = dtypes.float32) -> Value:
        if dtype.kind == "b":
            return self.data(self.rng.random(shape) < 0.5, dtype)
        if dtype.kind == "i":
            low = 0 if not dtype.is_signed else -9
            return self.data(self.rng.integers(low, 10, shape), dtype)
        return self.data(self.rng.standard_normal(shape), dtype)

    def scalar(self, number: Any, dtype: DType) -> Value:
        self.scalars.append((dtype, number))
        return source.program_input("scalar", len(self.scalars) - 1, (), dtype)

    def program(
        self, results: list[Value], updates: list[tuple[int, Value]] | None = None
    ) -> Program:
        found = tuple(Update(b, v) for b, v in updates or [])
        return Program(
            tuple((d, a.size) for d, a in self.bases),
            tuple(d for d, _ in self.scalars),
            tuple(results),
            found,
        )

    def check(
        self,
        results: list[Value],
        updates: list[tuple[int, Value]] | None = None,
        tolerance: float = 4.0,
        vector_bits: int | None = None,
        forms: Forms | None = None,
    ) -> CompiledProgram:
        """Both executors; results and updated bases must agree to `tolerance` units of
        precision.
        """
        program = self.program(results, updates)
        verify(program)
        verify(simplify(program))
        verify(expand_primitives(simplify(program)))
        compiled = compile_program(program, vector_bits=vector_bits, forms=forms)
        expected_bases = [a.copy() for _, a in self.bases]
        expected = execute(program, expected_bases, [v for _, v in self.scalars])
        got, got_bases, code = run(
            compiled, program, [a for _, a in self.bases], [v for _, v in self.scalars]
        )
        assert code == 0
        for value, a, b in zip(program.results, got, expected, strict=True):
            agree(a, b, value.dtype, tolerance)
        for (dtype, _), a, b in zip(self.bases, got_bases, expected_bases, strict=True):
            agree(a, b, dtype, tolerance)
        return compiled


def run(
    compiled: CompiledProgram, program: Program, bases: list[Any], scalars: list[Any]
) -> tuple[list[Any], list[Any], int]:
    """Runs a compiled program on copies of the bases; (results, bases after it, code)."""
    memories = []
    for array in bases:
        memory = allocate(max(array.nbytes, 1))
        memory.ndarray(array.dtype, array.shape)[...] = array
        memories.append(memory)
    outs = [allocate(max(v.size * v.dtype.itemsize, 1)) for v in program.results]
    *places, length = scalar_words(program.scalars)
    words = allocate(8 * max(length, 1))
    for place, dtype, number in zip(places, program.scalars, scalars, strict=True):
        kind = {"f": np.float64, "c": np.complex128}.get(dtype.kind, np.int64)
        words.ndarray(kind, (1,), 8 * place)[0] = number
    arena = allocate(max(compiled.arena_bytes, 1))
    arena.ndarray(np.uint8, (max(compiled.arena_bytes, 1),))[...] = (
        0xFF  # NaN where nothing was written
    )
    code = compiled.run(
        [m.address for m in memories], [m.address for m in outs], words.address, arena.address
    )
    results = [
        m.ndarray(v.dtype.numpy, v.shape).copy() for m, v in zip(outs, program.results, strict=True)
    ]
    after = [m.ndarray(a.dtype, a.shape).copy() for m, a in zip(memories, bases, strict=True)]
    return results, after, code


def agree(a: Any, b: Any, dtype: DType, tolerance: float) -> None:
    a, b = decode(a, dtype), decode(b, dtype)
    if dtype.kind not in "fc":
        np.testing.assert_array_equal(a, b.reshape(a.shape))
        return
    precision = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 2.4e-7, "float64": 4.5e-16}.get(
        dtype.name, 2.4e-7
    )
    scale = np.nanmax(np.abs(np.where(np.isfinite(b), b, 0)), initial=0.0)
    np.testing.assert_allclose(
        a,
        b.reshape(a.shape),
        rtol=tolerance * precision,
        atol=tolerance * precision * max(float(scale), 1e-30),
        equal_nan=True,
    )
