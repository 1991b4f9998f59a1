"""The recurrent product inside a layer's kernel: rows of a task's block times all the weights.

Two ways: register tiles of multiply-adds over panels of the weights, and the matrix unit over
packed blocks (see the Note in matrix_plan.py). Each knows the scratch memory that it needs, copies
the weights there once, multiplies the first rows of the left factor, and says where an element of
the result lies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flambeau.core.dtypes import DType
from flambeau.execute.cpu.contraction_spec import load_element, weighted_sum
from flambeau.execute.cpu.emit import I64, PTR, Emitter, Reg, Type, vector_registers
from flambeau.execute.cpu.matrix_pack import emit_packing
from flambeau.execute.cpu.matrix_plan import BLOCK, HALF, Lead, Side
from flambeau.execute.cpu.matrix_tiles import Products, with_unit
from flambeau.execute.cpu.target import has_matrix_unit
from flambeau.ops.recurrence import CELLS

GROUP = 16  # rows that the matrix unit multiplies together; blocks of sequences are multiples of it
# States whose weights do not stay in the cache: more rows to use them, if two tasks have so many.
WIDE, WIDE_GROUP = 192, 32
RESULT = BLOCK * BLOCK  # elements of a block of the matrix unit's result
LEAST_SEQUENCES = 8  # for fewer the unit's tiles are too empty
LEAST_COLUMNS = 64
LINE = 64  # bytes


@dataclass(frozen=True)
class Met:
    """Lines of memory that are read, or written, next."""

    start: Reg
    lines: Reg
    written: bool


@dataclass(frozen=True)
class Layer:
    """The sizes that a kernel is written for."""

    mode: str
    width: int
    dtype: DType
    vector_bits: int
    backwards: bool
    by_unit: bool
    group: int = GROUP  # rows that are multiplied together at least

    @property
    def element(self) -> str:
        return "float" if self.dtype.name == "float32" else "double"

    @property
    def lanes(self) -> int:
        return self.vector_bits // (8 * self.dtype.itemsize)

    @property
    def vectors(self) -> int:
        """Vectors of a state."""
        return -(-self.width // self.lanes)

    @property
    def padded(self) -> int:
        return self.vectors * self.lanes

    @property
    def gates(self) -> int:
        return CELLS[self.mode].gates

    @property
    def terms(self) -> int:
        """Terms of the product's sums."""
        return self.gates * self.width if self.backwards else self.width

    @property
    def parts(self) -> int:
        """States that a row of the product consists of."""
        return 1 if self.backwards else self.gates

    @property
    def left_stride(self) -> int:
        """Elements of a row of the left factor, with room for a whole last vector."""
        return self.gates * self.width + self.lanes if self.backwards else self.padded


def group_of(width: int, batch: int, by_unit: bool) -> int:
    """Rows of so many sequences that are multiplied together."""
    return WIDE_GROUP if by_unit and width >= WIDE and batch >= 2 * WIDE_GROUP else GROUP


def unit_pays(width: int, gates: int, dtype: DType, batch: int, vector_bits: int) -> bool:
    """Whether the matrix unit is there and worth using."""
    if dtype.name != "float32" or vector_bits != 512 or width % HALF:
        return False
    large = batch >= LEAST_SEQUENCES and width * gates >= LEAST_COLUMNS and width >= BLOCK
    return large and has_matrix_unit()


def place(e: Emitter, element: str, base: Reg, *terms: tuple[Reg | int, int]) -> Reg:
    """The pointer to element sum of term * factor."""
    spelled = [(e.i64(t) if isinstance(t, int) else t, factor) for t, factor in terms]
    return e.gep(base, element, weighted_sum(e, spelled))


def over_vectors(e: Emitter, layer: Layer, body: Callable[[Reg, int], None]) -> None:
    """body(first column, how many) for each vector of a state."""
    lanes = layer.lanes
    whole = layer.width // lanes
    if whole == 1:
        body(e.i64(0), lanes)
    elif whole:
        with e.loop(e.i64(0), e.i64(whole * lanes), lanes) as loop:
            body(loop.index, lanes)
    if rest := layer.width - whole * lanes:
        body(e.i64(whole * lanes), rest)


