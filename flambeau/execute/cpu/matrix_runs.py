"""Blocks of a product one after another, each handed on while the next is multiplied.

Note [Between the unit's instructions]
The unit's products wait for each other and for their tiles; what a block's results go through (a
bias, a GELU, the update of a weight) is vector instructions that need neither. A processor looks
some hundred instructions ahead, which is less than either, so that one after the other both take
their whole time. So a run of blocks hands the lines of a block on between the products of the next,
at some places in each step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.execute.cpu.contraction_nest import PARAMETERS
from flambeau.execute.cpu.contraction_spec import weighted_sum
from flambeau.execute.cpu.emit import F32, I64, PTR, Emitter, Reg
from flambeau.execute.cpu.matrix_plan import BLOCK, HALF, MatrixPlan
from flambeau.execute.cpu.matrix_tiles import Block, lead_indices

MOST_PLACES = 6  # in a step
LINE = 64  # bytes


class Beside:
    """Hands on the lines of a block: `give(line)` for each of `lines` (0 or `most`)."""

    def __init__(
        self, e: Emitter, give: Callable[[Reg], None], lines: Reg, most: int, steps: int
    ) -> None:
        self.e = e
        self.give = give
        self.lines = lines
        self.most = most
        self.steps = steps

    def __call__(self, step: Reg, number: int, count: int) -> None:
        """Behind the product `number` of the `count` in a step."""
        places = min(-(-self.most // self.steps), MOST_PLACES, max(count // 4, 1))
        before, after = (n * places // count for n in (number, number + 1))
        if before == after:
            return
        e = self.e
        bounds = []
        for place in (before, after):
            line = weighted_sum(e, [(step, places * self.most), (e.i64(place), self.most)])
            line = e.op("udiv", line, e.i64(self.steps * places))
            bounds.append(e.intrinsic("llvm.smin", line, self.lines))
        with e.loop(bounds[0], bounds[1]) as loop:
            self.give(loop.index)

    def all(self) -> None:
        """All lines, where nothing is multiplied by the unit."""
        with self.e.loop(self.e.i64(0), self.lines) as loop:
            self.give(loop.index)


class Run(Block):
    """Emits the function of a range of whole blocks; see Note [Between the unit's instructions]."""

    def __init__(self, e: Emitter, plan: MatrixPlan, store: Callable[..., None]) -> None:
        super().__init__(e, plan, store, BLOCK, BLOCK)

    def emit(self, name: str) -> None:
        """Defines @name(.., left, right, rows, columns, row, column, high, wide, indices ..).

        It computes `high` by `wide` blocks from (row, column) on, a column of them after the
        other. The pointers are those of the first block, as in Block.emit.
        """
        e, plan = self.e, self.plan
        around = [(f"i{p}", I64) for p in plan.outer]
        line = f"{name}.line"
        parameters = [*PARAMETERS, ("result", PTR), ("first", I64), ("column", I64), *around]
        with e.function(line, "internal void", parameters, "noinline") as registers:
            self.index = dict(zip(plan.outer, registers[5:], strict=True))
            result, first, column = registers[2:5]
            place = {**self.index, **lead_indices(e, plan.left.lead, first)}
            for number in range(self.column_tiles):
                self._piece(result, e.i64(0), e.i64(number), HALF, place, column)
            e.line("ret void")
        parameters = [*PARAMETERS, *[(n, PTR) for n in ("left", "right", "rows", "columns")]]
        parameters += [(n, I64) for n in ("row", "column", "high", "wide")]
        with e.function(name, "internal void", [*parameters, *around]) as registers:
            self.index = dict(zip(plan.outer, registers[10:], strict=True))
            self._blocks(line, registers)
            e.line("ret void")

    def _blocks(self, line: str, registers: Sequence[Reg]) -> None:
        e, plan = self.e, self.plan
        left, right, rows, columns, row, column, high, wide = registers[2:10]
        memory = e.alloca(F32, 2 * BLOCK * BLOCK)

        def result_of(number: Reg) -> Reg:
            odd = e.op("and", number, e.i64(1))
            return e.gep(memory, "float", weighted_sum(e, [(odd, BLOCK * BLOCK)]))

        def place_of(number: Reg) -> tuple[Reg, Reg]:
            return e.op("urem", number, high), e.op("udiv", number, high)

        def giving(number: Reg) -> Callable[[Reg], None]:
            result, (down, across) = result_of(number), place_of(number)
            here = weighted_sum(e, [(column, 1), (across, 1)])
            first = weighted_sum(e, [(row, BLOCK), (down, BLOCK)])

            def give(at: Reg) -> None:
                start = e.gep(result, "float", weighted_sum(e, [(at, BLOCK)]))
                place = weighted_sum(e, [(first, 1), (at, 1)])
                arguments = [*registers[:2], start, place, here, *registers[10:]]
                e.call(line, None, arguments, declared=True)

            return give

        def source(side: int, start: Reg, block: Reg) -> Reg:
            of = (plan.left, plan.right)[side]
            return e.gep(start, of.memory, weighted_sum(e, [(block, BLOCK * of.lead.stride)]))

        count = e.op("mul nsw", high, wide)
        with e.loop(e.i64(0), count) as loop:
            down, across = place_of(loop.index)
            some = e.cmp("icmp sgt", loop.index, e.i64(0))
            before = e.select(some, e.op("sub nsw", loop.index, e.i64(1)), e.i64(0))
            lines = e.select(some, e.i64(BLOCK), e.i64(0))
            beside = Beside(e, giving(before), lines, BLOCK, plan.left.steps)
            here = (
                weighted_sum(e, [(row, 1), (down, 1)]),
                weighted_sum(e, [(column, 1), (across, 1)]),
            )
            operands = (
                source(0, rows, down)
                if plan.direct
                else e.gep(left, "i8", weighted_sum(e, [(down, plan.left.block_bytes)])),
                e.gep(right, "i8", weighted_sum(e, [(across, plan.right.block_bytes)])),
                source(0, rows, down),
                source(1, columns, across),
            )

            def ahead(step: Reg) -> None:
                self._prefetch(step, *here)
                if plan.form == "columns" and plan.right.by_k:
                    self._fetch(columns, weighted_sum(e, [(down, plan.left.steps), (step, 1)]))

            depth = e.i64(plan.left.depth)
            self._product(operands, result_of(loop.index), depth, None, ahead, None, beside)
        last = e.op("sub nsw", count, e.i64(1))
        Beside(e, giving(last), e.i64(BLOCK), BLOCK, 1).all()

    def _fetch(self, columns: Reg, step: Reg) -> None:
        """Asks for a share of the 32 columns behind these, which are packed next; `step` counts
        those of all blocks of a column.
        """
        e, plan = self.e, self.plan
        side = plan.right
        near = LINE // (2 if side.parts == 1 else 4)
        lines = side.depth // near
        share = -(-BLOCK * lines // (plan.left.lead.blocks * side.steps))
        with e.loop(e.i64(0), e.i64(share)) as loop:
            line = weighted_sum(e, [(step, share), (loop.index, 1)])
            row, along = e.op("udiv", line, e.i64(lines)), e.op("urem", line, e.i64(lines))
            first = e.i64(BLOCK * side.lead.stride)
            place = weighted_sum(e, [(first, 1), (row, side.lead.stride), (along, near)])
            e.prefetch(e.gep(columns, side.memory, place))
