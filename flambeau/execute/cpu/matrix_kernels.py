"""Kernels for the matrix unit: which blocks of a product are computed when, by which task.

Note [Where packed operands stay]
A packed operand is half as long again as the operand, and the arithmetic is so fast that memory
beyond the level-2 cache limits it. So most kernels pack what they use just before they use it, into
memory of the task's own:

    rows      a panel of rows of the left side, which stays in the cache, multiplied by all columns
              at once; the right side was packed before, once in a program. Long sums are cut into
              chunks: what was added up so far waits in the task's memory
    columns   32 columns of a large right side, multiplied by the few rows of the left side, which
              were packed before and stay in the cache
    batched   one of many small right sides, then as above
    deep      128 k of both sides, again and again added to the same panel of the result, where the
              sum is long and both operands are stored k by k (the gradient of a weight); tasks
              share the sum as well, a second kernel adds their results
    thin      a few steps of a large side, multiplied by all of a small one, which was packed before
              (matrix_thin.py)
    apart     nothing: both sides were packed before
"""

from __future__ import annotations

from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    Dimension,
    cut_dimensions,
    emit_stage,
    range_number,
    task_count,
)
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    TABLE,
    StoreCallback,
    operand_pointer,
    weighted_sum,
)
from flambeau.execute.cpu.emit import I64, Emitter, Reg
from flambeau.execute.cpu.matrix_loops import LEFT_PACKED, RIGHT_PACKED, STEP, Kernel, block_name
from flambeau.execute.cpu.matrix_pack import PACKING, emit_packing, emit_step
from flambeau.execute.cpu.matrix_plan import BLOCK, BLOCK_RESULT, DEEP_CHUNK, MatrixPlan
from flambeau.execute.cpu.matrix_runs import Run
from flambeau.execute.cpu.matrix_thin import Thin, ThinTotals, thin_scratch_bytes
from flambeau.execute.cpu.matrix_tiles import Block, with_unit

RUN = "run.of.blocks"
RUN_SIZE = 12  # instructions of an epilogue, about, from which on a run pays
RESERVED = 4  # operands of a kernel before those of its epilogue


def matrix_kernels(
    vector_bits: int, plan: MatrixPlan, store: StoreCallback
) -> list[tuple[str, int]]:
    """(text, tasks) of the kernels that multiply, in order; sides in `plan.packed` are packed.

    Operands: 0 A, 1 B, 2 the packed left side, 3 the packed right side, 4 and up what `store` uses.
    A side that is not packed before has scratch memory instead, both the same: see `scratch_bytes`.
    """
    made: list[Kernel]
    if plan.form == "deep":
        made = [_Deep(Emitter(vector_bits), plan), _Totals(Emitter(vector_bits), plan)]
    elif plan.thin:
        made = [Thin(Emitter(vector_bits), plan)]
        if plan.splits > 1:
            made.append(ThinTotals(Emitter(vector_bits), plan))
    else:
        made = [FORMS[plan.form](Emitter(vector_bits), plan)]
    for kernel in made:
        kernel.emit(store)
        e = kernel.e
        parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
        with e.function("kernel", "i64", parameters) as registers:
            with with_unit(e):
                e.call("products", None, registers, declared=True)
            e.line("ret i64 0")
    return [(kernel.e.module(), task_count(kernel.cut)) for kernel in made]


def scratch_bytes(plan: MatrixPlan) -> int:
    """Memory that a plan's kernels need for what is not packed before, and for partial results."""
    if plan.thin:
        return thin_scratch_bytes(plan)
    tasks = task_count(FORMS[plan.form](Emitter(512), plan).cut)
    total = tasks * plan.task_bytes
    if plan.form == "deep":
        blocks = plan.left.lead.blocks * plan.right.lead.blocks
        total += _deep_cut(plan)[-1].cut * blocks * BLOCK_RESULT
    return total


