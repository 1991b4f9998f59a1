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
from functools import lru_cache

from flambeau.core.dtypes import DType
from flambeau.execute.cpu import math_gates
from flambeau.execute.cpu.contraction_nest import lane_range
from flambeau.execute.cpu.contraction_spec import (
    load_element,
    operand_pointer,
    store_lanes,
    weighted_sum,
)
from flambeau.execute.cpu.emit import I64, PTR, Emitter, Reg, Type
from flambeau.execute.cpu.math_lanes import Lanes, where
from flambeau.execute.cpu.recurrence_products import (
    LINE,
    Layer,
    Met,
    aligned,
    group_of,
    over_vectors,
    place,
    product_of,
    unit_pays,
)
from flambeau.execute.cpu.target import Target
from flambeau.ops.recurrence import CELLS, order_of
from flambeau.ops.value import Value

WORDS = 4  # in front of the steps
MOST_TASKS = 8
ALIGNING = 64  # elements to spare, so that memory begins at a multiple of 64 bytes
_PARAMETERS = [("table", PTR), ("args", PTR), ("first", I64), ("last", I64)]


def is_native_recurrence(v: Value) -> bool:
    """Whether there is a kernel for a value of this family."""
    return v.dtype.name in ("float32", "float64")


def sequences(v: Value) -> tuple[int, int, int]:
    """(sequences, how many a task takes, tasks)."""
    batch = v.attrs["sizes"][0]
    block = group = _layer_of(v, Target.host().vector_bits).group
    while block * MOST_TASKS < batch:
        block += group
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

    tanh, sigmoid = staticmethod(math_gates.tanh), staticmethod(math_gates.sigmoid)

    @staticmethod
    def where_above(x: Lanes, y: Lanes) -> Lanes:
        return where(x.le(0.0), 0.0, y)


def scratch_size(v: Value, vector_bits: int) -> int:
    """Elements of scratch memory for all tasks of a value's kernel."""
    _, block, tasks = sequences(v)
    layer = _layer_of(v, vector_bits)
    product = product_of(Emitter(vector_bits), layer)
    return tasks * _task_size(layer, product.fixed + product.changing(block), block) + ALIGNING


def _task_size(layer: Layer, product: int, block: int) -> int:
    return product + block * CELLS[layer.mode].states * layer.padded + ALIGNING


def _layer_of(v: Value, vector_bits: int) -> Layer:
    backwards = v.primitive.name == "recurrence_grad"
    mode, width = v.attrs["mode"], v.inputs[0 if backwards else 2].shape[1]
    gates, batch = CELLS[mode].gates, v.attrs["sizes"][0]
    by_unit = unit_pays(width, gates, v.dtype, batch, vector_bits)
    group = group_of(width, batch, by_unit)
    return Layer(mode, width, v.dtype, vector_bits, backwards, by_unit, group)


def kernel_text(v: Value, saving: bool, vector_bits: int) -> str:
    """The module of the kernel of `v`.

    Operands forwards: those of `recurrence`, its result, what is saved (where `saving`), scratch;
    backwards: those of `recurrence_grad`, its result, scratch.
    """
    layer = _layer_of(v, vector_bits)
    return _text(layer, saving and not layer.backwards)


@lru_cache(maxsize=256)
def _text(layer: Layer, saving: bool) -> str:
    return _Backward(layer).text() if layer.backwards else _Forward(layer, saving).text()


