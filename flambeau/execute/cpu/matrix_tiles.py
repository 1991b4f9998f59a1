"""The products of packed blocks on the matrix unit, and what becomes of their results.

A block of the result, 32 x 32, is four of the unit's eight tiles; see the Note in matrix_plan.py
for the parts that are multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    Dimension,
    cut_dimensions,
    emit_stage,
    lane_range,
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
from flambeau.execute.cpu.emit import F32, I32, I64, PTR, Emitter, Reg
from flambeau.execute.cpu.matrix_pack import FLOATS, LANES, PACKING, TILE_BYTES, emit_packing
from flambeau.execute.cpu.matrix_plan import (
    BLOCK,
    HALF,
    PART_BYTES,
    STEP_BYTES,
    Lead,
    MatrixPlan,
    Side,
)

LEFT_PACKED, RIGHT_PACKED = 2, 3
RESERVED = 4  # operands of a tile kernel before those of its epilogue
PARALLEL_CYCLES = 40_000
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


def _unit(e: Emitter, name: str, *arguments: int | Reg) -> None:
    """An instruction of the matrix unit; tiles are numbers, a stride follows a pointer."""
    full = f"llvm.x86.{name}"
    e.declarations.setdefault(full, f"declare void @{full}({ARRAYS[name]})")
    spelled = [a.typed if isinstance(a, Reg) else f"i8 {a}" for a in arguments]
    e.line(f"call void @{full}({', '.join(spelled)})")


def _configuration(e: Emitter) -> Reg:
    """The unit's configuration: eight tiles of 16 rows of 64 bytes."""
    words = [1] + [0] * 15 + [64, 0] * 8 + [0] * 16 + [16] * 8 + [0] * 8
    spelled = ", ".join(f"i8 {w}" for w in words)
    e.declarations["tiles"] = f"@tiles = private constant [64 x i8] [{spelled}], align 64"
    return Reg("@tiles", PTR)


def tiles_kernel(vector_bits: int, plan: MatrixPlan, store: StoreCallback) -> tuple[str, int]:
    """(text, tasks) of the kernel that multiplies packed operands.

    Operands: 0 A, 1 B, 2 and 3 the packed left and right side, 4 and up what `store` uses. Where
    the plan is `local`, operand 2 is scratch memory that each task packs its rows into.
    """
    kernel = _Kernel(Emitter(vector_bits), plan)
    e = kernel.e
    for tail_row in {False, kernel.row_tail}:
        for tail_column in {False, kernel.column_tail}:
            height = kernel.heights[tail_row]
            block = _Block(e, plan, store, height, kernel.widths[tail_column])
            block.emit(_name(tail_row, tail_column))
    if plan.local:
        emit_packing(e, plan.left)
        kernel.emit_by_rows()
    else:
        kernel.emit_by_columns()
    parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
    with e.function("kernel", "i64", parameters) as registers:
        _unit(e, "ldtilecfg", _configuration(e))
        e.call("products", None, registers, declared=True)
        _unit(e, "tilerelease")
        e.line("ret i64 0")
    return e.module(), task_count(kernel.cut)


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
        self.dimensions = [*around, by_row] if plan.local else [*around, by_column, by_row]
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
            place = weighted_sum(e, [(self._task(indices), plan.left.block_bytes)])
            left = e.gep(scratch, "i8", place)
            rows = self._source(plan.left, index, row)
            rest = e.op("sub nsw", e.i64(plan.left.lead.extent), weighted_sum(e, [(row, BLOCK)]))
            e.call(PACKING, None, [rows, left, rest], declared=True)
            whole = plan.right.lead.blocks - self.column_tail
            with e.loop(e.i64(0), e.i64(whole)) as columns:
                self._call_block(left, index, row, columns.index, (tails[-1], False))
            if self.column_tail:
                self._call_block(left, index, row, e.i64(whole), (tails[-1], True))

        emit_stage(e, "products", self.cut, body)

    def _task(self, indices: Sequence[Reg]) -> Reg:
        """The number of the task that an iteration belongs to."""
        e, number = self.e, self.e.i64(0)
        for index, dimension in zip(indices, self.cut, strict=True):
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


