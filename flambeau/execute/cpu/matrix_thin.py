"""Products of a matrix of few rows with a large one, which the unit's kernel packs as it goes.

A layer's weights meet a batch of some tens of rows: packing them is as much work as the products,
and packed weights would go out to memory and back. So a task packs a chunk of a block of the large
side, a few steps, into memory that stays in the level-1 cache, and multiplies it at once by all
blocks of the small side, which was packed before. The large side is packed the way it lies in
memory, as the unit's left or right operand; if so the result comes out transposed, its blocks are
turned before they are handed on. Where there are fewer blocks than tasks, tasks share the sum, and
a second kernel adds their results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.execute.cpu.contraction_nest import (
    Dimension,
    cut_dimensions,
    emit_stage,
    task_count,
    transposed,
)
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    TABLE,
    StoreCallback,
    operand_pointer,
    weighted_sum,
)
from flambeau.execute.cpu.emit import PTR, Reg
from flambeau.execute.cpu.matrix_loops import (
    LEFT_PACKED,
    PARALLEL_CYCLES,
    RIGHT_PACKED,
    STEP,
    Kernel,
    block_name,
)
from flambeau.execute.cpu.matrix_pack import FLOATS, emit_step
from flambeau.execute.cpu.matrix_plan import (
    BLOCK,
    BLOCK_RESULT,
    HALF,
    MatrixPlan,
    Side,
)
from flambeau.execute.cpu.matrix_tiles import Block, Products


def thin_scratch_bytes(plan: MatrixPlan) -> int:
    """Memory that tasks pack into, and for partial results."""
    total = task_count(_cut(plan)) * _task_bytes(plan)
    if plan.splits > 1:
        total += plan.splits * plan.large.lead.blocks * plan.small.lead.blocks * BLOCK_RESULT
    return total


def _task_bytes(plan: MatrixPlan) -> int:
    """A chunk of a group of blocks of the large side, then the totals of its products."""
    totals = plan.small.lead.blocks * BLOCK_RESULT
    return plan.thin_group * (plan.thin_chunk.block_bytes + totals)


def _cut(plan: MatrixPlan) -> tuple[Dimension, ...]:
    loops = Dimension(plan.thin_groups), Dimension(plan.splits)
    return cut_dimensions(loops, TASKS if plan.cycles >= PARALLEL_CYCLES else 1)


class _OfThin(Kernel):
    """What the kernel of the products and that of the totals share."""

    @property
    def large(self) -> Side:
        return self.plan.large

    @property
    def small(self) -> Side:
        return self.plan.small

    @property
    def in_left(self) -> bool:
        """Whether the large side has the rows of the result."""
        return self.large.number == self.plan.left.number

    @property
    def of_large(self) -> Dimension:
        return self.by_row if self.in_left else self.by_column

    @property
    def of_small(self) -> Dimension:
        return self.by_column if self.in_left else self.by_row

    def place(self, large: Reg, small: Reg) -> tuple[Reg, Reg]:
        """Row and column of the result's block."""
        return (large, small) if self.in_left else (small, large)

    def tails(self, large: bool, small: bool) -> tuple[bool, bool]:
        return (large, small) if self.in_left else (small, large)

    def partial(self, part: Reg, large: Reg, small: Reg) -> Reg:
        """Where the result of a part of the sum is."""
        e = self.e
        number = weighted_sum(e, [(part, self.large.lead.blocks), (large, 1)])
        number = weighted_sum(e, [(number, self.small.lead.blocks), (small, 1)])
        start = task_count(_cut(self.plan)) * _task_bytes(self.plan)
        place = weighted_sum(e, [(number, BLOCK_RESULT), (e.i64(start), 1)])
        scratch = LEFT_PACKED if self.in_left else RIGHT_PACKED
        return e.gep(operand_pointer(e, TABLE, ARGS, scratch), "i8", place)

    def emit_turning(self) -> None:
        """Defines @turn(result): transposes a block."""
        e = self.e
        with e.function("turn", "internal void", [("result", PTR)]) as (result,):
            corners = {}
            for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
                places = []
                for row in range(HALF):
                    offset = (corner[0] * HALF + row) * BLOCK + corner[1] * HALF
                    places.append(e.gep(result, "float", e.i64(offset)))
                corners[corner] = places
            for corner in ((0, 0), (1, 1), (0, 1)):
                pair = {corner, corner[::-1]}
                found = {
                    c: transposed(e, [e.load(place, FLOATS, 64) for place in corners[c]])
                    for c in pair
                }
                for c in pair:
                    for line, words in zip(corners[c[::-1]], found[c], strict=True):
                        e.store(line, words, 64)
            e.line("ret void")