class _Kernel:
    """What both directions share: the task's block, panels, tiles and loops."""

    def __init__(self, layer: Layer) -> None:
        self.s = layer
        self.cell = CELLS[layer.mode]
        self.e = Emitter(layer.vector_bits)
        self.type = Type(layer.element, layer.lanes)
        self.product = product_of(self.e, layer)

    # ---- small things ----------------------------------------------------------------------------

    def at(self, base: Reg, *terms: tuple[Reg | int, int]) -> Reg:
        return place(self.e, self.s.element, base, *terms)

    def word(self, args: Reg, place: Reg | int) -> Reg:
        index = self.e.i64(place) if isinstance(place, int) else place
        return self.e.load(self.e.gep(args, "i64", index), I64)

    def smaller(self, a: Reg, b: Reg) -> Reg:
        return self.e.select(self.e.cmp("icmp slt", a, b), a, b)

    def read(self, pointer: Reg, width: int) -> Lanes:
        return Lanes(self.e, load_element(self.e, pointer, self.s.element, self.s.lanes, width))

    def write(self, pointer: Reg, value: Lanes, width: int) -> None:
        store_lanes(self.e, pointer, lane_range(self.e, value.reg, 0, width))

    def fill(self, start: Reg, count: Reg) -> None:
        """Zeros for `count` vectors."""
        e = self.e
        with e.loop(e.i64(0), count) as loop:
            e.store(self.at(start, (loop.index, self.s.lanes)), e.const(0, self.type))

    # ---- the kernel ------------------------------------------------------------------------------

    def text(self) -> str:
        e = self.e
        self.product.define()
        with e.function("kernel", "i64", _PARAMETERS) as (table, args, first, last):
            self.operands = [operand_pointer(e, table, args, k) for k in range(self.operand_count)]
            words = 2 * self.operand_count
            self.total, self.batch, self.block, steps = (
                self.word(args, words + k) for k in range(WORDS)
            )
            end = self.product.use(e)
            with e.loop(first, last) as tasks:
                self.start_of(tasks.index)
                self.begin()
                with e.loop(e.i64(0), steps) as loop:
                    start, here = self.rows_of(args, loop.index)
                    with e.when(e.cmp("icmp sgt", here, e.i64(0))):
                        after = e.op("add nsw", loop.index, e.i64(1))
                        last_step = e.op("sub nsw", steps, e.i64(1))
                        self.step(start, here, self.rows_of(args, self.smaller(after, last_step)))
                self.finish()
            end()
            e.line("ret i64 0")
        return e.module()

    def rows_of(self, args: Reg, step: Reg) -> tuple[Reg, Reg]:
        """The first of the rows that the task has of a step, and how many (none: not above 0)."""
        e = self.e
        words = e.i64(2 * self.operand_count + WORDS)
        place = e.op("add nsw", e.op("mul nsw", step, e.i64(2)), words)
        start = self.word(args, place)
        rows = self.word(args, e.op("add nsw", place, e.i64(1)))
        count = e.op("sub nsw", self.smaller(rows, self.end), self.low)
        return e.op("add nsw", start, self.low), count

    def start_of(self, task: Reg) -> None:
        """The task's sequences, low .. end - 1, and its scratch memory."""
        e = self.e
        self.low = e.op("mul nsw", task, self.block)
        self.end = self.smaller(e.op("add nsw", self.low, self.block), self.batch)
        self.count = e.op("sub nsw", self.end, self.low)
        layer, product = self.s, self.product
        row = self.cell.states * layer.padded
        one, two = (product.changing(n * layer.group) for n in (1, 2))
        assert two == 2 * one
        # Elements of a task's memory: as `_task_size` has it.
        groups = e.op("udiv", self.block, e.i64(layer.group))
        changing = weighted_sum(e, [(groups, one)])
        own = weighted_sum(e, [(changing, 1), (self.block, row), (e.i64(product.fixed), 1)])
        own = weighted_sum(e, [(own, 1), (e.i64(ALIGNING), 1)])
        base = aligned(e, self.at(self.operands[-1], (e.op("mul nsw", task, own), 1)))
        self.left = product.settle(base, self.block)
        self.states = self.at(base, (product.fixed, 1), (changing, 1))
        lines = weighted_sum(e, [(changing, 1), (self.block, row)])
        self.fill(self.at(base, (product.fixed, 1)), e.op("udiv", lines, e.i64(layer.lanes)))

    def state(self, row: Reg, number: int, column: Reg) -> Reg:
        """Where a carried vector of a sequence lies."""
        padded = self.s.padded
        return self.at(self.states, (row, self.cell.states * padded), (number, padded), (column, 1))

    def over_rows(self, count: Reg, body: Callable[[Reg, Reg, int], None]) -> None:
        """body(row of the block, first column, how many)."""
        with self.e.loop(self.e.i64(0), count) as loop:
            over_vectors(self.e, self.s, lambda column, width: body(loop.index, column, width))

    def met(self, number: int, rows: tuple[Reg, Reg], states: int, *, written: bool = False) -> Met:
        """The lines of some rows, of so many states each, of an operand."""
        e, size = self.e, states * self.s.width
        start, count = rows
        first = self.at(self.operands[number], (start, size))
        elements = weighted_sum(e, [(e.intrinsic("llvm.smax", count, e.i64(0)), size)])
        lines = e.op("udiv", elements, e.i64(LINE // self.s.dtype.itemsize))
        return Met(first, lines, written)

    operand_count = 0

    def begin(self) -> None:
        raise NotImplementedError

    def step(self, start: Reg, count: Reg, after: tuple[Reg, Reg]) -> None:
        """The rows of a step; `after`: those of the next one."""
        raise NotImplementedError

    def finish(self) -> None:
        raise NotImplementedError


class _Forward(_Kernel):
    """share, turned, the state (GRU: and bias), result, saved (where saving), scratch."""

    def __init__(self, layer: Layer, saving: bool) -> None:
        super().__init__(layer)
        self.saving = saving
        self.extra = layer.mode == "GRU"
        self.operand_count = 2 + self.cell.states + self.extra + 1 + saving + 1

    def begin(self) -> None:
        s = self.s
        self.product.pack(self.operands[1])

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
        return self.at(self.left, (row, self.s.left_stride), (column, 1))

    def step(self, start: Reg, count: Reg, after: tuple[Reg, Reg]) -> None:
        e, s, cell = self.e, self.s, self.cell
        of_result = 2 + cell.states + self.extra
        result = self.operands[of_result]
        here = start, count
        met = [self.met(0, here, s.gates), self.met(of_result, here, 1, written=True)]
        if self.saving:
            met.append(self.met(of_result + 1, here, cell.saved, written=True))
        self.product.multiply(count, met)

        def stepped(row: Reg, column: Reg, width: int) -> None:
            place = e.op("add nsw", start, row)
            gates, product = [], []
            for k in range(s.gates):
                source = self.at(
                    self.operands[0], (place, s.gates * s.width), (k, s.width), (column, 1)
                )
                gates.append(self.read(source, width))
                inner = self.product.at(row, k, column)
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

    operand_count = 5

    def begin(self) -> None:
        e, s = self.e, self.s
        self.product.pack(self.operands[1])

        def started(row: Reg, column: Reg, width: int) -> None:
            place = e.op("add nsw", e.op("add nsw", self.total, self.low), row)
            for number in range(self.cell.states):
                value = self.read(self.at(self.operands[0], (place, s.width), (column, 1)), width)
                e.store(self.state(row, number, column), value.reg)
                place = e.op("add nsw", place, self.batch)

        self.over_rows(self.count, started)

    def step(self, start: Reg, count: Reg, after: tuple[Reg, Reg]) -> None:
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
                to = self.at(self.left, (row, self.s.left_stride), (k, s.width), (column, 1))
                self.write(to, parts[part], width)
            for k, value in enumerate(direct):
                carried = Lanes(e, e.const(0, self.type)) if value is None else value
                e.store(self.state(row, k, column), carried.reg)

        self.over_rows(count, stepped)
        met = [self.met(0, after, 1), self.met(2, after, cell.saved)]
        met.append(self.met(3, after, cell.parts, written=True))
        self.product.multiply(count, met)

        def added(row: Reg, column: Reg, width: int) -> None:
            to = self.state(row, 0, column)
            inner = e.load(self.product.at(row, 0, column), self.type)
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


def comes_with(a: Value, b: Value) -> bool:
    """Whether one kernel computes both: outputs, and what is saved, of a layer."""
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