class _Block:
    """Emits the function of a block of `height` rows by `width` columns."""

    def __init__(
        self, e: Emitter, plan: MatrixPlan, store: StoreCallback, height: int, width: int
    ) -> None:
        self.e = e
        self.plan = plan
        self.store = store
        self.height, self.width = height, width
        self.row_tiles, self.column_tiles = -(-height // HALF), -(-width // HALF)

    def emit(self, name: str) -> None:
        e, plan = self.e, self.plan
        parameters = [*PARAMETERS, *[(n, PTR) for n in ("left", "right", "rows", "columns")]]
        parameters += [("row", I64), ("column", I64), *[(f"i{p}", I64) for p in plan.outer]]
        with e.function(name, "internal void", parameters) as registers:
            left, right, rows, columns, row, column = registers[2:8]
            self.index = dict(zip(plan.outer, registers[8:], strict=True))
            result = e.alloca(F32, BLOCK * BLOCK)
            by_unit, by_vectors, finished = e.label(), e.label(), e.label()
            e.branch_if(self._safe(left, right), by_unit, by_vectors)
            e.open_block(by_unit)
            self._multiply(left, right, result)
            e.branch(finished)
            e.open_block(by_vectors)
            self._multiply_plainly(rows, columns, result)
            e.branch(finished)
            e.open_block(finished)
            self._give(result, row, column)
            e.line("ret void")

    def _safe(self, left: Reg, right: Reg) -> Reg:
        """Whether all magnitudes of both blocks are within what the unit computes exactly."""
        e = self.e
        exponents = []
        for side, block in ((self.plan.left, left), (self.plan.right, right)):
            flags = e.gep(block, "i8", e.i64(side.steps * STEP_BYTES))
            words = [e.load(flags, I32), e.load(e.gep(flags, "i32", e.i64(1)), I32)]
            exponents.append([e.op("lshr", word, e.const(23, I32)) for word in words])
        (high, low), (high2, low2) = exponents
        good = e.cmp("icmp uge", e.op("add", low, low2), e.const(SMALLEST_PRODUCT, I32))
        few = e.cmp("icmp ule", e.op("add", high, high2), e.const(LARGEST_PRODUCT, I32))
        good = e.op("and", good, few)
        for least, most in ((low, high), (low2, high2)):
            good = e.op("and", good, e.cmp("icmp uge", least, e.const(SMALLEST, I32)))
            good = e.op("and", good, e.cmp("icmp ule", most, e.const(LARGEST, I32)))
        return good

    def _multiply(self, left: Reg, right: Reg, result: Reg) -> None:
        e = self.e
        totals = {
            (r, c): 2 * r + c for r in range(self.row_tiles) for c in range(self.column_tiles)
        }
        for tile in totals.values():
            _unit(e, "tilezero", tile)
        with e.loop(e.i64(0), e.i64(self.plan.left.steps)) as loop:
            offset = weighted_sum(e, [(loop.index, STEP_BYTES)])
            at = e.gep(left, "i8", offset), e.gep(right, "i8", offset)
            have = [-1, -1]
            for parts in PRODUCTS:
                for side, count in ((0, self.row_tiles), (1, self.column_tiles)):
                    if have[side] != parts[side]:
                        self._load(at[side], 4 + 2 * side, parts[side], count)
                        have[side] = parts[side]
                for (r, c), tile in totals.items():
                    _unit(e, "tdpbf16ps", tile, 4 + r, 6 + c)
        for (r, c), tile in totals.items():
            place = e.gep(result, "i8", e.i64(r * HALF * ROW_BYTES + c * 4 * HALF))
            _unit(e, "tilestored64", tile, place, e.i64(ROW_BYTES))

    def _load(self, base: Reg, tile: int, part: int, count: int) -> None:
        e = self.e
        for number in range(count):
            place = e.gep(base, "i8", e.i64(part * PART_BYTES + number * TILE_BYTES))
            _unit(e, "tileloadd64", tile + number, place, e.i64(2 * BLOCK))

    # ---- blocks that the unit would not compute exactly ------------------------------------------

    def _multiply_plainly(self, rows: Reg, columns: Reg, result: Reg) -> None:
        """The same block by fused multiply-adds, from the operands where they are."""
        e, left, right = self.e, self.plan.left, self.plan.right
        zeros = [e.const(0, FLOATS)] * self.column_tiles
        with e.loop(e.i64(0), e.i64(self.height)) as loop:
            a = e.gep(rows, "float", weighted_sum(e, [(loop.index, left.lead.stride)]))
            with e.loop(e.i64(0), e.i64(left.depth), carried=zeros) as k:
                place = e.gep(a, "float", weighted_sum(e, [(k.index, left.stride)]))
                x = e.splat(e.load(place, F32), LANES)
                b = e.gep(columns, "float", weighted_sum(e, [(k.index, right.stride)]))
                sums = [
                    e.fma(x, self._column(b, number), total)
                    for number, total in enumerate(k.carried)
                ]
                k.yield_(sums)
            for number, total in enumerate(k.carried):
                at = weighted_sum(e, [(loop.index, BLOCK), (e.i64(number), HALF)])
                e.store(e.gep(result, "float", at), total)

    def _column(self, base: Reg, number: int) -> Reg:
        """Elements of the right operand for 16 columns from 16 * number on; zeros beyond."""
        e, stride = self.e, self.plan.right.lead.stride
        count = min(HALF, self.width - number * HALF)
        mask = e.vector_const([int(i < count) for i in range(LANES)], "i1")
        start = e.gep(base, "float", e.i64(number * HALF * stride))
        align, zero = Reg("4", I32), e.const(0, FLOATS)
        if stride == 1:
            return e.call("llvm.masked.load.v16f32.p0", FLOATS, [start, align, mask, zero])
        places = e.vector_const([i * stride for i in range(LANES)], "i64")
        pointers = e.gep(start, "float", places)
        return e.call("llvm.masked.gather.v16f32.v16p0", FLOATS, [pointers, align, mask, zero])

    # ---- results ---------------------------------------------------------------------------------

    def _give(self, result: Reg, row: Reg, column: Reg) -> None:
        """Hands the block on, 16 elements at a time along a row, or along a column if turned."""
        e, plan = self.e, self.plan
        across, along = plan.left.lead, plan.right.lead
        lines, length, line, start = self.height, self.width, row, column
        if plan.turned:
            self._transpose(result)
            across, along, lines, length, line, start = along, across, length, lines, start, line
        whole, rest = divmod(length, HALF)
        with e.loop(e.i64(0), e.i64(lines)) as loop:
            first = weighted_sum(e, [(line, BLOCK), (loop.index, 1)])
            place = {**self.index, **_indices(e, across, first)}
            if whole:
                with e.loop(e.i64(0), e.i64(whole)) as pieces:
                    self._piece(result, loop.index, pieces.index, HALF, place, along, start)
            if rest:
                self._piece(result, loop.index, e.i64(whole), rest, place, along, start)

    def _piece(
        self,
        result: Reg,
        line: Reg,
        number: Reg,
        width: int,
        place: dict[int, Reg],
        along: Lead,
        start: Reg,
    ) -> None:
        e = self.e
        at = e.gep(result, "float", weighted_sum(e, [(line, BLOCK), (number, HALF)]))
        value = lane_range(e, e.load(at, FLOATS, 64), 0, width)
        first = weighted_sum(e, [(start, BLOCK), (number, HALF)])
        index = {**place, **_indices(e, along, first)}
        positions = [p for p, axis in enumerate(self.plan.spec.axes) if axis.kind != "k"]
        registers = [index.get(p, e.i64(0)) for p in positions]
        self.store(e, registers, value, positions.index(along.axes[-1]))

    def _transpose(self, result: Reg) -> None:
        """Transposes the block where it lies: its four quarters, two of which change places."""
        e = self.e
        with e.loop(e.i64(0), e.i64(2)) as rows, e.loop(rows.index, e.i64(2)) as columns:
            places, vectors = [], []
            for r, c in ((rows.index, columns.index), (columns.index, rows.index)):
                quarter = weighted_sum(e, [(r, HALF * BLOCK), (c, HALF)])
                corner = e.gep(result, "float", quarter)
                lines = [e.gep(corner, "float", e.i64(n * BLOCK)) for n in range(HALF)]
                places.append(lines)
                vectors.append(transposed(e, [e.load(line, FLOATS, 64) for line in lines]))
            for lines, values in zip(places[::-1], vectors, strict=True):
                for line, value in zip(lines, values, strict=True):
                    e.store(line, value, 64)


def _indices(e: Emitter, lead: Lead, number: Reg) -> dict[int, Reg]:
    """The index of each of a lead's axes, from the one along all of them."""
    found: dict[int, Reg] = {}
    for place in range(len(lead.axes) - 1, 0, -1):
        inner = e.i64(lead.extents[place])
        found[lead.axes[place]] = e.op("urem", number, inner)
        number = e.op("udiv", number, inner)
    found[lead.axes[0]] = number
    return found