class ByVectors:
    """Panels of three vectors, or two where these leave fewer empty, and tiles of eight rows (four
    where registers are few).
    """

    def __init__(self, e: Emitter, layer: Layer) -> None:
        self.e = e
        self.layer = layer
        self.rows = 8 if vector_registers(layer.vector_bits) >= 32 else 4
        vectors = layer.parts * layer.vectors
        self.columns = min((3, 2), key=lambda columns: -vectors % columns)
        self.panels = -(-vectors // self.columns)
        self.wide = self.panels * self.columns * layer.lanes

    @property
    def fixed(self) -> int:
        """Elements of scratch memory for the weights."""
        return self.layer.terms * self.wide

    def changing(self, block: int) -> int:
        """Elements for the left factor and the result of so many rows."""
        return block * (self.layer.left_stride + self.wide)

    def define(self) -> None:
        """Defines the functions that `multiply` calls."""
        for rows in (1, self.rows):
            self._tile(rows)

    def use(self, e: Emitter) -> Callable[[], None]:
        """To be called where the kernel begins; what it returns where it ends."""
        return lambda: None

    def settle(self, memory: Reg, block: Reg) -> Reg:
        """Takes its scratch memory for `block` rows; the place of the left factor."""
        e, layer = self.e, self.layer
        self.weights = memory
        self.left = place(e, layer.element, memory, (self.fixed, 1))
        self.right = place(e, layer.element, self.left, (block, layer.left_stride))
        return self.left

    def pack(self, weights: Reg) -> None:
        """Copies the weights, rows of `parts` states, into panels."""
        e, layer = self.e, self.layer
        element, size = layer.element, self.columns * layer.lanes
        vector = Type(element, layer.lanes)
        with e.loop(e.i64(0), e.i64(self.fixed // layer.lanes)) as loop:
            e.store(place(e, element, self.weights, (loop.index, layer.lanes)), e.const(0, vector))
        with e.loop(e.i64(0), e.i64(layer.terms)) as loop:
            row = loop.index
            for part in range(layer.parts):

                def copied(column: Reg, width: int, part: int = part) -> None:
                    terms = (row, layer.parts * layer.width), (part, layer.width), (column, 1)
                    source = place(e, element, weights, *terms)
                    value = load_element(e, source, element, layer.lanes, width)
                    number = e.op("udiv", column, e.i64(layer.lanes))
                    number = e.op("add nsw", number, e.i64(part * layer.vectors))
                    panel = e.op("udiv", number, e.i64(self.columns))
                    inside = e.op("urem", number, e.i64(self.columns))
                    to = (panel, layer.terms * size), (row, size), (inside, layer.lanes)
                    e.store(place(e, element, self.weights, *to), value)

                over_vectors(e, layer, copied)

    def multiply(self, count: Reg, met: Sequence[Met] = ()) -> None:
        """The first `count` rows (and some behind) of the left factor times the weights; asks for
        what the result is going to meet.
        """
        e, layer = self.e, self.layer
        whole = e.op("sdiv", count, e.i64(self.rows))
        rest = e.op("srem", count, e.i64(self.rows))
        alone = e.cmp("icmp eq", rest, e.i64(1))
        more = e.cast("zext", e.cmp("icmp sgt", rest, e.i64(1)), "i64")
        tiles = e.op("add nsw", whole, more)
        panel_size = layer.terms * self.columns * layer.lanes
        with e.loop(e.i64(0), e.i64(self.panels)) as panels:
            b = place(e, layer.element, self.weights, (panels.index, panel_size))
            for lines in met:
                self._ask(lines, panels.index)
            with e.loop(e.i64(0), tiles) as loop:
                self._call(self.rows, weighted_sum(e, [(loop.index, self.rows)]), panels.index, b)
            with e.when(alone):
                self._call(1, e.op("sub nsw", count, e.i64(1)), panels.index, b)

    def at(self, row: Reg, part: int, column: Reg) -> Reg:
        """Where a vector of the result begins."""
        terms = (row, self.wide), (part, self.layer.padded), (column, 1)
        return place(self.e, self.layer.element, self.right, *terms)

    def _ask(self, met: Met, panel: Reg) -> None:
        """Asks for a panel's part of the lines."""
        e = self.e
        ends = [panel, e.op("add nsw", panel, e.i64(1))]
        low, high = [
            e.op("udiv", e.op("mul nsw", end, met.lines), e.i64(self.panels)) for end in ends
        ]
        with e.loop(low, high) as loop:
            at = e.gep(met.start, "i8", weighted_sum(e, [(loop.index, LINE)]))
            e.prefetch(at, write=met.written)

    def _call(self, rows: int, row: Reg, panel: Reg, b: Reg) -> None:
        e, layer = self.e, self.layer
        a = place(e, layer.element, self.left, (row, layer.left_stride))
        c = place(
            e,
            layer.element,
            self.right,
            (row, self.wide),
            (panel, self.columns * layer.lanes),
        )
        e.call(f"tile{rows}", None, [a, b, c], declared=True)

    def _tile(self, rows: int) -> None:
        """Defines the function for `rows` rows and a panel: c = a times the panel."""
        e, layer = self.e, self.layer
        element, vector = layer.element, Type(layer.element, layer.lanes)
        parameters = [("a", PTR), ("b", PTR), ("c", PTR)]
        with e.function(f"tile{rows}", "internal void", parameters) as (a, b, c):
            zeros = [e.const(0, vector)] * (rows * self.columns)
            with e.loop(e.i64(0), e.i64(layer.terms), carried=zeros) as loop:
                k, size = loop.index, self.columns * layer.lanes
                panel = [
                    e.load(place(e, element, b, (k, size), (v, layer.lanes)), vector)
                    for v in range(self.columns)
                ]
                sums = []
                for r in range(rows):
                    one = place(e, element, a, (k, 1), (r, layer.left_stride))
                    factor = e.splat(e.load(one, Type(element)), layer.lanes)
                    for v in range(self.columns):
                        total = loop.carried[r * self.columns + v]
                        sums.append(e.multiply_add(factor, panel[v], total))
                loop.yield_(sums)
            for number, total in enumerate(loop.carried):
                r, v = divmod(number, self.columns)
                e.store(place(e, element, c, (r, self.wide), (v, layer.lanes)), total)
            e.line("ret void")


class ByUnit:
    """Blocks of 16 or 32 rows by 32 columns on the matrix unit; a state has whole vectors only."""

    def __init__(self, e: Emitter, layer: Layer) -> None:
        self.e = e
        self.layer = layer
        self.columns = layer.parts * layer.width
        rows = Lead((0,), (layer.group,), layer.left_stride)
        across = Lead((1,), (self.columns,), 1)
        self.rows = Side(0, True, rows, layer.terms, 1, ())
        self.across = Side(1, False, across, layer.terms, self.columns, ())
        self.blocks = across.blocks

    @property
    def fixed(self) -> int:
        """Elements of scratch memory for the packed weights and a group's packed rows."""
        return (self.across.bytes + self.rows.block_bytes) // 4

    def changing(self, block: int) -> int:
        """Elements for the left factor and the result of so many rows."""
        return block * self.layer.left_stride + block // self.layer.group * self.blocks * RESULT

    def define(self) -> None:
        """Defines the functions that `multiply` calls."""
        for side, name in ((self.rows, "pack.left"), (self.across, "pack.right")):
            emit_packing(self.e, side, name)
        for width in {BLOCK, self.columns % BLOCK or BLOCK}:
            products = Products(self.e, self.rows, self.across, self.layer.group, width)
            products.emit_product(f"block{width}")

    def use(self, e: Emitter) -> Callable[[], None]:
        """To be called where the kernel begins; what it returns where it ends."""
        unit = with_unit(e)
        unit.__enter__()

        def end() -> None:
            unit.__exit__(None, None, None)

        return end

    def settle(self, memory: Reg, block: Reg) -> Reg:
        """Takes its scratch memory for `block` rows; the place of the left factor."""
        e = self.e
        self.weights = memory
        self.packed = e.gep(memory, "i8", e.i64(self.across.bytes))
        self.right = place(e, "float", memory, (self.fixed, 1))
        groups = e.op("udiv", block, e.i64(self.layer.group))
        self.left = place(e, "float", self.right, (groups, self.blocks * RESULT))
        return self.left

    def pack(self, weights: Reg) -> None:
        """Packs the weights, rows of `parts` states."""
        e = self.e
        self.source = weights
        with e.loop(e.i64(0), e.i64(self.blocks)) as loop:
            first = weighted_sum(e, [(loop.index, BLOCK)])
            source = e.gep(weights, "float", first)
            target = e.gep(
                self.weights, "i8", weighted_sum(e, [(loop.index, self.across.block_bytes)])
            )
            left = e.op("sub nsw", e.i64(self.columns), first)
            sizes = [left, e.i64(self.layer.terms), e.i64(self.across.far)]
            e.call("pack.right", None, [source, target, *sizes], declared=True)

    def multiply(self, count: Reg, met: Sequence[Met] = ()) -> None:
        """The first `count` rows (and some behind) of the left factor times the weights."""
        e, layer = self.e, self.layer
        groups = e.op(
            "udiv",
            weighted_sum(e, [(count, 1), (e.i64(layer.group - 1), 1)]),
            e.i64(self.layer.group),
        )
        tail = self.columns % BLOCK
        with e.loop(e.i64(0), groups) as loop:
            rows = place(e, "float", self.left, (loop.index, layer.group * layer.left_stride))
            sizes = [e.i64(self.layer.group), e.i64(layer.terms), e.i64(self.rows.far)]
            e.call("pack.left", None, [rows, self.packed, *sizes], declared=True)
            with e.loop(e.i64(0), e.i64(self.columns // BLOCK)) as blocks:
                self._call(BLOCK, rows, loop.index, blocks.index)
            if tail:
                self._call(tail, rows, loop.index, e.i64(self.columns // BLOCK))

    def _call(self, width: int, rows: Reg, group: Reg, block: Reg) -> None:
        e = self.e
        right = e.gep(self.weights, "i8", weighted_sum(e, [(block, self.across.block_bytes)]))
        columns = e.gep(self.source, "float", weighted_sum(e, [(block, BLOCK)]))
        result = place(e, "float", self.right, (group, self.blocks * RESULT), (block, RESULT))
        arguments = [self.packed, right, rows, columns, result]
        arguments += [e.i64(self.layer.terms), e.i64(0)]
        e.call(f"block{width}", None, arguments, declared=True)

    def at(self, row: Reg, part: int, column: Reg) -> Reg:
        """Where a vector of the result begins."""
        e = self.e
        group, line = (
            e.op("udiv", row, e.i64(self.layer.group)),
            e.op("urem", row, e.i64(self.layer.group)),
        )
        along = weighted_sum(e, [(column, 1), (e.i64(part * self.layer.width), 1)])
        block, inside = e.op("udiv", along, e.i64(BLOCK)), e.op("urem", along, e.i64(BLOCK))
        terms = (group, self.blocks * RESULT), (block, RESULT), (line, BLOCK), (inside, 1)
        return place(e, "float", self.right, *terms)


def product_of(e: Emitter, layer: Layer) -> ByVectors | ByUnit:
    """The product for a layer's kernel."""
    return ByUnit(e, layer) if layer.by_unit else ByVectors(e, layer)


def aligned(e: Emitter, pointer: Reg) -> Reg:
    """The next multiple of 64 bytes."""
    number = e.temp(I64, f"ptrtoint {pointer.typed} to i64")
    number = e.op("and", e.op("add", number, e.i64(63)), e.i64(-64))
    return e.temp(PTR, f"inttoptr {number.typed} to ptr")