class _Apart(Kernel):
    @property
    def rows_first(self) -> bool:
        """Whether tasks have rows of the result, where that is larger than the right side."""
        rows, right = self.plan.left.lead, self.plan.right
        return right.bytes < 4 * rows.extent * right.lead.extent

    def loops(self) -> list[Dimension]:
        if self.rows_first:
            return [*self.around, self.by_row, self.by_column]
        return [*self.around, self.by_column, self.by_row]

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        plan = self.plan
        *around, row, column = indices
        row_tail, column_tail = tails[-2:]
        if not self.rows_first:
            row, column, row_tail, column_tail = column, row, column_tail, row_tail
        index = dict(zip(plan.outer, around, strict=True))
        left = self.packed(plan.left, LEFT_PACKED, index, row)
        right = self.packed(plan.right, RIGHT_PACKED, index, column)
        self.call_block(left, right, index, (row, column), (row_tail, column_tail))


class _ByRows(Kernel):
    def loops(self) -> list[Dimension]:
        return [*self.around, Dimension(self.plan.panels[0])]

    def emit(self, store: StoreCallback) -> None:
        # Handing on plain results is so little that between products it only delays them.
        runs = self.plan.chunks == 1 and getattr(store, "size", RUN_SIZE) >= RUN_SIZE
        self.whole = [d.count - d.tail if runs else 0 for d in (self.by_row, self.by_column)]
        if all(self.whole):
            Run(self.e, self.plan, store).emit(RUN)
        super().emit(store)

    def emit_packing(self) -> None:
        emit_step(self.e, self.plan.left, STEP.format(self.plan.left.number))

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        e, plan = self.e, self.plan
        *around, panel = indices
        index = dict(zip(plan.outer, around, strict=True))
        memory = self.task_memory(indices)
        bounds = self.bounds(panel, plan.panels[0], plan.left.lead.blocks)
        if plan.chunks == 1:
            self.piece(index, memory, bounds, None)
            return
        with e.loop(e.i64(0), e.i64(plan.chunks)) as loop:
            self.piece(index, memory, bounds, loop.index)

    def piece(
        self, index: dict[int, Reg], memory: Reg, bounds: tuple[Reg, Reg], number: Reg | None
    ) -> None:
        """A panel of rows by all columns, of all k or of a chunk of them."""
        e, plan = self.e, self.plan
        left, step = plan.pieces, e.i64(0)
        chunk: list[Reg] = []
        depth, steps = e.i64(plan.left.depth), e.i64(left.steps)
        if number is not None:
            step = weighted_sum(e, [(number, left.steps)])
            rest = e.op("sub nsw", depth, weighted_sum(e, [(step, BLOCK)]))
            depth = e.intrinsic("llvm.smin", rest, e.i64(left.depth))
            steps = e.op("udiv", weighted_sum(e, [(depth, 1), (e.i64(BLOCK - 1), 1)]), e.i64(BLOCK))
            last = e.cast("zext", e.cmp("icmp eq", number, e.i64(plan.chunks - 1)), "i64")
            chunk = [step, steps, depth, last]
        if not plan.direct:
            source = self.source(left, index, e.i64(0), step)
            self.pack_panel(left, source, memory, bounds, depth, steps)

        beyond = self.whole_blocks(index, memory, bounds) if all(self.whole) else bounds[0]

        def of_column(column: Reg, tail: bool) -> None:
            right = self.packed(plan.right, RIGHT_PACKED, index, column)
            right = e.gep(right, "i8", weighted_sum(e, [(step, plan.right.step_bytes)]))

            def of_row(row: Reg, tail_row: bool) -> None:
                local = e.op("sub nsw", row, bounds[0])
                at = e.gep(memory, "i8", weighted_sum(e, [(local, left.block_bytes)]))
                if plan.direct:
                    at = self.source(plan.left, index, row, step)
                extra = list(chunk)
                if chunk:
                    place = weighted_sum(e, [(local, plan.right.lead.blocks), (column, 1)])
                    place = weighted_sum(e, [(place, BLOCK_RESULT)])
                    totals = e.gep(memory, "i8", e.i64(plan.high * left.block_bytes))
                    extra.append(e.gep(totals, "i8", place))
                self.call_block(at, right, index, (row, column), (tail_row, tail), step, extra)

            low = bounds[0] if tail else beyond
            self.over(low, bounds[1], self.by_row, of_row)

        if not all(self.whole) or self.row_tail or self.column_tail:
            self.over(e.i64(0), e.i64(self.by_column.count), self.by_column, of_column)

    def whole_blocks(self, index: dict[int, Reg], left: Reg, bounds: tuple[Reg, Reg]) -> Reg:
        """Computes the whole blocks of a panel of rows, packed at `left`; the row behind them."""
        e, plan = self.e, self.plan
        low, (rows, columns) = bounds[0], self.whole
        stop = e.intrinsic("llvm.smin", bounds[1], e.i64(rows))
        high, zero = e.op("sub nsw", stop, low), e.i64(0)
        with e.when(e.cmp("icmp sgt", high, zero)):
            right = self.packed(plan.right, RIGHT_PACKED, index, zero)
            sources = self.source(plan.left, index, low), self.source(plan.right, index, zero)
            around = [index[p] for p in plan.outer]
            sizes = [low, zero, high, e.i64(columns)]
            arguments = [TABLE, ARGS, left, right, *sources, *sizes, *around]
            e.call(RUN, None, arguments, declared=True)
        return stop


