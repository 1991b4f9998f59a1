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
from flambeau.record import native
from flambeau.record.worth import products


def operations(nodes: Iterable[Value]) -> int:
    """Float operations of a program's nodes."""
    total = 0
    for value in nodes:
        family = value.primitive.family
        if family in ("contraction", "attention"):
            total += 2 * products(value)
        elif family == "recurrence":
            total += recurrence_operations(value)
        elif family in ("elementwise", "random"):
            total += value.size
        elif family in ("reduction", "scan", "window"):
            total += max(value.inputs[0].size, value.size)
    return total


def recurrence_operations(value: Value) -> int:
    """Those of a recurrent layer's product: the state's matrix, once for each step and sequence."""
    if value.primitive.name == "recurrence_saved":
        return 0  # comes with the layer's outputs
    return 2 * sum(value.attrs["sizes"]) * value.inputs[1].size


def traffic(compiled: CompiledProgram) -> int:
    """Bytes of the buffers of all kernels."""
    total = 0
    for kernel in compiled.kernels:
        buffers = {id(o.buffer): o.buffer for o in kernel.operands if o.buffer is not None}
        total += sum(b.bytes for b in buffers.values())
    return total


class Watch:
    """Counts the compiled programs that run from now on: use as a context."""

    def __init__(self) -> None:
        self.runs: dict[Any, int] = {}

    def __enter__(self) -> Watch:
        self._plain = native.NativeProgram.run

        def counted(program: Any, *arguments: Any) -> Any:
            self.runs[program] = self.runs.get(program, 0) + 1
            return self._plain(program, *arguments)

        native.NativeProgram.run = counted  # type: ignore[assignment,method-assign]
        return self

    def __exit__(self, *exception: object) -> None:
        native.NativeProgram.run = self._plain  # type: ignore[method-assign]

    def totals(self) -> tuple[int, int]:
        """(float operations, bytes) of all of them."""
        flops = bytes_ = 0
        for program, runs in self.runs.items():
            flops += runs * operations(program.compiled.program.nodes())
            bytes_ += runs * traffic(program.compiled)
        return flops, bytes_
