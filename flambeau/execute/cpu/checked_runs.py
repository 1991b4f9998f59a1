"""The checking mode, FLAMBEAU_CHECK=1: runs kernels one by one and tells each what it may touch.

Memory that no kernel has written yet, and memory of the arena whose value has been read for the
last time, is filled with bytes that make any number wrong (NaN, -1). One program runs at a time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.execute.cpu import bounds, runtime
from flambeau.execute.cpu.compiled import single_record
from flambeau.execute.cpu.runner import RECORD_HEADER_WORDS
from flambeau.graph.program import scalar_words

if TYPE_CHECKING:
    from flambeau.execute.cpu.compiled import CompiledProgram
    from flambeau.execute.cpu.loops import KernelCode

POISON = 0xFF


def poison(address: int, nbytes: int) -> None:
    if nbytes > 0:
        ctypes.memset(address, POISON, nbytes)


def run_checked(compiled: CompiledProgram, table: Any) -> int:
    """Executes a program on a pointer table; what `CompiledProgram.run_table` gives."""
    from flambeau.execute.cpu.host_steps import run_host

    poison_fresh(compiled, table)
    for segment in compiled.segments:
        if segment.host is not None:
            run_host(segment.host, compiled.program, table)
            continue
        code = run_kernels(compiled, table, segment.start, segment.first)
        if code:
            return code
    return 0


def run_kernels(compiled: CompiledProgram, table: Any, start: int, first: int) -> int:
    """Runs the records from word `start` of the program on, kernel by kernel; kernel `first` is
    the first of them. What `runtime.call_run` gives.
    """
    blob, at = compiled.blob, start
    for number in range(first, len(compiled.kernels)):
        if not blob[at]:
            break
        end = at + RECORD_HEADER_WORDS + int(blob[at + 3])
        record = single_record(blob[at:end])
        code = compiled.kernels[number]
        ranges = [
            bounds.array_range(record),
            bounds.array_range(table),
            *_operand_ranges(compiled, code, table),
        ]
        with bounds.allowed(ranges, code.text, code.label):
            failed = runtime.call_run(
                table.ctypes.data, record.ctypes.data, release_gil=compiled.parallel
            )
        if failed:
            return (number + 1) << 32 | failed & 0xFFFFFFFF
        _poison_ended(compiled, table, number)
        at = end
    return 0


def _operand_ranges(
    compiled: CompiledProgram, code: KernelCode, table: Any
) -> Iterator[bounds.Range]:
    from flambeau.execute.cpu.host_steps import location

    program = compiled.program
    for operand in code.operands:
        if operand.buffer is None:
            scalars = int(table[len(program.bases) + len(program.results)])
            yield scalars, scalars + 8 * scalar_words(program.scalars)[-1]
        else:
            slot, offset = location(operand.buffer, program)
            low = int(table[slot]) + offset
            yield low, low + operand.buffer.bytes


def _poison_ended(compiled: CompiledProgram, table: Any, number: int) -> None:
    arena = int(table[-1])
    for place, nbytes in compiled.ended.get(number, ()):
        poison(arena + place, nbytes)


def poison_fresh(compiled: CompiledProgram, table: Any) -> None:
    """Fills the results and the arena, which nobody has written yet."""
    poison(int(table[-1]), compiled.arena_bytes)
    results = table[len(compiled.program.bases) :]
    for address, value in zip(results, compiled.program.results, strict=False):
        poison(int(address), value.size * value.dtype.itemsize)


def run_alone(text: str, arrays: Sequence[Any], program: Any) -> None:
    """Runs an encoded program of one kernel on these arrays, which are its table's entries."""
    table = np.array([address_of(x) for x in arrays], np.int64)
    places = address_of(table), address_of(program)
    if not bounds.switched_on():
        runtime.call_run(*places, release_gil=True)
        return
    ranges = [bounds.array_range(x) for x in (program, table, *arrays)]
    with bounds.allowed(ranges, text, "shortcut"):
        runtime.call_run(*places, release_gil=True)