class _ByColumns(Kernel):
    def loops(self) -> list[Dimension]:
        return [self.by_column]

    def emit(self, store: StoreCallback) -> None:
        Run(self.e, self.plan, store).emit(RUN)
        super().emit(store)

    def emit_packing(self) -> None:
        emit_packing(self.e, self.plan.right, f"{PACKING}.{self.plan.right.number}")

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        e, plan = self.e, self.plan
        column, index, low = indices[0], dict[int, Reg](), e.i64(0)
        right = self.task_memory(indices)
        self.pack_block(plan.right, index, column, right)
        rows = self.by_row.count - self.by_row.tail
        if rows and not tails[0]:
            left = self.packed(plan.left, LEFT_PACKED, index, low)
            sources = self.source(plan.left, index, low), self.source(plan.right, index, column)
            arguments = [left, right, *sources, low, column, e.i64(rows), e.i64(1)]
            e.call(RUN, None, [TABLE, ARGS, *arguments], declared=True)
            low = e.i64(rows)

        def of_row(row: Reg, tail: bool) -> None:
            left = self.packed(plan.left, LEFT_PACKED, index, row)
            self.call_block(left, right, index, (row, column), (tail, tails[0]))

        self.over(low, e.i64(self.by_row.count), self.by_row, of_row)


class _Batched(Kernel):
    def loops(self) -> list[Dimension]:
        return self.around

    def emit_packing(self) -> None:
        for side in (self.plan.left, self.plan.right):
            emit_packing(self.e, side, f"{PACKING}.{side.number}")

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        e, plan = self.e, self.plan
        index = dict(zip(plan.outer, indices, strict=True))
        left = self.task_memory(indices)
        memory = e.gep(left, "i8", e.i64(plan.left.block_bytes))

        def right(column: Reg) -> Reg:
            return e.gep(memory, "i8", weighted_sum(e, [(column, plan.right.block_bytes)]))

        with e.loop(e.i64(0), e.i64(self.by_column.count)) as columns:
            self.pack_block(plan.right, index, columns.index, right(columns.index))

        def of_row(row: Reg, tail_row: bool) -> None:
            at = left
            if plan.direct:
                at = self.source(plan.left, index, row)
            else:
                self.pack_block(plan.left, index, row, left)

            def of_column(column: Reg, tail: bool) -> None:
                self.call_block(at, right(column), index, (row, column), (tail_row, tail))

            self.over(e.i64(0), e.i64(self.by_column.count), self.by_column, of_column)

        self.over(e.i64(0), e.i64(self.by_row.count), self.by_row, of_row)


