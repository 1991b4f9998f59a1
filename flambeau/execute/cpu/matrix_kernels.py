"""Kernels for the matrix unit: which blocks of a product are computed when, by which task.

Note [Where packed rows stay]
A packed operand is half as long again as the operand, and the arithmetic is so fast that memory
beyond the level-2 cache limits it. So of the three forms of a kernel, two pack what they use just
before they use it: `rows` packs 32 rows of the left side and multiplies them by the whole right
side (which was packed before, once in a program, and stays in the cache). `deep`, where the result
is small and the sum is long (the gradient of a weight), takes 128 k of both sides at a time and
keeps adding to the same result; tasks share the sum, a second kernel adds their results. `apart`,
the rest, has both sides packed before.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    Dimension,
    cut_dimensions,
    emit_stage,
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
from flambeau.execute.cpu.matrix_pack import PACKING, call_step, emit_packing, emit_step
from flambeau.execute.cpu.matrix_plan import BLOCK, DEEP_CHUNK, MatrixPlan, Side
from flambeau.execute.cpu.matrix_tiles import Block, with_unit

LEFT_PACKED, RIGHT_PACKED = 2, 3
RESERVED = 4  # operands of a kernel before those of its epilogue
PARALLEL_CYCLES = 40_000
BLOCK_RESULT = 4 * BLOCK * BLOCK


def tiles_kernel(vector_bits: int, plan: MatrixPlan, store: StoreCallback) -> tuple[str, int]:
    """(text, tasks) of the kernel that multiplies packed operands.

    Operands: 0 A, 1 B, 2 and 3 the packed left and right side, 4 and up what `store` uses. Where
    the plan is `by_rows`, operand 2 is scratch memory that each task packs its rows into.
    """
    kernel = _Kernel(Emitter(vector_bits), plan)
    e = kernel.e
    for tail_row in {False, kernel.row_tail}:
        for tail_column in {False, kernel.column_tail}:
            height = kernel.heights[tail_row]
            block = Block(e, plan, store, height, kernel.widths[tail_column])
            block.emit(_name(tail_row, tail_column))
    if plan.by_rows:
        emit_packing(e, plan.left)
        kernel.emit_by_rows()
    else:
        kernel.emit_by_columns()
    _emit_kernel(e, "products", unit=True)
    return e.module(), task_count(kernel.cut)


def _emit_kernel(e: Emitter, stage: str, unit: bool) -> None:
    parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
    with e.function("kernel", "i64", parameters) as registers:
        if unit:
            with with_unit(e):
                e.call(stage, None, registers, declared=True)
        else:
            e.call(stage, None, registers, declared=True)
        e.line("ret i64 0")


class _Kernel:
    """The loops around the blocks of a plan."""

    def __init__(self, e: Emitter, plan: MatrixPlan) -> None:
        self.e = e
        self.plan = plan
        rows, cols = plan.left.lead, plan.right.lead
        self.widths = {False: BLOCK, True: cols.extent % BLOCK or BLOCK}
        self.heights = {False: BLOCK, True: rows.extent % BLOCK or BLOCK}
        self.column_tail, self.row_tail = self.widths[True] < BLOCK, self.heights[True] < BLOCK
        around = [Dimension(plan.spec.axes[p].extent) for p in plan.outer]
        by_row = Dimension(rows.blocks, tail=self.row_tail)
        by_column = Dimension(cols.blocks, tail=self.column_tail)
        self.dimensions = [*around, by_row] if plan.by_rows else [*around, by_column, by_row]
        tasks = TASKS if plan.cycles >= PARALLEL_CYCLES else 1
        self.cut = cut_dimensions(self.dimensions, tasks)

    def emit_by_columns(self) -> None:
        """Both sides are packed already."""
        plan = self.plan

        def body(indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
            *around, column, row = indices
            index = dict(zip(plan.outer, around, strict=True))
            left = self._packed(plan.left, LEFT_PACKED, index, row)
            self._call_block(left, index, row, column, (tails[-1], tails[-2]))

        emit_stage(self.e, "products", self.cut, body)

    def emit_by_rows(self) -> None:
        """A task packs 32 rows of the left side and multiplies them by all columns at once."""
        e, plan = self.e, self.plan

        def body(indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
            *around, row = indices
            index = dict(zip(plan.outer, around, strict=True))
            scratch = operand_pointer(e, TABLE, ARGS, LEFT_PACKED)
            place = weighted_sum(e, [(self._task_of(indices, self.cut), plan.left.block_bytes)])
            left = e.gep(scratch, "i8", place)
            rows = self._source(plan.left, index, row)
            rest = e.op("sub nsw", e.i64(plan.left.lead.extent), weighted_sum(e, [(row, BLOCK)]))
            e.call(PACKING, None, [rows, left, rest, e.i64(plan.left.depth)], declared=True)
            whole = plan.right.lead.blocks - self.column_tail
            with e.loop(e.i64(0), e.i64(whole)) as columns:
                self._call_block(left, index, row, columns.index, (tails[-1], False))
            if self.column_tail:
                self._call_block(left, index, row, e.i64(whole), (tails[-1], True))

        emit_stage(e, "products", self.cut, body)

    def _task_of(self, indices: Sequence[Reg], dimensions: Sequence[Dimension]) -> Reg:
        """The number of the task that an iteration belongs to."""
        e, number = self.e, self.e.i64(0)
        for index, dimension in zip(indices, dimensions, strict=True):
            if dimension.cut == 1:
                continue
            cut = dimension.cut
            ends = weighted_sum(e, [(index, cut), (e.i64(cut - 1), 1)])
            digit = e.op("udiv", ends, e.i64(dimension.count))
            number = weighted_sum(e, [(number, cut), (digit, 1)])
        return number

    def _call_block(
        self, left: Reg, index: dict[int, Reg], row: Reg, column: Reg, tails: tuple[bool, bool]
    ) -> None:
        plan = self.plan
        right = self._packed(plan.right, RIGHT_PACKED, index, column)
        sources = self._source(plan.left, index, row), self._source(plan.right, index, column)
        around = [index[p] for p in plan.outer]
        arguments = [TABLE, ARGS, left, right, *sources, row, column, *around]
        self.e.call(_name(*tails), None, arguments, declared=True)

    def _packed(self, side: Side, operand: int, index: dict[int, Reg], block: Reg) -> Reg:
        """Where a block of a packed side begins."""
        e, number = self.e, self.e.i64(0)
        for position, extent, _ in side.outer:
            number = weighted_sum(e, [(number, extent), (index[position], 1)])
        number = weighted_sum(e, [(number, side.lead.blocks), (block, 1)])
        offset = weighted_sum(e, [(number, side.block_bytes)])
        return e.gep(operand_pointer(e, TABLE, ARGS, operand), "i8", offset)

    def _source(self, side: Side, index: dict[int, Reg], block: Reg) -> Reg:
        """Where a block of a side begins in its operand."""
        terms = [(index[p], stride) for p, _, stride in side.outer]
        terms.append((block, BLOCK * side.lead.stride))
        base = operand_pointer(self.e, TABLE, ARGS, side.number)
        return self.e.gep(base, "float", weighted_sum(self.e, terms))


def _name(tail_row: bool, tail_column: bool) -> str:
    return f"block{'.low' if tail_row else ''}{'.last' if tail_column else ''}"


def deep_kernels(vector_bits: int, plan: MatrixPlan, store: StoreCallback) -> list[tuple[str, int]]:
    """(text, tasks) of the kernels of a `deep` plan: the products, and their total.

    Operands as those of `tiles_kernel`; 2 is scratch memory of `plan.deep_bytes`.
    """
    products, totals = _Deep(Emitter(vector_bits), plan), _Deep(Emitter(vector_bits), plan)
    products.emit_products()
    _emit_kernel(products.e, "products", unit=True)
    totals.emit_totals(store)
    _emit_kernel(totals.e, "totals", unit=False)
    return [
        (products.e.module(), task_count(products.chunks)),
        (totals.e.module(), task_count(totals.cut)),
    ]


class _Deep(_Kernel):
    """A sum in chunks of DEEP_CHUNK k, some of them a task's. A task's memory: both sides of a
    chunk, then its results, block by block.
    """

    def __init__(self, e: Emitter, plan: MatrixPlan) -> None:
        super().__init__(e, plan)
        self.chunk = plan.chunk
        chunks = -(-plan.left.depth // DEEP_CHUNK)
        self.chunks = cut_dimensions([Dimension(chunks)], plan.deep_tasks)
        rows, cols = plan.left.lead.blocks, plan.right.lead.blocks
        self.dimensions = [
            Dimension(cols, tail=self.column_tail),
            Dimension(rows, tail=self.row_tail),
        ]
        self.cut = cut_dimensions(self.dimensions, TASKS if rows * cols >= 4 * TASKS else 1)

    def emit_products(self) -> None:
        e, plan, chunk = self.e, self.plan, self.chunk
        for tails in self._versions():
            block = Block(e, chunk, None, self.heights[tails[0]], self.widths[tails[1]])
            block.emit_product(_name(*tails))
        for side in (chunk.left, chunk.right):
            emit_step(e, side, f"{PACKING}.{side.number}.step")

        def body(indices: tuple[Reg, ...], _: tuple[bool, ...]) -> None:
            (number,) = indices
            (loop,) = self.chunks
            task = self._task_of([number], self.chunks)
            low = e.op("udiv", weighted_sum(e, [(task, loop.count)]), e.i64(loop.cut))
            again = e.cast("zext", e.cmp("icmp ne", number, low), "i64")
            first = weighted_sum(e, [(number, DEEP_CHUNK)])
            rest = e.op("sub nsw", e.i64(plan.left.depth), first)
            depth = e.intrinsic("llvm.smin", rest, e.i64(DEEP_CHUNK))
            memory = operand_pointer(e, TABLE, ARGS, LEFT_PACKED)
            left = e.gep(memory, "i8", weighted_sum(e, [(task, plan.deep_task_bytes)]))
            right = e.gep(left, "i8", e.i64(chunk.left.bytes))
            result = e.gep(right, "i8", e.i64(chunk.right.bytes))
            sources = []
            for side, packed in ((chunk.left, left), (chunk.right, right)):
                base = operand_pointer(e, TABLE, ARGS, side.number)
                at = e.gep(base, "float", weighted_sum(e, [(first, side.stride)]))
                self._pack(side, at, packed, depth)
                sources.append(at)
            self._blocks(sources, (left, right), result, (depth, again))

        emit_stage(e, "products", self.chunks, body)

    def _versions(self) -> list[tuple[bool, bool]]:
        return [(r, c) for r in {False, self.row_tail} for c in {False, self.column_tail}]

    def _pack(self, side: Side, source: Reg, target: Reg, depth: Reg) -> None:
        """32 k of all blocks, then the next: their memory is read in order where k is outermost."""
        e, name = self.e, f"{PACKING}.{side.number}.step"
        with (
            e.loop(e.i64(0), e.i64(side.steps)) as steps,
            e.loop(e.i64(0), e.i64(side.lead.blocks)) as blocks,
        ):
            row = weighted_sum(e, [(blocks.index, BLOCK)])
            at = e.gep(source, "float", weighted_sum(e, [(row, side.lead.stride)]))
            to = e.gep(target, "i8", weighted_sum(e, [(blocks.index, side.block_bytes)]))
            left = e.op("sub nsw", e.i64(side.lead.extent), row)
            call_step(e, side, name, (at, to, left, depth), steps.index)

    def _blocks(
        self,
        sources: Sequence[Reg],
        packed: Sequence[Reg],
        result: Reg,
        arguments: Sequence[Reg],
    ) -> None:
        """Every block of the result, column by column."""
        e, chunk = self.e, self.chunk

        def call(row: Reg, column: Reg, tails: tuple[bool, bool]) -> None:
            operands, origins = [], []
            for side, block, memory, source in zip(
                (chunk.left, chunk.right), (row, column), packed, sources, strict=True
            ):
                place = weighted_sum(e, [(block, side.block_bytes)])
                operands.append(e.gep(memory, "i8", place))
                place = weighted_sum(e, [(block, BLOCK * side.lead.stride)])
                origins.append(e.gep(source, "float", place))
            number = weighted_sum(e, [(column, chunk.left.lead.blocks), (row, 1)])
            place = e.gep(result, "i8", weighted_sum(e, [(number, BLOCK_RESULT)]))
            e.call(_name(*tails), None, [*operands, *origins, place, *arguments], declared=True)

        def rows(column: Reg, tail: bool) -> None:
            whole = chunk.left.lead.blocks - self.row_tail
            with e.loop(e.i64(0), e.i64(whole)) as loop:
                call(loop.index, column, (False, tail))
            if self.row_tail:
                call(e.i64(whole), column, (True, tail))

        whole = chunk.right.lead.blocks - self.column_tail
        with e.loop(e.i64(0), e.i64(whole)) as loop:
            rows(loop.index, False)
        if self.column_tail:
            rows(e.i64(whole), True)

    def emit_totals(self, store: StoreCallback) -> None:
        e, plan = self.e, self.plan
        parts = task_count(self.chunks)
        for tails in self._versions():
            block = Block(e, plan, store, self.heights[tails[0]], self.widths[tails[1]])
            block.emit_total(_name(*tails), parts, plan.deep_task_bytes)

        def body(indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
            column, row = indices
            memory = operand_pointer(e, TABLE, ARGS, LEFT_PACKED)
            number = weighted_sum(e, [(column, plan.left.lead.blocks), (row, 1)])
            start = self.chunk.left.bytes + self.chunk.right.bytes
            place = weighted_sum(e, [(number, BLOCK_RESULT), (e.i64(start), 1)])
            partial = e.gep(memory, "i8", place)
            name = _name(tails[1], tails[0])
            e.call(name, None, [TABLE, ARGS, partial, row, column], declared=True)

        emit_stage(e, "totals", self.cut, body)
