"""The arithmetic and the memory traffic of compiled programs, counted from their nodes and kernels.

Operations are those of float arithmetic that the program asks for (a multiply-add is two), however
its kernels carry them out. Bytes are those of the buffers that each kernel is given, once each:
what goes through memory if nothing stays in a cache between two kernels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.ops.value import Value
from flambeau.record.native import NativeProgram
from flambeau.record.observing import WATCH, Observer
from flambeau.record.worth import operations


def arithmetic(nodes: Iterable[Value]) -> int:
    """Float operations of a program's nodes."""
    total = 0
    for value in nodes:
        family = value.primitive.family
        total += operations(value)
        if family in ("elementwise", "random"):
            total += value.size
        elif family in ("reduction", "scan", "window"):
            total += max(value.inputs[0].size, value.size)
    return total


def traffic(compiled: CompiledProgram) -> int:
    """Bytes of the buffers of all kernels."""
    total = 0
    for kernel in compiled.kernels:
        buffers = {id(o.buffer): o.buffer for o in kernel.operands if o.buffer is not None}
        total += sum(b.bytes for b in buffers.values())
    return total


class Watch(Observer):
    """Counts the runs of compiled programs from now on: use as a context."""

    def __init__(self) -> None:
        self.runs: dict[NativeProgram, int] = {}

    def __enter__(self) -> Watch:
        WATCH.observer = self
        return self

    def __exit__(self, *exception: object) -> None:
        WATCH.observer = None

    def running(self, native: NativeProgram, table: Any) -> int:
        self.runs[native] = self.runs.get(native, 0) + 1
        return super().running(native, table)

    def totals(self) -> tuple[int, int]:
        """(float operations, bytes) of all of them."""
        flops = bytes_ = 0
        for program, runs in self.runs.items():
            flops += runs * arithmetic(program.compiled.program.nodes())
            bytes_ += runs * traffic(program.compiled)
        return flops, bytes_