def _deep_cut(plan: MatrixPlan) -> tuple[Dimension, ...]:
    """Panels of rows, of columns, and chunks of the sum, cut into tasks."""
    rows, cols = plan.panels
    chunks = -(-plan.left.depth // DEEP_CHUNK)
    # Parts of a sum have results of their own, which leave the cache: not too many.
    tasks = TASKS if rows * cols > 1 or chunks >= 4 * TASKS else TASKS // 2
    return cut_dimensions([Dimension(rows), Dimension(cols), Dimension(chunks)], tasks)


class _Partial(Kernel):
    """A kernel of a `deep` product. Its memory: what tasks pack, then the results of each part of
    the sum, block by block.
    """

    def result(self, part: Reg, row: Reg, column: Reg) -> Reg:
        e, rows = self.e, self.plan.left.lead.blocks
        number = weighted_sum(e, [(part, self.plan.right.lead.blocks), (column, 1)])
        number = weighted_sum(e, [(number, rows), (row, 1)])
        start = task_count(_deep_cut(self.plan)) * self.plan.task_bytes
        place = weighted_sum(e, [(number, BLOCK_RESULT), (e.i64(start), 1)])
        return e.gep(operand_pointer(e, TABLE, ARGS, LEFT_PACKED), "i8", place)


class _Deep(_Partial):
    def __init__(self, e: Emitter, plan: MatrixPlan) -> None:
        super().__init__(e, plan)
        self.cut = _deep_cut(plan)
        self.chunk = plan.chunk

    def loops(self) -> list[Dimension]:
        return [*_deep_cut(self.plan)]

    def emit(self, store: StoreCallback) -> None:
        for tails in self.versions():
            block = Block(self.e, self.chunk, None, self.heights[tails[0]], self.widths[tails[1]])
            block.emit_product(block_name(*tails))
        for side in (self.chunk.left, self.chunk.right):
            emit_step(self.e, side, STEP.format(side.number))
        emit_stage(self.e, "products", self.cut, self.body)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        e, plan, chunk = self.e, self.plan, self.chunk
        of_rows, of_columns, number = indices
        loop = self.cut[-1]
        part = range_number(e, number, loop)
        low = e.op("udiv", weighted_sum(e, [(part, loop.count)]), e.i64(loop.cut))
        again = e.cast("zext", e.cmp("icmp ne", number, low), "i64")
        first = weighted_sum(e, [(number, DEEP_CHUNK)])
        rest = e.op("sub nsw", e.i64(plan.left.depth), first)
        depth = e.intrinsic("llvm.smin", rest, e.i64(DEEP_CHUNK))
        memory = self.task_memory(indices)
        most = -(-plan.left.lead.blocks // plan.panels[0])
        memories = [memory, e.gep(memory, "i8", e.i64(most * chunk.left.block_bytes))]
        ranges = [
            self.bounds(of_rows, plan.panels[0], plan.left.lead.blocks),
            self.bounds(of_columns, plan.panels[1], plan.right.lead.blocks),
        ]
        sources = []
        for side, target, bounds in zip((chunk.left, chunk.right), memories, ranges, strict=True):
            base = operand_pointer(e, TABLE, ARGS, side.number)
            at = e.gep(base, side.memory, weighted_sum(e, [(first, side.stride)]))
            self.pack_panel(side, at, target, bounds, depth, e.i64(side.steps))
            sources.append(at)

        def of_column(column: Reg, tail: bool) -> None:
            def of_row(row: Reg, tail_row: bool) -> None:
                operands, origins = [], []
                for side, block, target, bounds, source in zip(
                    (chunk.left, chunk.right), (row, column), memories, ranges, sources, strict=True
                ):
                    local = e.op("sub nsw", block, bounds[0])
                    place = weighted_sum(e, [(local, side.block_bytes)])
                    operands.append(e.gep(target, "i8", place))
                    place = weighted_sum(e, [(block, BLOCK * side.lead.stride)])
                    origins.append(e.gep(source, side.memory, place))
                arguments = [*operands, *origins, self.result(part, row, column), depth, again]
                e.call(block_name(tail_row, tail), None, arguments, declared=True)

            self.over(*ranges[0], self.by_row, of_row)

        self.over(*ranges[1], self.by_column, of_column)


class _Totals(_Partial):
    """Adds up the parts of the sum and hands the blocks on."""

    def loops(self) -> list[Dimension]:
        return [self.by_row, self.by_column]

    def emit(self, store: StoreCallback) -> None:
        plan = self.plan
        parts = _deep_cut(plan)[-1].cut
        stride = plan.left.lead.blocks * plan.right.lead.blocks * BLOCK_RESULT
        for tails in self.versions():
            block = Block(self.e, plan, store, self.heights[tails[0]], self.widths[tails[1]])
            block.emit_total(block_name(*tails), parts, stride)
        emit_stage(self.e, "products", self.cut, self.body)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        row, column = indices
        arguments = [TABLE, ARGS, self.result(self.e.i64(0), row, column), row, column]
        self.e.call(block_name(*tails), None, arguments, declared=True)


FORMS: dict[str, type[Kernel]] = {
    "rows": _ByRows,
    "columns": _ByColumns,
    "batched": _Batched,
    "apart": _Apart,
    "deep": _Deep,
}