class Thin(_OfThin):
    """The products; hands results on unless tasks share the sum."""

    def loops(self) -> list[Dimension]:
        return [*map(Dimension, (self.plan.thin_groups, self.plan.splits))]

    def emit(self, store: StoreCallback) -> None:
        plan = self.plan
        for tails in self.versions():
            height, width = self.heights[tails[0]], self.widths[tails[1]]
            sides, sizes = (self.large, self.small), (height, width)
            if not self.in_left:
                sizes = width, height
            if not self.large.rows:
                sides, sizes = sides[::-1], sizes[::-1]
            Products(self.e, *sides, *sizes).emit_piece(f"product.{block_name(*tails)}")
            if plan.splits == 1:
                block = Block(self.e, plan, store, height, width)
                block.emit_end(block_name(*tails))
                block.emit_soon(f"soon.{block_name(*tails)}")
        if plan.crossed and plan.splits == 1:
            self.emit_turning()
        large = self.large
        coming = plan.thin_steps * BLOCK * large.stride
        if plan.thin_chunks == 1:
            coming = BLOCK * large.lead.stride
        emit_step(self.e, large, STEP.format(large.number), coming)
        emit_stage(self.e, "products", self.cut, self.body)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        e, plan, large = self.e, self.plan, self.large
        group, part = indices
        memory = self.task_memory(indices)
        bounds = self.bounds(group, plan.thin_groups, large.lead.blocks)
        low, high = self.bounds(part, plan.splits, plan.thin_chunks)
        with e.loop(low, high) as chunks:
            step = weighted_sum(e, [(chunks.index, plan.thin_steps)])
            left = e.op("sub nsw", e.i64(large.steps), step)
            steps = e.intrinsic("llvm.smin", left, e.i64(plan.thin_steps))
            depth = e.op("sub nsw", e.i64(large.depth), weighted_sum(e, [(step, BLOCK)]))
            if plan.splits == 1:
                last = weighted_sum(e, [(high, 1), (e.i64(-1), 1)])
                with e.when(e.cmp("icmp eq", chunks.index, last)):
                    self.over_pairs(bounds, self.ask)
            source = self.source(large, {}, e.i64(0), step)
            self.pack_panel(plan.thin_chunk, source, memory, bounds, depth, steps)
            depth = e.intrinsic("llvm.smin", depth, weighted_sum(e, [(steps, BLOCK)]))
            again = e.cast("zext", e.cmp("icmp ne", chunks.index, low), "i64")
            chunk = step, left, steps, depth, again

            def multiply(number: Reg, small: Reg, tails: tuple[bool, bool]) -> None:
                local = e.op("sub nsw", number, bounds[0])
                packed = weighted_sum(e, [(local, plan.thin_chunk.block_bytes)])
                packed = e.gep(memory, "i8", packed)
                result = self.result(memory, part, local, number, small)
                self.multiply((number, small), tails, packed, result, chunk)

            self.over_pairs(bounds, multiply)
        if plan.splits > 1:
            return

        def give(number: Reg, small: Reg, tails: tuple[bool, bool]) -> None:
            local = e.op("sub nsw", number, bounds[0])
            result = self.result(memory, part, local, number, small)
            if plan.crossed:
                e.call("turn", None, [result], declared=True)
            arguments = [TABLE, ARGS, result, *self.place(number, small)]
            e.call(block_name(*self.tails(*tails)), None, arguments, declared=True)

        self.over_pairs(bounds, give)

    def ask(self, number: Reg, small: Reg, tails: tuple[bool, bool]) -> None:
        """Asks for the memory that the results of a block meet."""
        arguments = [TABLE, ARGS, *self.place(number, small)]
        self.e.call(f"soon.{block_name(*self.tails(*tails))}", None, arguments, declared=True)

    def over_pairs(
        self, bounds: tuple[Reg, Reg], body: Callable[[Reg, Reg, tuple[bool, bool]], None]
    ) -> None:
        """body(block of the large side, of the small side, tails) for all of a group."""
        e = self.e

        def of_large(number: Reg, tail: bool) -> None:
            def of_small(small: Reg, tail_small: bool) -> None:
                body(number, small, (tail, tail_small))

            self.over(e.i64(0), e.i64(self.of_small.count), self.of_small, of_small)

        self.over(*bounds, self.of_large, of_large)

    def result(self, memory: Reg, part: Reg, local: Reg, number: Reg, small: Reg) -> Reg:
        """Where the totals of a block of the result are."""
        e, plan = self.e, self.plan
        if plan.splits > 1:
            return self.partial(part, number, small)
        place = weighted_sum(e, [(local, plan.small.lead.blocks), (small, 1)])
        start = plan.thin_group * plan.thin_chunk.block_bytes
        return e.gep(memory, "i8", weighted_sum(e, [(place, BLOCK_RESULT), (e.i64(start), 1)]))

    def multiply(
        self,
        blocks: tuple[Reg, Reg],
        tails: tuple[bool, bool],
        packed: Reg,
        result: Reg,
        chunk: Sequence[Reg],
    ) -> None:
        """The packed chunk of the large side's block by that of a block of the small side."""
        e = self.e
        number, small = blocks
        step, left, steps, depth, again = chunk
        place = RIGHT_PACKED if self.in_left else LEFT_PACKED
        other = self.packed(self.small, place, {}, small)
        other = e.gep(other, "i8", weighted_sum(e, [(step, self.small.step_bytes)]))
        operands = [packed, other]
        sources = [
            self.source(side, {}, block, step)
            for side, block in ((self.large, number), (self.small, small))
        ]
        ends = [steps, left]
        if not self.large.rows:
            operands, sources, ends = operands[::-1], sources[::-1], ends[::-1]
        arguments = [*operands, *sources, result, depth, again, steps, *ends]
        name = f"product.{block_name(*self.tails(*tails))}"
        e.call(name, None, arguments, declared=True)

    def task_memory(self, indices: Sequence[Reg]) -> Reg:
        e = self.e
        number = self.task_of(indices)
        scratch = LEFT_PACKED if self.in_left else RIGHT_PACKED
        place = weighted_sum(e, [(number, _task_bytes(self.plan))])
        return e.gep(operand_pointer(e, TABLE, ARGS, scratch), "i8", place)


class ThinTotals(_OfThin):
    """Adds up the parts of the sum and hands the blocks on."""

    def loops(self) -> list[Dimension]:
        return [self.of_large, self.of_small]

    def emit(self, store: StoreCallback) -> None:
        plan, e = self.plan, self.e
        stride = self.large.lead.blocks * self.small.lead.blocks * BLOCK_RESULT
        if plan.crossed:
            self.emit_turning()
        for tails in self.versions():
            block = Block(e, plan, store, self.heights[tails[0]], self.widths[tails[1]])
            turn = "turn" if plan.crossed else ""
            block.emit_total(block_name(*tails), plan.splits, stride, turn)
        emit_stage(e, "products", self.cut, self.body)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        large, small = indices
        partial = self.partial(self.e.i64(0), large, small)
        arguments = [TABLE, ARGS, partial, *self.place(large, small)]
        name = block_name(*self.tails(tails[0], tails[1]))
        self.e.call(name, None, arguments, declared=True)
