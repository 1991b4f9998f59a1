"""The products of packed blocks on the matrix unit, and what becomes of their results.

A block of the result, 32 x 32, is four of the unit's eight tiles; see the Note in matrix_plan.py
for the parts that are multiplied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    lane_range,
)
from flambeau.execute.cpu.contraction_spec import (
    StoreCallback,
    weighted_sum,
)
from flambeau.execute.cpu.emit import F32, I32, I64, PTR, Emitter, Reg
from flambeau.execute.cpu.matrix_pack import FLOATS, LANES, TILE_BYTES
from flambeau.execute.cpu.matrix_plan import (
    BLOCK,
    HALF,
    PART_BYTES,
    Lead,
    MatrixPlan,
    Side,
)

if TYPE_CHECKING:
    from flambeau.execute.cpu.matrix_runs import Beside

ROW_BYTES = 4 * BLOCK
HIGH, MID, LOW = range(3)
# (left part, right part) of the six products: the smallest first, and one operand stays.
PRODUCTS = ((LOW, HIGH), (MID, HIGH), (MID, MID), (HIGH, MID), (HIGH, LOW), (HIGH, HIGH))
# Exponents (biased by 127) between which parts and products are exact in the unit.
SMALLEST, SMALLEST_PRODUCT = 127 - 100, 2 * 127 - 100
LARGEST, LARGEST_PRODUCT = 127 + 120, 2 * 127 + 100

ARRAYS = {
    "ldtilecfg": "ptr",
    "tilerelease": "",
    "tilezero": "i8 immarg",
    "tileloadd64": "i8 immarg, ptr, i64",
    "tilestored64": "i8 immarg, ptr, i64",
    "tdpbf16ps": "i8 immarg, i8 immarg, i8 immarg",
}


def unit_instruction(e: Emitter, name: str, *arguments: int | Reg) -> None:
    """An instruction of the matrix unit; tiles are numbers, a stride follows a pointer."""
    full = f"llvm.x86.{name}"
    e.declarations.setdefault(full, f"declare void @{full}({ARRAYS[name]})")
    spelled = [a.typed if isinstance(a, Reg) else f"i8 {a}" for a in arguments]
    e.line(f"call void @{full}({', '.join(spelled)})")


@contextmanager
def with_unit(e: Emitter) -> Iterator[None]:
    """Around all uses of the unit: what is in its tiles is lost at both ends."""
    unit_instruction(e, "ldtilecfg", _configuration(e))
    yield
    unit_instruction(e, "tilerelease")


def _configuration(e: Emitter) -> Reg:
    """The unit's configuration: eight tiles of 16 rows of 64 bytes."""
    words = [1] + [0] * 15 + [64, 0] * 8 + [0] * 16 + [16] * 8 + [0] * 8
    spelled = ", ".join(f"i8 {w}" for w in words)
    e.declarations["tiles"] = f"@tiles = private constant [64 x i8] [{spelled}], align 64"
    return Reg("@tiles", PTR)


def is_safe(e: Emitter, left: tuple[Reg, Reg], right: tuple[Reg, Reg]) -> Reg:
    """Whether two operands with these flags (see matrix_pack.py) are multiplied exactly."""
    shift = e.const(23, I32)
    (high, low), (high2, low2) = [[e.op("lshr", word, shift) for word in w] for w in (left, right)]
    good = e.cmp("icmp uge", e.op("add", low, low2), e.const(SMALLEST_PRODUCT, I32))
    few = e.cmp("icmp ule", e.op("add", high, high2), e.const(LARGEST_PRODUCT, I32))
    good = e.op("and", good, few)
    for least, most in ((low, high), (low2, high2)):
        good = e.op("and", good, e.cmp("icmp uge", least, e.const(SMALLEST, I32)))
        good = e.op("and", good, e.cmp("icmp ule", most, e.const(LARGEST, I32)))
    return good


