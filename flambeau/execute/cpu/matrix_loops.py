"""What all kernels for the matrix unit share: tasks, and where blocks of operands are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.execute.cpu.contraction_nest import (
    Dimension,
    cut_dimensions,
    emit_stage,
    task_number,
)
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    TABLE,
    StoreCallback,
    operand_pointer,
    weighted_sum,
)
from flambeau.execute.cpu.emit import Emitter, Reg
from flambeau.execute.cpu.matrix_pack import PACKING, call_step
from flambeau.execute.cpu.matrix_plan import BLOCK, MatrixPlan, Side
from flambeau.execute.cpu.matrix_tiles import Block

LEFT_PACKED, RIGHT_PACKED = 2, 3
PARALLEL_CYCLES = 15_000
STEP = PACKING + ".{}.step"  # the function that packs a step of a side


class Kernel:
    """The loops around the blocks of a plan."""

    def __init__(self, e: Emitter, plan: MatrixPlan) -> None:
        self.e = e
        self.plan = plan
        rows, cols = plan.left.lead, plan.right.lead
        self.widths = {False: BLOCK, True: cols.extent % BLOCK or BLOCK}
        self.heights = {False: BLOCK, True: rows.extent % BLOCK or BLOCK}
        self.column_tail, self.row_tail = self.widths[True] < BLOCK, self.heights[True] < BLOCK
        self.around = [Dimension(plan.spec.axes[p].extent) for p in plan.outer]
        self.by_row = Dimension(rows.blocks, tail=self.row_tail)
        self.by_column = Dimension(cols.blocks, tail=self.column_tail)
        tasks = TASKS if plan.cycles >= PARALLEL_CYCLES else 1
        self.cut = cut_dimensions(self.loops(), tasks)

    def loops(self) -> list[Dimension]:
        """The loops that are divided into tasks, outermost first."""
        raise NotImplementedError

    def emit(self, store: StoreCallback) -> None:
        """Defines @products, the kernel's work."""
        for tail_row, tail_column in self.versions():
            height, width = self.heights[tail_row], self.widths[tail_column]
            block = Block(self.e, self.plan, store, height, width)
            block.emit(block_name(tail_row, tail_column))
        self.emit_packing()
        emit_stage(self.e, "products", self.cut, self.body)

    def emit_packing(self) -> None:
        """Defines the functions that pack what the kernel packs itself."""

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        """One iteration of the loops."""
        raise NotImplementedError

    def versions(self) -> list[tuple[bool, bool]]:
        """Which blocks there are: whole, last of their rows, last of their columns."""
        rows = [False, True] if self.row_tail else [False]
        columns = [False, True] if self.column_tail else [False]
        return [(r, c) for r in rows for c in columns]

    def over(
        self, low: Reg, high: Reg, dimension: Dimension, body: Callable[[Reg, bool], None]
    ) -> None:
        """body(index, whether it is the tail) for low .. high - 1 of a dimension."""
        e = self.e
        whole = e.i64(dimension.count - dimension.tail)
        stop = e.intrinsic("llvm.smin", high, whole) if dimension.tail else high
        with e.loop(low, stop) as loop:
            body(loop.index, False)
        if dimension.tail:
            with e.when(e.cmp("icmp sgt", high, whole)):
                body(whole, True)

    def bounds(self, index: Reg, panels: int, count: int) -> tuple[Reg, Reg]:
        """The range of blocks of a panel."""
        e = self.e
        if panels == 1:
            return e.i64(0), e.i64(count)
        low = e.op("udiv", weighted_sum(e, [(index, count)]), e.i64(panels))
        after = weighted_sum(e, [(index, count), (e.i64(count), 1)])
        return low, e.op("udiv", after, e.i64(panels))

    def task_of(self, indices: Sequence[Reg]) -> Reg:
        """The task that an iteration belongs to."""
        return task_number(self.e, indices, self.cut)

    def task_memory(self, indices: Sequence[Reg]) -> Reg:
        """Where the memory of the task begins that an iteration belongs to."""
        e = self.e
        number = self.task_of(indices)
        place = RIGHT_PACKED if self.plan.form == "columns" else LEFT_PACKED
        scratch = operand_pointer(e, TABLE, ARGS, place)
        return e.gep(scratch, "i8", weighted_sum(e, [(number, self.plan.task_bytes)]))

    def packed(self, side: Side, operand: int, index: dict[int, Reg], block: Reg) -> Reg:
        """Where a block of a side that was packed before begins."""
        e, number = self.e, self.e.i64(0)
        for position, extent, _ in side.outer:
            number = weighted_sum(e, [(number, extent), (index[position], 1)])
        number = weighted_sum(e, [(number, side.lead.blocks), (block, 1)])
        offset = weighted_sum(e, [(number, side.block_bytes)])
        return e.gep(operand_pointer(e, TABLE, ARGS, operand), "i8", offset)

    def source(self, side: Side, index: dict[int, Reg], block: Reg, step: Reg | None = None) -> Reg:
        """Where a block of a side begins in its operand, from a step on."""
        terms = [(index[p], stride) for p, _, stride in side.outer]
        terms.append((block, BLOCK * side.lead.stride))
        if step is not None:
            terms.append((step, BLOCK * side.stride))
        base = operand_pointer(self.e, TABLE, ARGS, side.number)
        return self.e.gep(base, side.memory, weighted_sum(self.e, terms))

    def pack_block(self, side: Side, index: dict[int, Reg], block: Reg, target: Reg) -> None:
        """Packs 32 rows of a side, of all k."""
        e = self.e
        rest = e.op("sub nsw", e.i64(side.lead.extent), weighted_sum(e, [(block, BLOCK)]))
        sizes = [rest, e.i64(side.depth), e.i64(side.far)]
        arguments = [self.source(side, index, block), target, *sizes]
        e.call(f"{PACKING}.{side.number}", None, arguments, declared=True)

    def pack_panel(
        self, side: Side, source: Reg, target: Reg, bounds: tuple[Reg, Reg], depth: Reg, count: Reg
    ) -> None:
        """Packs so many steps of a range of blocks, so that memory is read in order: by blocks
        where rows are whole, else 32 k of all blocks and then the next.
        """
        e, name = self.e, STEP.format(side.number)
        ranges = [(e.i64(0), count), bounds]
        with (
            e.loop(*ranges[side.by_k]) as first,
            e.loop(*ranges[not side.by_k]) as second,
        ):
            steps, blocks = (second, first) if side.by_k else (first, second)
            row = weighted_sum(e, [(blocks.index, BLOCK)])
            at = e.gep(source, side.memory, weighted_sum(e, [(row, side.lead.stride)]))
            local = e.op("sub nsw", blocks.index, bounds[0])
            to = e.gep(target, "i8", weighted_sum(e, [(local, side.block_bytes)]))
            left = e.op("sub nsw", e.i64(side.lead.extent), row)
            flags = e.gep(to, "i8", weighted_sum(e, [(count, side.step_bytes)]))
            block = at, to, flags, left, depth, e.i64(side.far)
            call_step(e, side, name, block, steps.index)

    def call_block(
        self,
        left: Reg,
        right: Reg,
        index: dict[int, Reg],
        place: tuple[Reg, Reg],
        tails: tuple[bool, bool],
        step: Reg | None = None,
        more: Sequence[Reg] = (),
    ) -> None:
        """Computes the block of the result at (row, column); see Block.emit for `more`."""
        plan = self.plan
        sources = [
            self.source(side, index, block, step)
            for side, block in zip((plan.left, plan.right), place, strict=True)
        ]
        around = [index[p] for p in plan.outer]
        arguments = [TABLE, ARGS, left, right, *sources, *place, *around, *more]
        self.e.call(block_name(*tails), None, arguments, declared=True)


def block_name(tail_row: bool, tail_column: bool) -> str:
    return f"block{'.low' if tail_row else ''}{'.last' if tail_column else ''}"
