"""Matrices transposed in registers: every shape of vectors, every width of elements."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from against_reference import Builder

from flambeau.execute.cpu.contraction_nest import transposed
from flambeau.execute.cpu.emit import I64, PTR, Emitter, Type
from flambeau.execute.cpu.engine import kernel_addresses
from flambeau.execute.cpu.target import TARGETS, assembly
from flambeau.ops.contraction import swap_last

BYTES = {"i8": 1, "i16": 2, "half": 2, "i32": 4, "float": 4, "i64": 8, "double": 8}
PARAMETERS = (("table", PTR), ("args", PTR), ("first", I64), ("last", I64))


def transposing(element: str, rows: int, lanes: int) -> str:
    """A kernel that reads rows from args and writes the transposed matrix to table."""
    e, type_ = Emitter(), Type(element, lanes)
    with e.function("kernel", "i64", PARAMETERS) as (table, args, _, _):
        places = [e.gep(args, str(type_), e.i64(k)) for k in range(rows)]
        for k, vector in enumerate(transposed(e, [e.load(place, type_, 1) for place in places])):
            e.store(e.gep(table, str(type_), e.i64(k)), vector, 1)
        e.line("ret i64 0")
    return e.module()


@pytest.mark.parametrize("element", BYTES)
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
@pytest.mark.parametrize("rows", [1, 2, 4, 8, 16])
def test_what_numpy_gives(rows: int, lanes: int, element: str) -> None:
    size = BYTES[element]
    given = np.random.default_rng(rows).integers(0, 256, (rows, lanes, size), np.uint8)
    found = np.zeros(rows * lanes * size, np.uint8)
    (address,) = kernel_addresses([transposing(element, rows, lanes)])
    pointer: Any = ctypes.c_void_p
    kernel = ctypes.CFUNCTYPE(ctypes.c_int64, pointer, pointer, ctypes.c_int64, ctypes.c_int64)
    assert kernel(address)(found.ctypes.data, given.ctypes.data, 0, 1) == 0
    np.testing.assert_array_equal(found, given.transpose(1, 0, 2).ravel())


@pytest.mark.parametrize("target", TARGETS)
def test_squares_of_floats_need_no_indices(target: str) -> None:
    """On x86-64 each round is as many shuffles as vectors, without constants in memory."""
    machine = TARGETS[target]
    lanes = machine.vector_bits // 32
    text = assembly(transposing("float", lanes, lanes), machine)
    assert text.count("ret") >= 1
    if machine.triple.startswith("x86_64"):
        assert "vperm" not in text.replace("vperm2f128", "") and ".LCPI" not in text


@pytest.mark.parametrize(("rows", "columns"), [(32, 1024), (37, 1500), (16, 100)])
def test_rows_pages_apart_are_asked_for(rows: int, columns: int) -> None:
    """A copy that turns a matrix asks for the next run of each row where rows are a page long."""
    b = Builder(f"{rows} {columns}")
    compiled = b.check([swap_last(b.random((rows, columns))) * 2.0])
    (kernel,) = compiled.kernels
    assert ("llvm.prefetch" in kernel.text) == (4 * columns >= 4096)
