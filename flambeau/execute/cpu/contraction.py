"""Contractions (matrix products, convolutions and their gradients) as CPU kernels.

`emit_contraction` turns a `Contraction` into LLVM modules to be run one after the other: packing
of operands into panels where that pays, the tiles, and the sum of partial results where the sum
itself was cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from flambeau.execute.cpu.contraction_blocks import emit_blocks
from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    Dimension,
    cut_dimensions,
    emit_stage,
    task_count,
)
from flambeau.execute.cpu.contraction_pack import emit_packing
from flambeau.execute.cpu.contraction_plan import PARALLEL_FLOPS, TASKS, Choice, choose
from flambeau.execute.cpu.contraction_schedule import Schedule, tiling
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    BYTES,
    SCRATCH,
    TABLE,
    Axis,
    Contraction,
    KernelCode,
    StoreCallback,
    collapse,
    operand_pointer,
    plain_store,
    weighted_sum,
)
from flambeau.execute.cpu.contraction_streams import emit_streams
from flambeau.execute.cpu.contraction_tiles import Storing, emit_tiles, give
from flambeau.execute.cpu.emit import I64, Emitter, Reg, Type, vector_registers

__all__ = [
    "ARGS",
    "TABLE",
    "Axis",
    "Choice",
    "Contraction",
    "KernelCode",
    "StoreCallback",
    "choose",
    "collapse",
    "emit_contraction",
    "operand_pointer",
    "plain_store",
    "weighted_sum",
]

COMBINE_ELEMENTS = 1 << 16
PLAIN_STORE_SIZE = 4


@dataclass(frozen=True, slots=True)
class Stage:
    """A pass over memory: the function that defines it as @name, its tasks and its arithmetic."""

    name: str
    define: Callable[[Emitter, str], None]
    tasks: int
    flops: int


def emit_contraction(
    vector_bits: int,
    spec: Contraction,
    store: StoreCallback | None = None,
    *,
    store_size: int | None = None,
    registers: int | None = None,
    choice: Choice | None = None,
) -> list[KernelCode]:
    """The kernels that compute a contraction, to be run in order with the same operands.

    Operands: 0 A, 1 B, 2 scratch (KernelCode.scratch_bytes), 3 and up what `store` uses; by
    default it stores to operand 3. `store_size`: roughly how many instructions the callback emits
    per piece, which decides whether they are repeated or looped over. `registers`: vector
    registers of the machine (by default those that go with vectors of this width). `choice`
    overrides what `choose` would pick. No kernels for an empty result.
    """
    if any(axis.extent == 0 for axis in spec.out_axes):
        return []
    if registers is None:
        registers = vector_registers(vector_bits)
    if store_size is None:
        store_size = PLAIN_STORE_SIZE if store is None else 8 * PLAIN_STORE_SIZE
    storing = Storing(plain_store(spec) if store is None else store, store_size)
    schedule = Schedule(spec, choice or choose(spec, vector_bits, registers))
    return _kernels(vector_bits, schedule, _stages(schedule, storing, vector_bits))


def _stages(s: Schedule, storing: Storing, vector_bits: int) -> list[Stage]:
    stages = []
    for side, packed in (("a", s.choice.pack_a), ("b", s.choice.pack_b)):
        if packed:

            def define(e: Emitter, name: str, side: str = side) -> None:
                emit_packing(e, s, side, name)

            tasks = task_count([dimension for _, dimension in s.pack_dimensions(side)])
            stages.append(Stage(f"pack_{side}", define, tasks, 0))
    tasks = task_count([dimension for _, dimension in s.dimensions])
    flops = s.spec.flops
    if s.choice.streams:
        stages.append(Stage("streams", lambda e, n: emit_streams(e, s, storing, n), s.parts, flops))
    elif s.choice.depth:
        many = s.panels.tasks
        stages.append(Stage("blocks", lambda e, n: emit_blocks(e, s, storing, n), many, flops))
    else:
        stages.append(Stage("tiles", lambda e, n: emit_tiles(e, s, storing, n), tasks, flops))
    if s.parts > 1:
        combine = _Combination(s, storing, vector_bits)
        stages.append(Stage("combine", combine.emit, combine.tasks, s.parts * s.partial_size))
    return stages


def _kernels(vector_bits: int, s: Schedule, stages: list[Stage]) -> list[KernelCode]:
    """A module per stage, or one for all of them where none is divided into tasks."""
    together = all(stage.tasks == 1 for stage in stages)
    groups = [stages] if together else [[stage] for stage in stages]
    kernels = []
    for group in groups:
        e = Emitter(vector_bits)
        for stage in group:
            stage.define(e, stage.name)
        parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
        with e.function("kernel", "i64", parameters) as registers:
            for stage in group:
                e.call(stage.name, None, registers, declared=True)
            e.line("ret i64 0")
        tasks, flops = group[0].tasks, sum(stage.flops for stage in group)
        kernels.append(KernelCode(e.module(), tasks, flops, s.scratch_bytes, tasks > 1))
    return kernels


class _Combination:
    """The last pass where the sum was cut: adds the partial results in order and stores."""

    def __init__(self, s: Schedule, storing: Storing, vector_bits: int) -> None:
        self.s = s
        self.storing = storing
        extent = s.col.extent if s.col else 1
        lanes = vector_bits // (8 * BYTES[s.spec.accumulator])
        self.cols = tiling(extent, min(lanes, extent), 1)
        axes = s.roles.axes
        self.keys = [p for p in s.partial_strides if p != s.choice.col][::-1]
        dimensions = [Dimension(axes[p].extent) for p in self.keys] + [self.cols.dimension]
        total = s.parts * prod(dimension.count for dimension in dimensions) * self.cols.unit
        many = total >= COMBINE_ELEMENTS and s.spec.flops >= PARALLEL_FLOPS
        self.dimensions = cut_dimensions(dimensions, TASKS if many else 1)
        self.tasks = task_count(self.dimensions)

    def emit(self, e: Emitter, name: str) -> None:
        s = self.s

        def body(indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
            index = {p: e.i64(0) for p in s.out_positions()}
            index |= dict(zip(self.keys, indices[:-1], strict=True))
            if s.col is not None:
                index[s.choice.col] = weighted_sum(e, [(indices[-1], self.cols.unit)])
            value = self._total(e, index, sum(self.cols.of(tails[-1])))
            give(e, s, self.storing, index, value, s.choice.col)

        emit_stage(e, name, self.dimensions, body)

    def _total(self, e: Emitter, index: dict[int, Reg], width: int) -> Reg:
        """The sum of the pieces of `width` results."""
        s = self.s
        element = s.spec.accumulator
        base = e.gep(operand_pointer(e, TABLE, ARGS, SCRATCH), "i8", e.i64(s.partial_offset))
        terms = [(index[p], stride) for p, stride in s.partial_strides.items()]
        base = e.gep(base, element, weighted_sum(e, terms))
        type_ = Type(element, width)
        opcode = "fadd" if type_.is_float else "add"
        with e.loop(e.i64(1), e.i64(s.parts), carried=[e.load(base, type_)]) as loop:
            place = weighted_sum(e, [(loop.index, s.partial_size)])
            more = e.load(e.gep(base, element, place), type_)
            loop.yield_([e.op(opcode, loop.carried[0], more)])
        return loop.carried[0]