class Products:
    """Emits the products of packed blocks, `height` rows by `width` columns of the result."""

    def __init__(self, e: Emitter, left: Side, right: Side, height: int, width: int) -> None:
        self.e = e
        self.left, self.right = left, right
        self.height, self.width = height, width
        self.row_tiles, self.column_tiles = -(-height // HALF), -(-width // HALF)

    def emit_product(self, name: str) -> None:
        """Defines @name(left, right, rows, columns, result, depth, again): the products of a block,
        added to the result unless `again` is 0.
        """
        e = self.e
        parameters = [(n, PTR) for n in ("left", "right", "rows", "columns", "result")]
        parameters += [("depth", I64), ("again", I64)]
        with e.function(name, "internal void", parameters) as registers:
            result, depth, again = registers[4:]
            self._product(registers[:4], result, depth, e.cmp("icmp ne", again, e.i64(0)))
            e.line("ret void")

    def _product(
        self,
        operands: Sequence[Reg],
        result: Reg,
        depth: Reg,
        again: Reg | None,
        ahead: Callable[[Reg], None] | None = None,
        chunk: tuple[Reg, Reg] | None = None,
        beside: Beside | None = None,
    ) -> None:
        """result = left right, or plus that where `again`; on the unit if that is safe (bfloat16
        always is). chunk: the first step of the right side's and how many, if not all. `beside`
        is done between the unit's products, or behind the vectors'.
        """
        e = self.e
        left, right, rows, columns = operands
        if self.left.parts == 1:
            self._multiply(left, right, result, again, ahead, chunk, beside)
            return
        by_unit, by_vectors, finished = e.label(), e.label(), e.label()
        e.branch_if(self._safe(left, right, chunk), by_unit, by_vectors)
        e.open_block(by_unit)
        self._multiply(left, right, result, again, ahead, chunk, beside)
        e.branch(finished)
        e.open_block(by_vectors)
        self._multiply_plainly(rows, columns, result, depth, again)
        if beside is not None:
            beside.all()
        e.branch(finished)
        e.open_block(finished)

    def _safe(self, left: Reg, right: Reg, chunk: tuple[Reg, Reg] | None) -> Reg:
        """Whether all magnitudes of both blocks are within what the unit computes exactly."""
        e = self.e
        words = []
        ends = [e.i64(self.left.steps), e.i64(self.right.steps)]
        if chunk is not None:
            ends = [chunk[1], e.op("sub nsw", ends[1], chunk[0])]
        for end, block in zip(ends, (left, right), strict=True):
            flags = e.gep(block, "i8", weighted_sum(e, [(end, self.left.step_bytes)]))
            words.append((e.load(flags, I32), e.load(e.gep(flags, "i32", e.i64(1)), I32)))
        return is_safe(e, *words)

    def _multiply(
        self,
        left: Reg,
        right: Reg,
        result: Reg,
        again: Reg | None,
        ahead: Callable[[Reg], None] | None,
        chunk: tuple[Reg, Reg] | None,
        beside: Beside | None,
    ) -> None:
        e = self.e
        totals = {
            (r, c): 2 * r + c for r in range(self.row_tiles) for c in range(self.column_tiles)
        }
        places = {
            tile: e.gep(result, "i8", e.i64(r * HALF * ROW_BYTES + c * 4 * HALF))
            for (r, c), tile in totals.items()
        }
        for tile in places:
            unit_instruction(e, "tilezero", tile)
        if again is not None:
            with e.when(again):
                for tile, place in places.items():
                    unit_instruction(e, "tileloadd64", tile, place, e.i64(ROW_BYTES))
        steps = e.i64(self.left.steps) if chunk is None else chunk[1]
        self._multiply_steps(left, right, steps, ahead, beside)
        for tile, place in places.items():
            unit_instruction(e, "tilestored64", tile, place, e.i64(ROW_BYTES))

    def _multiply_steps(
        self,
        left: Reg,
        right: Reg,
        steps: Reg,
        ahead: Callable[[Reg], None] | None,
        beside: Beside | None,
    ) -> None:
        """Adds the products of so many steps to the totals in tiles 0 to 3.

        An operand's tile is loaded anew right behind the last product that needs what it had, so
        that loads run beside the products in between; those of the next step begin in this one.
        """
        e = self.e
        work = self._work()
        first = {tile: part for _, *used in work[::-1] for tile, part in used}
        last = weighted_sum(e, [(steps, 1), (e.i64(-1), 1)])

        def load(tile: int, part: int, offset: Reg) -> None:
            place = e.gep(left if tile < 6 else right, "i8", offset)
            place = e.gep(place, "i8", e.i64(part * PART_BYTES + tile % 2 * TILE_BYTES))
            unit_instruction(e, "tileloadd64", tile, place, e.i64(2 * BLOCK))

        for tile, part in first.items():
            load(tile, part, e.i64(0))
        with e.loop(e.i64(0), steps) as loop:
            here = weighted_sum(e, [(loop.index, self.left.step_bytes)])
            after = weighted_sum(e, [(loop.index, 1), (e.i64(1), 1)])
            after = e.intrinsic("llvm.smin", after, last)
            after = weighted_sum(e, [(after, self.left.step_bytes)])
            if ahead is not None:
                ahead(loop.index)
            for number, (total, *used) in enumerate(work):
                unit_instruction(e, "tdpbf16ps", total, *[tile for tile, _ in used])
                for tile, part in used:
                    later = [p for _, *more in work[number + 1 :] for t, p in more if t == tile]
                    if later and later[0] != part:
                        load(tile, later[0], here)
                    elif not later:
                        load(tile, first[tile], after)
                if beside is not None:
                    beside(loop.index, number, len(work))

    def _work(self) -> list[tuple[int, tuple[int, int], tuple[int, int]]]:
        """The products of a step: the total's tile, then (tile, part) of the left and the right."""
        found = []
        pairs = PRODUCTS if self.left.parts > 1 else ((HIGH, HIGH),)
        for number, (of_left, of_right) in enumerate(pairs):
            following = pairs[number + 1 :]
            by_column = bool(following) and following[0][0] == of_left
            places = [(r, c) for r in range(self.row_tiles) for c in range(self.column_tiles)]
            if by_column:
                places.sort(key=lambda place: place[::-1])
            found += [(2 * r + c, (4 + r, of_left), (6 + c, of_right)) for r, c in places]
        return found

    # ---- blocks that the unit would not compute exactly ------------------------------------------

    def _multiply_plainly(
        self, rows: Reg, columns: Reg, result: Reg, depth: Reg, again: Reg | None
    ) -> None:
        """The same block by fused multiply-adds, from the operands where they are."""
        e, left, right = self.e, self.left, self.right
        with e.loop(e.i64(0), e.i64(self.height)) as loop:
            a = e.gep(rows, "float", weighted_sum(e, [(loop.index, left.lead.stride)]))
            line = e.gep(result, "float", weighted_sum(e, [(loop.index, BLOCK)]))
            places = [e.gep(line, "float", e.i64(n * HALF)) for n in range(self.column_tiles)]
            start = [e.const(0, FLOATS)] * self.column_tiles
            if again is not None:
                mask = e.splat(again, LANES)
                start = [e.select(mask, e.load(p, FLOATS, 64), start[0]) for p in places]
            with e.loop(e.i64(0), depth, carried=start) as k:
                place = e.gep(a, "float", weighted_sum(e, [(k.index, left.stride)]))
                x = e.splat(e.load(place, F32), LANES)
                b = e.gep(columns, "float", weighted_sum(e, [(k.index, right.stride)]))
                k.yield_([e.fma(x, self._column(b, n), s) for n, s in enumerate(k.carried)])
            for place, total in zip(places, k.carried, strict=True):
                e.store(place, total, 64)

    def _column(self, base: Reg, number: int) -> Reg:
        """Elements of the right operand for 16 columns from 16 * number on; zeros beyond."""
        e, stride = self.e, self.right.lead.stride
        count = min(HALF, self.width - number * HALF)
        mask = e.vector_const([int(i < count) for i in range(LANES)], "i1")
        start = e.gep(base, "float", e.i64(number * HALF * stride))
        align, zero = Reg("4", I32), e.const(0, FLOATS)
        if stride == 1:
            return e.call("llvm.masked.load.v16f32.p0", FLOATS, [start, align, mask, zero])
        places = e.vector_const([i * stride for i in range(LANES)], "i64")
        pointers = e.gep(start, "float", places)
        return e.call("llvm.masked.gather.v16f32.v16p0", FLOATS, [pointers, align, mask, zero])


class Block(Products):
    """Emits the function of a block of a plan's result, and what becomes of it."""

    def __init__(
        self, e: Emitter, plan: MatrixPlan, store: StoreCallback | None, height: int, width: int
    ) -> None:
        super().__init__(e, plan.left, plan.right, height, width)
        self.plan = plan
        self.store = store

    def emit(self, name: str) -> None:
        """Defines @name(.., left, right, rows, columns, row, column, indices ..): all of a block.

        `left` and `right` are packed, `rows` and `columns` the same in their operands. Where the
        sum is cut into chunks more follows: the first step and how many, the depth, whether this
        chunk is the last, and where totals wait.
        """
        e, plan = self.e, self.plan
        parameters = [*PARAMETERS, *[(n, PTR) for n in ("left", "right", "rows", "columns")]]
        parameters += [("row", I64), ("column", I64), *[(f"i{p}", I64) for p in plan.outer]]
        count = len(parameters)
        if plan.chunks > 1:
            parameters += [(n, I64) for n in ("step", "steps", "depth", "last")]
            parameters.append(("totals", PTR))
        with e.function(name, "internal void", parameters) as registers:
            self.index = dict(zip(plan.outer, registers[8:count], strict=True))
            row, column = registers[6:8]
            if plan.chunks > 1:
                step, steps, depth, last, totals = registers[count:]
                again = e.cmp("icmp ne", step, e.i64(0))
                self._product(registers[2:6], totals, depth, again, None, (step, steps))
                with e.when(e.cmp("icmp ne", last, e.i64(0))):
                    self._give(totals, row, column)
                e.line("ret void")
                return
            result = e.alloca(F32, BLOCK * BLOCK)

            def ahead(step: Reg) -> None:
                self._prefetch(step, row, column)

            self._product(registers[2:6], result, e.i64(plan.left.depth), None, ahead)
            self._give(result, row, column)
            e.line("ret void")

    def emit_total(self, name: str, parts: int, stride: int) -> None:
        """Defines @name(.., partial, row, column): adds up `parts` results, `stride` bytes apart,
        and hands the block on.
        """
        e = self.e
        parameters = [*PARAMETERS, ("partial", PTR), ("row", I64), ("column", I64)]
        self.index = {}
        with e.function(name, "internal void", parameters) as (_, _, partial, row, column):
            result = e.alloca(F32, BLOCK * BLOCK)
            with e.loop(e.i64(0), e.i64(BLOCK * BLOCK), LANES) as loop:
                place = e.gep(partial, "float", loop.index)
                total = e.load(place, FLOATS, 64)
                for part in range(1, parts):
                    more = e.load(e.gep(place, "i8", e.i64(part * stride)), FLOATS, 64)
                    total = e.op("fadd", total, more)
                e.store(e.gep(result, "float", loop.index), total, 64)
            self._give(result, row, column)
            e.line("ret void")

    def _prefetch(self, step: Reg, row: Reg, column: Reg) -> None:
        """Asks for a share of what the block's results meet: its rows are spread over the steps."""
        e, plan = self.e, self.plan
        if self.store is None or not hasattr(self.store, "prefetch"):
            return
        share = -(-self.height // plan.left.steps)
        low = weighted_sum(e, [(step, share)])
        high = weighted_sum(e, [(step, share), (e.i64(share), 1)])
        positions = [p for p, axis in enumerate(plan.spec.axes) if axis.kind != "k"]
        lane = positions.index(plan.right.lead.axes[-1])
        with e.loop(low, e.intrinsic("llvm.smin", high, e.i64(self.height))) as rows:
            first = weighted_sum(e, [(row, BLOCK), (rows.index, 1)])
            place = {**self.index, **lead_indices(e, plan.left.lead, first)}
            for number in range(self.column_tiles):
                along = weighted_sum(e, [(column, BLOCK), (e.i64(number), HALF)])
                index = {**place, **lead_indices(e, plan.right.lead, along)}
                registers = [index.get(p, e.i64(0)) for p in positions]
                self.store.prefetch(e, registers, lane)

    # ---- results ---------------------------------------------------------------------------------

    def _give(self, result: Reg, row: Reg, column: Reg) -> None:
        """Hands the block on, 16 columns at a time."""
        e, plan = self.e, self.plan
        whole, rest = divmod(self.width, HALF)
        with e.loop(e.i64(0), e.i64(self.height)) as loop:
            first = weighted_sum(e, [(row, BLOCK), (loop.index, 1)])
            place = {**self.index, **lead_indices(e, plan.left.lead, first)}
            if whole:
                with e.loop(e.i64(0), e.i64(whole)) as pieces:
                    self._piece(result, loop.index, pieces.index, HALF, place, column)
            if rest:
                self._piece(result, loop.index, e.i64(whole), rest, place, column)

    def _piece(
        self,
        result: Reg,
        line: Reg,
        number: Reg,
        width: int,
        place: dict[int, Reg],
        column: Reg,
    ) -> None:
        e, along = self.e, self.plan.right.lead
        at = e.gep(result, "float", weighted_sum(e, [(line, BLOCK), (number, HALF)]))
        value = lane_range(e, e.load(at, FLOATS, 64), 0, width)
        first = weighted_sum(e, [(column, BLOCK), (number, HALF)])
        index = {**place, **lead_indices(e, along, first)}
        positions = [p for p, axis in enumerate(self.plan.spec.axes) if axis.kind != "k"]
        registers = [index.get(p, e.i64(0)) for p in positions]
        assert self.store is not None
        self.store(e, registers, value, positions.index(along.axes[-1]))


def lead_indices(e: Emitter, lead: Lead, number: Reg) -> dict[int, Reg]:
    """The index of each of a lead's axes, from the one along all of them."""
    found: dict[int, Reg] = {}
    for place in range(len(lead.axes) - 1, 0, -1):
        inner = e.i64(lead.extents[place])
        found[lead.axes[place]] = e.op("urem", number, inner)
        number = e.op("udiv", number, inner)
    found[lead.axes[0]] = number
    return found
