"""Kernels of recurrent layers: the whole loop over time, for any number of steps and sequences.

A task takes a block of the sequences through all steps, since rows of different sequences never
meet: nothing is synchronised within a sequence. The recurrent weights are copied once into panels
of `columns` vectors; each step is a product of the block's state with them, in register tiles,
and the cell's arithmetic (`ops.recurrence.Cell`) on vectors. The text depends on the cell, the
width and the dtype; rows, sequences and the steps are argument words:

    N, B, sequences per task, steps, then for each step in the order taken its first row and rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from flambeau.core.dtypes import DType
from flambeau.execute.cpu import math_exponential
from flambeau.execute.cpu.contraction_nest import lane_range
from flambeau.execute.cpu.contraction_spec import load_element, operand_pointer, store_lanes
from flambeau.execute.cpu.emit import I64, PTR, Emitter, Reg, Type, has_fused, vector_registers
from flambeau.execute.cpu.math_lanes import Lanes, where
from flambeau.ops.recurrence import CELLS, order_of
from flambeau.ops.value import Value

WORDS = 4  # in front of the steps
BLOCK, MOST_TASKS = 16, 8
_PARAMETERS = [("table", PTR), ("args", PTR), ("first", I64), ("last", I64)]


def is_native_recurrence(v: Value) -> bool:
    """Whether there is a kernel for a value of this family."""
    return v.dtype.name in ("float32", "float64")


def sequences(v: Value) -> tuple[int, int, int]:
    """(sequences, how many a task takes, tasks)."""
    batch = v.attrs["sizes"][0]
    block = BLOCK
    while block * MOST_TASKS < batch:
        block += BLOCK
    return batch, block, -(-batch // block)


def kernel_words(v: Value) -> list[int]:
    """The argument words behind the operands."""
    sizes, reverse = v.attrs["sizes"], v.attrs["reverse"]
    batch, block, _ = sequences(v)
    backwards = v.primitive.name == "recurrence_grad"
    words = [sum(sizes), batch, block, len(sizes)]
    for _, start, count in order_of(sizes, reverse != backwards):
        words += (start, count)
    return words


class _Registers:
    """The arithmetic of cells over vector registers."""

    sigmoid, tanh = staticmethod(math_exponential.sigmoid), staticmethod(math_exponential.tanh)

    @staticmethod
    def where_above(x: Lanes, y: Lanes) -> Lanes:
        return where(x.le(0.0), 0.0, y)


@dataclass(frozen=True)
class _Shape:
    """The sizes that a text is written for: elements of vectors, panels and scratch rows."""

    mode: str
    width: int
    dtype: DType
    vector_bits: int

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
    def rows(self) -> int:
        """Rows of a register tile."""
        return 8 if vector_registers(self.vector_bits) >= 32 else 4

    @property
    def columns(self) -> int:
        """Vectors of a register tile's row."""
        return 3

    def panels(self, vectors: int) -> int:
        return -(-vectors // self.columns)

    @property
    def gates(self) -> int:
        return CELLS[self.mode].gates

    def scratch(self, backwards: bool, block: int) -> int:
        """Elements that a task needs: panels, left factor, product, and a row of each state."""
        inner, vectors = self.inner(backwards)
        wide = self.panels(vectors) * self.columns * self.lanes
        states = CELLS[self.mode].states * self.padded
        left = self.left_stride(backwards)
        return inner * wide + block * (left + wide + states) + 64

    def inner(self, backwards: bool) -> tuple[int, int]:
        """(terms of the product's sums, vectors of its rows)."""
        if backwards:
            return self.gates * self.width, self.vectors
        return self.width, self.gates * self.vectors

    def left_stride(self, backwards: bool) -> int:
        """Elements of a row of the product's left factor, with room for a whole last vector."""
        return self.gates * self.width + self.lanes if backwards else self.padded


def scratch_size(v: Value, vector_bits: int) -> int:
    """Elements of scratch memory for all tasks of a value's kernel."""
    _, block, tasks = sequences(v)
    shape, backwards = _shape_of(v, vector_bits)
    return tasks * shape.scratch(backwards, block)


def _shape_of(v: Value, vector_bits: int) -> tuple[_Shape, bool]:
    backwards = v.primitive.name == "recurrence_grad"
    width = v.inputs[0 if backwards else 2].shape[1]
    return _Shape(v.attrs["mode"], width, v.dtype, vector_bits), backwards


def kernel_text(v: Value, saving: bool, vector_bits: int) -> str:
    """The module of the kernel of `v`.

    Operands forwards: those of `recurrence`, its result, what is saved (where `saving`), scratch;
    backwards: those of `recurrence_grad`, its result, scratch.
    """
    shape, backwards = _shape_of(v, vector_bits)
    return _backward_text(shape) if backwards else _forward_text(shape, saving)


@lru_cache(maxsize=256)
def _forward_text(shape: _Shape, saving: bool) -> str:
    return _Forward(shape, saving).text()


@lru_cache(maxsize=256)
def _backward_text(shape: _Shape) -> str:
    return _Backward(shape).text()


class _Kernel:
    """What both directions share: the task's block, panels, tiles and loops."""

    backwards = False

    def __init__(self, shape: _Shape) -> None:
        self.s = shape
        self.cell = CELLS[shape.mode]
        self.e = Emitter(shape.vector_bits)
        self.type = Type(shape.element, shape.lanes)
        self.terms, self.vectors = shape.inner(self.backwards)
        self.wide = shape.panels(self.vectors) * shape.columns * shape.lanes
        self.left_stride = shape.left_stride(self.backwards)

    # ---- small things ----------------------------------------------------------------------------

    def at(self, base: Reg, *terms: tuple[Reg | int, int]) -> Reg:
        """The pointer to element sum of term * factor."""
        e, total = self.e, None
        constant = 0
        for term, factor in terms:
            if isinstance(term, int):
                constant += term * factor
                continue
            product = term if factor == 1 else e.op("mul nsw", term, e.i64(factor))
            total = product if total is None else e.op("add nsw", total, product)
        if total is None:
            total = e.i64(constant)
        elif constant:
            total = e.op("add nsw", total, e.i64(constant))
        return e.gep(base, self.s.element, total)

    def word(self, args: Reg, place: Reg | int) -> Reg:
        index = self.e.i64(place) if isinstance(place, int) else place
        return self.e.load(self.e.gep(args, "i64", index), I64)

    def smaller(self, a: Reg, b: Reg) -> Reg:
        return self.e.select(self.e.cmp("icmp slt", a, b), a, b)

    def read(self, pointer: Reg, width: int) -> Lanes:
        return Lanes(
            self.e, load_element(self.e, pointer, self.s.element, self.s.lanes, width)
        )

    def write(self, pointer: Reg, value: Lanes, width: int) -> None:
        store_lanes(self.e, pointer, lane_range(self.e, value.reg, 0, width))

    def over_vectors(self, body: Callable[[Reg, int], None]) -> None:
        """body(first column, how many) for each vector of a state."""
        e, lanes, width = self.e, self.s.lanes, self.s.width
        whole = width // lanes
        if whole == 1:
            body(e.i64(0), lanes)
        elif whole:
            with e.loop(e.i64(0), e.i64(whole * lanes), lanes) as loop:
                body(loop.index, lanes)
        if rest := width - whole * lanes:
            body(e.i64(whole * lanes), rest)

    def fill(self, start: Reg, count: Reg) -> None:
        """Zeros for `count` vectors."""
        e = self.e
        with e.loop(e.i64(0), count) as loop:
            e.store(self.at(start, (loop.index, self.s.lanes)), e.const(0, self.type))

    # ---- the product -----------------------------------------------------------------------------

    def tile(self, rows: int) -> str:
        """Defines the function for `rows` rows and a panel: c = a times the panel."""
        e, s = self.e, self.s
        name = f"tile{rows}"
        with e.function(name, "internal void", [("a", PTR), ("b", PTR), ("c", PTR)]) as (a, b, c):
            zeros = [e.const(0, self.type)] * (rows * s.columns)
            with e.loop(e.i64(0), e.i64(self.terms), carried=zeros) as loop:
                k = loop.index
                panel = [
                    e.load(self.at(b, (k, s.columns * s.lanes), (v, s.lanes)), self.type)
                    for v in range(s.columns)
                ]
                sums = []
                for r in range(rows):
                    one = e.load(self.at(a, (k, 1), (r, self.left_stride)), Type(s.element))
                    factor = e.splat(one, s.lanes)
                    for v in range(s.columns):
                        total = loop.carried[r * s.columns + v]
                        sums.append(self.multiplied(factor, panel[v], total))
                loop.yield_(sums)
            for place, total in enumerate(loop.carried):
                r, v = divmod(place, s.columns)
                e.store(self.at(c, (r, self.wide), (v, s.lanes)), total)
            e.line("ret void")
        return name

    def multiplied(self, a: Reg, b: Reg, total: Reg) -> Reg:
        e = self.e
        if has_fused(e.vector_bits):
            return e.fma(a, b, total)
        return e.op("fadd", e.op("fmul", a, b), total)

    def product(self, count: Reg) -> None:
        """The first `count` rows (and some behind) of the left factor times the weights."""
        e, s = self.e, self.s
        whole = e.op("sdiv", count, e.i64(s.rows))
        rest = e.op("srem", count, e.i64(s.rows))
        alone = e.cmp("icmp eq", rest, e.i64(1))
        more = e.temp(I64, f"zext {e.cmp('icmp sgt', rest, e.i64(1)).typed} to i64")
        tiles = e.op("add nsw", whole, more)
        with e.loop(e.i64(0), e.i64(s.panels(self.vectors))) as panels:
            p = panels.index
            b = self.at(self.panels, (p, self.terms * s.columns * s.lanes))
            with e.loop(e.i64(0), tiles) as loop:
                self.call(f"tile{s.rows}", e.op("mul nsw", loop.index, e.i64(s.rows)), p, b)
            with e.when(alone):
                self.call("tile1", e.op("sub nsw", count, e.i64(1)), p, b)

    def call(self, tile: str, row: Reg, panel: Reg, b: Reg) -> None:
        a = self.at(self.left, (row, self.left_stride))
        c = self.at(self.right, (row, self.wide), (panel, self.s.columns * self.s.lanes))
        self.e.call(tile, None, [a, b, c], declared=True)

    def pack(self, weights: Reg, columns: int) -> None:
        """Copies the weights, rows of `columns` states, into panels."""
        e, s = self.e, self.s
        self.fill(self.panels, e.i64(self.terms * self.wide // s.lanes))
        size = s.columns * s.lanes
        with e.loop(e.i64(0), e.i64(self.terms)) as loop:
            row = loop.index
            for part in range(columns):

                def copied(column: Reg, width: int, part: int = part) -> None:
                    value = self.read(
                        self.at(
                            weights, (row, columns * s.width), (part, s.width), (column, 1)
                        ),
                        width,
                    )
                    vector = e.op("udiv", column, e.i64(s.lanes))
                    vector = e.op("add nsw", vector, e.i64(part * s.vectors))
                    panel = e.op("udiv", vector, e.i64(s.columns))
                    inside = e.op("urem", vector, e.i64(s.columns))
                    place = self.at(
                        self.panels, (panel, self.terms * size), (row, size), (inside, s.lanes)
                    )
                    e.store(place, value.reg)

                self.over_vectors(copied)

    # ---- the kernel ------------------------------------------------------------------------------

    def text(self) -> str:
        e, s = self.e, self.s
        for rows in (1, s.rows):
            self.tile(rows)
        with e.function("kernel", "i64", _PARAMETERS) as (table, args, first, last):
            self.operands = [operand_pointer(e, table, args, k) for k in range(self.operand_count)]
            words = 2 * self.operand_count
            self.total, self.batch, self.block, steps = (
                self.word(args, words + k) for k in range(WORDS)
            )
            with e.loop(first, last) as tasks:
                self.start_of(tasks.index)
                self.begin()
                with e.loop(e.i64(0), steps) as loop:
                    place = e.op("mul nsw", loop.index, e.i64(2))
                    place = e.op("add nsw", place, e.i64(words + WORDS))
                    start = self.word(args, place)
                    rows = self.word(args, e.op("add nsw", place, e.i64(1)))
                    here = e.op("sub nsw", self.smaller(rows, self.end), self.low)
                    with e.when(e.cmp("icmp sgt", here, e.i64(0))):
                        self.step(e.op("add nsw", start, self.low), here)
                self.finish()
            e.line("ret i64 0")
        return e.module()

    def start_of(self, task: Reg) -> None:
        """The task's sequences, low .. end - 1, and its scratch memory."""
        e = self.e
        self.low = e.op("mul nsw", task, self.block)
        self.end = self.smaller(e.op("add nsw", self.low, self.block), self.batch)
        self.count = e.op("sub nsw", self.end, self.low)
        states = self.cell.states * self.s.padded
        rows = self.left_stride + self.wide + states
        fixed = self.terms * self.wide
        own = e.op("add nsw", e.op("mul nsw", self.block, e.i64(rows)), e.i64(fixed + 64))
        base = self.operands[-1]
        self.panels = self.at(base, (e.op("mul nsw", task, own), 1))
        self.left = self.at(self.panels, (fixed, 1))
        self.right = self.at(self.left, (self.block, self.left_stride))
        self.states = self.at(self.right, (self.block, self.wide))
        vectors = e.op("mul nsw", self.block, e.i64(rows // self.s.lanes))
        self.fill(self.left, vectors)

    def state(self, row: Reg, number: int, column: Reg) -> Reg:
        """Where a carried vector of a sequence lies."""
        padded = self.s.padded
        return self.at(
            self.states, (row, self.cell.states * padded), (number, padded), (column, 1)
        )

    def over_rows(self, count: Reg, body: Callable[[Reg, Reg, int], None]) -> None:
        """body(row of the block, first column, how many)."""
        with self.e.loop(self.e.i64(0), count) as loop:
            self.over_vectors(lambda column, width: body(loop.index, column, width))

    operand_count = 0

    def begin(self) -> None:
        raise NotImplementedError

    def step(self, start: Reg, count: Reg) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        raise NotImplementedError


class _Forward(_Kernel):
    """share, turned, the state (GRU: and bias), result, saved (where saving), scratch."""

    def __init__(self, shape: _Shape, saving: bool) -> None:
        super().__init__(shape)
        self.saving = saving
        self.extra = shape.mode == "GRU"
        self.operand_count = 2 + self.cell.states + self.extra + 1 + saving + 1

    def begin(self) -> None:
        s = self.s
        self.pack(self.operands[1], s.gates)

        def started(row: Reg, column: Reg, width: int) -> None:
            sequence = self.e.op("add nsw", self.low, row)
            for number in range(self.cell.states):
                source = self.at(self.operands[2 + number], (sequence, s.width), (column, 1))
                value = self.read(source, width)
                self.e.store(self.carried(row, number, column), value.reg)

        self.over_rows(self.count, started)

    def carried(self, row: Reg, number: int, column: Reg) -> Reg:
        """The first state is the left factor of the product."""
        if number:
            return self.state(row, number, column)
        return self.at(self.left, (row, self.left_stride), (column, 1))

    def step(self, start: Reg, count: Reg) -> None:
        e, s, cell = self.e, self.s, self.cell
        result = self.operands[2 + cell.states + self.extra]
        self.product(count)

        def stepped(row: Reg, column: Reg, width: int) -> None:
            place = e.op("add nsw", start, row)
            gates, product = [], []
            for k in range(s.gates):
                source = self.at(
                    self.operands[0], (place, s.gates * s.width), (k, s.width), (column, 1)
                )
                gates.append(self.read(source, width))
                inner = self.at(self.right, (row, self.wide), (k, s.padded), (column, 1))
                product.append(Lanes(e, e.load(inner, self.type)))
            if self.extra:
                bias = self.operands[2 + cell.states]
                product = [
                    x + self.read(self.at(bias, (k, s.width), (column, 1)), width)
                    for k, x in enumerate(product)
                ]
            if cell.joint:
                gates = [x + y for x, y in zip(gates, product, strict=True)]
            state = [
                Lanes(e, e.load(self.carried(row, k, column), self.type))
                for k in range(cell.states)
            ]
            now, kept = cell.forward(_Registers, gates, product, state)
            for k, value in enumerate(now):
                e.store(self.carried(row, k, column), value.reg)
            self.write(self.at(result, (place, s.width), (column, 1)), now[0], width)
            if self.saving:
                saved = self.operands[-2]
                for k, value in enumerate(kept):
                    to = self.at(saved, (place, cell.saved * s.width), (k, s.width), (column, 1))
                    self.write(to, value, width)

        self.over_rows(count, stepped)

    def finish(self) -> None:
        e, s = self.e, self.s
        result = self.operands[2 + self.cell.states + self.extra]

        def ended(row: Reg, column: Reg, width: int) -> None:
            place = e.op("add nsw", e.op("add nsw", self.total, self.low), row)
            for number in range(self.cell.states):
                value = Lanes(e, e.load(self.carried(row, number, column), self.type))
                self.write(self.at(result, (place, s.width), (column, 1)), value, width)
                place = e.op("add nsw", place, self.batch)

        self.over_rows(self.count, ended)


class _Backward(_Kernel):
    """cotangent, weight, saved, result, scratch."""

    backwards = True
    operand_count = 5

    def begin(self) -> None:
        e, s = self.e, self.s
        self.pack(self.operands[1], 1)

        def started(row: Reg, column: Reg, width: int) -> None:
            place = e.op("add nsw", e.op("add nsw", self.total, self.low), row)
            for number in range(self.cell.states):
                value = self.read(self.at(self.operands[0], (place, s.width), (column, 1)), width)
                e.store(self.state(row, number, column), value.reg)
                place = e.op("add nsw", place, self.batch)

        self.over_rows(self.count, started)

    def step(self, start: Reg, count: Reg) -> None:
        e, s, cell = self.e, self.s, self.cell
        ct, _, saved, result, _ = self.operands

        def stepped(row: Reg, column: Reg, width: int) -> None:
            place = e.op("add nsw", start, row)
            d = [
                Lanes(e, e.load(self.state(row, k, column), self.type)) for k in range(cell.states)
            ]
            d[0] = d[0] + self.read(self.at(ct, (place, s.width), (column, 1)), width)
            kept = [
                self.read(
                    self.at(saved, (place, cell.saved * s.width), (k, s.width), (column, 1)), width
                )
                for k in range(cell.saved)
            ]
            parts, direct = cell.backward(_Registers, kept, d)
            for k, value in enumerate(parts):
                to = self.at(result, (place, cell.parts * s.width), (k, s.width), (column, 1))
                self.write(to, value, width)
            for k, part in enumerate(cell.multiplied):
                to = self.at(self.left, (row, self.left_stride), (k, s.width), (column, 1))
                self.write(to, parts[part], width)
            for k, value in enumerate(direct):
                carried = Lanes(e, e.const(0, self.type)) if value is None else value
                e.store(self.state(row, k, column), carried.reg)

        self.over_rows(count, stepped)
        self.product(count)

        def added(row: Reg, column: Reg, width: int) -> None:
            to = self.state(row, 0, column)
            inner = e.load(self.at(self.right, (row, self.wide), (column, 1)), self.type)
            e.store(to, e.op("fadd", e.load(to, self.type), inner))

        self.over_rows(count, added)

    def finish(self) -> None:
        e, s, cell = self.e, self.s, self.cell

        def ended(row: Reg, column: Reg, width: int) -> None:
            place = e.op("add nsw", e.op("add nsw", self.total, self.low), row)
            for k in range(cell.parts):
                value = Lanes(e, e.const(0, self.type))
                if k < cell.states:
                    value = Lanes(e, e.load(self.state(row, k, column), self.type))
                to = self.at(
                    self.operands[3], (place, cell.parts * s.width), (k, s.width), (column, 1)
                )
                self.write(to, value, width)

        self.over_rows(self.count, ended)


def same_recurrence(a: Value, b: Value) -> bool:
    """Whether one kernel computes both: outputs and saved rows of the same layer."""
    names = ("recurrence", "recurrence_saved")
    return (
        a.primitive.name in names
        and b.primitive.name in names
        and all(x is y for x, y in zip(a.inputs, b.inputs, strict=False))
        and a.attrs == b.attrs
    )


def result_space(v: Value) -> tuple[int, DType]:
    """Elements and dtype of the outputs, where only what is saved is wanted."""
    cell, width = CELLS[v.attrs["mode"]], v.inputs[2].shape[1]
    return (v.inputs[0].shape[0] + cell.states * v.attrs["sizes"][0]) * width, v.dtype
