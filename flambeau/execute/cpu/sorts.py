"""Sort kernels: the stable permutation that sorts the rows along one axis, with a fused producer.

Elements become unsigned keys that compare as the elements do (NaN largest, -0.0 as 0.0; inverted
for a descending order). Short rows are ranked by counting the smaller keys; longer ones go through
a radix sort by bytes that skips the bytes in which all keys agree. Where only a few places at the
front are asked for, a row is gone through once, and what is smaller than the last of the smallest
keys so far is put among these (rows in which that happens too often are sorted after all).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from typing import NamedTuple

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu import elements
from flambeau.execute.cpu.body import Buffer, Node
from flambeau.execute.cpu.emit import I32, I64, PTR, Emitter, Reg, Type
from flambeau.execute.cpu.index import Variable
from flambeau.execute.cpu.loops import KernelCode, KernelWriter, Store, ordered_nodes
from flambeau.execute.cpu.nests import PARALLEL_THRESHOLD, TASKS, Nest, lane_count
from flambeau.execute.cpu.pointwise import kept_loops, lane_loop, needs_checks, task_span

LONGEST_RANKED = 64
DIGITS = 256
# Putting a key among so many others takes about as long as a fifth of an element's sort for each.
INSERTIONS, MOST_SELECTED = 5, 128


class Order(NamedTuple):
    """How rows are sorted, and how many places are asked for (None: all)."""

    descending: bool
    first: int | None


def insertions(first: int, extent: int) -> int:
    """How many keys may be put among the `first` smallest before it would have been quicker to sort
    a row; 0 where that is to be expected of random rows.
    """
    most = INSERTIONS * extent // max(first, 1)
    expected = first * log(extent / max(first, 1))
    return most if 0 < first <= MOST_SELECTED and 2 * expected < most else 0


def sort_kernel(
    kept: list[Variable],
    axis: Variable,
    order: Order,
    body: Node,
    result: Node,
    stores: Sequence[Store],
    scratch: Callable[[DType, int], Buffer],
    vector_bits: int,
) -> KernelCode:
    """The kernel that sorts along `axis`: `result` stands for an index of the permutation."""
    nodes = ordered_nodes([body, *[s.node for s in stores]], {})
    outer = sorted(kept, key=lambda v: -abs(stores[0].address.coefficient(v)))
    rows = 1
    for variable in kept:
        rows *= variable.extent
    passes = 8 if axis.extent <= LONGEST_RANKED else 4 + 3 * key_bits(body.dtype) // 8
    if axis.extent > LONGEST_RANKED and insertions(order.first or 0, axis.extent):
        passes = 4
    heavy = rows * axis.extent * passes > PARALLEL_THRESHOLD and bool(outer)
    nest = Nest(outer, None)
    tasks, span = task_span(nest, TASKS if heavy else 1, 1) if outer else (1, None)
    writer = KernelWriter(vector_bits, nodes, stores, {})
    checks = needs_checks(nodes)
    with writer.kernel(checks) as bounds:
        writer.declare_operands(nodes, stores)
        row = _Row(writer, axis, order, body, scratch, tasks, bounds[0])

        def run() -> None:
            with writer.scope():
                places = row.sorted(lane_count([body], [], vector_bits))

            def store() -> None:
                e = writer.e
                place = e.gep(places, "i32", writer.registers[axis.number])
                raw = e.load(place, I32.with_lanes(writer.lanes))
                writer.scopes[-1][result.number] = e.cast("sext", raw, "i64")
                writer.store_all(stores)

            lanes = lane_count(nodes, stores, vector_bits)
            lane_loop(writer, axis, lanes, None, bounds, store, order.first)

        kept_loops(writer, nest, nodes, 1, span, bounds, run)
    return KernelCode(writer.e.module(), writer.operands, writer.words, tasks, tasks > 1, checks)


def key_bits(dtype: DType) -> int:
    """Bits of an element's key that can differ."""
    return elements.register_type(dtype).bits


class _Row:
    """Sorts one row in scratch memory that each task has for itself."""

    def __init__(
        self,
        writer: KernelWriter,
        axis: Variable,
        order: Order,
        body: Node,
        scratch: Callable[[DType, int], Buffer],
        tasks: int,
        task: Reg,
    ) -> None:
        self.writer, self.axis, self.order, self.body = writer, axis, order, body
        self.key = Type("i64" if key_bits(body.dtype) > 32 else "i32")
        e, count = writer.e, -(-axis.extent // 64) * 64
        key_bytes = self.key.bits // 8 * count
        sizes = [key_bytes, key_bytes, 4 * count, 4 * count, 4 * DIGITS]
        memory = scratch(dtypes.uint8, tasks * sum(sizes))
        place = e.gep(writer.pointer(memory), "i8", e.op("mul nsw", task, e.i64(sum(sizes))))
        self.areas = [place]
        for size in sizes[:-1]:
            self.areas.append(e.gep(self.areas[-1], "i8", e.i64(size)))
        self.padded = count

    def sorted(self, lanes: int) -> Reg:
        """Emits the sort of the row at the current position; where its permutation (i32) lies."""
        writer, e, axis = self.writer, self.writer.e, self.axis

        def make_keys() -> None:
            value = writer.vector(self.body)
            key = sort_key(e, value, self.body.dtype, self.order.descending)
            if key.type.bits < self.key.bits:
                key = e.cast("zext", key, self.key.element)
            index = writer.registers[axis.number]
            e.store(e.gep(self.areas[0], self.key.element, index), key)

        lane_loop(writer, axis, lanes, None, (e.i64(0), e.i64(1)), make_keys)
        if axis.extent <= LONGEST_RANKED:
            return self._ranked()
        first = self.order.first or 0
        most = insertions(first, axis.extent)
        return self._selected(first, most) if most else self._by_bytes()

    def _ranked(self) -> Reg:
        """The place of each element is the number of those before it."""
        e, count = self.writer.e, self.axis.extent
        keys, order = self.areas[0], self.areas[2]
        lanes = max(self.writer.e.vector_bits // self.key.bits, 2)
        whole = -(-count // lanes) * lanes
        for number in range(count, whole):
            e.store(e.gep(keys, self.key.element, e.i64(number)), e.const(-1, self.key))
        with e.loop(e.i64(0), e.i64(count)) as loop:
            mine = e.splat(e.load(e.gep(keys, self.key.element, loop.index), self.key), lanes)
            here = e.splat(e.cast("trunc", loop.index, "i32"), lanes)
            total: Reg | None = None
            for start in range(0, whole, lanes):
                other = e.load(
                    e.gep(keys, self.key.element, e.i64(start)), self.key.with_lanes(lanes)
                )
                earlier = e.cmp(
                    "icmp slt", e.vector_const(range(start, start + lanes), "i32"), here
                )
                before = e.op("and", e.cmp("icmp eq", other, mine), earlier)
                before = e.op("or", before, e.cmp("icmp ult", other, mine))
                step = e.cast("zext", before, "i32")
                total = step if total is None else e.op("add", total, step)
            assert total is not None
            rank = e.call(f"llvm.vector.reduce.add.v{lanes}i32", I32, [total])
            place = e.gep(order, "i32", e.cast("sext", rank, "i64"))
            e.store(place, e.cast("trunc", loop.index, "i32"))
        return order

    def _selected(self, first: int, most: int) -> Reg:
        """The places of the smallest keys, in order; after too many insertions the sorted row's."""
        e, count = self.writer.e, self.axis.extent
        keys, best, _, places, counter = self.areas
        lanes = max(e.vector_bits // self.key.bits, 2)
        whole = -(-count // lanes) * lanes
        worst = e.gep(best, self.key.element, e.i64(first - 1))
        for number in range(count, whole):
            e.store(e.gep(keys, self.key.element, e.i64(number)), e.const(-1, self.key))
        with e.loop(e.i64(0), e.i64(first)) as loop:
            e.store(self._key(best, loop.index), e.const(-1, self.key))
            e.store(e.gep(places, "i32", loop.index), e.const(-1, I32))
        e.store(counter, e.const(0, I32))

        def insert(index: Reg) -> None:
            """Lets a key sink to its place: each step takes the smaller one, the last falls out."""
            mine = e.load(self._key(keys, index), self.key)
            carried = [mine, e.cast("trunc", index, "i32")]
            with e.loop(e.i64(0), e.i64(first), carried=carried) as loop:
                key, place = loop.carried
                key_at, place_at = self._key(best, loop.index), e.gep(places, "i32", loop.index)
                other, other_place = e.load(key_at, self.key), e.load(place_at, I32)
                earlier = e.op(
                    "and",
                    e.cmp("icmp eq", key, other),
                    e.cmp("icmp ult", place, other_place),
                )
                before = e.op("or", e.cmp("icmp ult", key, other), earlier)
                e.store(key_at, e.select(before, key, other))
                e.store(place_at, e.select(before, place, other_place))
                loop.yield_([e.select(before, other, key), e.select(before, other_place, place)])

        head = min(-(-first // lanes) * lanes, count)
        with e.loop(e.i64(0), e.i64(head)) as loop:
            insert(loop.index)
        with e.loop(e.i64(head), e.i64(count), lanes) as blocks:
            some = e.load(self._key(keys, blocks.index), self.key.with_lanes(lanes))
            bound = e.splat(e.load(worst, self.key), lanes)
            smaller = e.any_lane(e.cmp("icmp ult", some, bound))
            few = e.cmp("icmp ule", e.load(counter, I32), e.const(most, I32))
            with e.when(e.op("and", smaller, few)):
                stop = e.op("add", blocks.index, e.i64(lanes))
                with e.loop(blocks.index, stop) as loop:
                    key = e.load(self._key(keys, loop.index), self.key)
                    with e.when(e.cmp("icmp ult", key, e.load(worst, self.key))):
                        insert(loop.index)
                        done = e.op("add", e.load(counter, I32), e.const(1, I32))
                        e.store(counter, done)
        often = e.cmp("icmp ugt", e.load(counter, I32), e.const(most, I32))
        return e.either(often, self._by_bytes, lambda: places)

    def _by_bytes(self) -> Reg:
        e, count = self.writer.e, self.axis.extent
        order = self.areas[2]
        with e.loop(e.i64(0), e.i64(count)) as loop:
            e.store(e.gep(order, "i32", loop.index), e.cast("trunc", loop.index, "i32"))
        passes = -(-key_bits(self.body.dtype) // 8)
        with e.loop(e.i64(0), e.i64(passes), carried=self.areas[:4]) as loop:
            keys, other_keys, order, other_order = loop.carried
            shift = e.op("mul", loop.index, e.i64(8))
            shift = shift if self.key == I64 else e.cast("trunc", shift, "i32")
            moves = self._count(keys, shift)
            with e.when(moves):
                self._move(keys, other_keys, order, other_order, shift)
            loop.yield_(
                [
                    e.select(moves, other_keys, keys),
                    e.select(moves, keys, other_keys),
                    e.select(moves, other_order, order),
                    e.select(moves, order, other_order),
                ]
            )
        return loop.carried[2]

    def _digit(self, key: Reg, shift: Reg) -> Reg:
        """Where the byte of a key at `shift` is counted."""
        e = self.writer.e
        digit = e.op("and", e.op("lshr", key, shift), e.const(DIGITS - 1, key.type))
        wide = digit if digit.type == I64 else e.cast("zext", digit, "i64")
        return e.gep(self.areas[4], "i32", wide)

    def _count(self, keys: Reg, shift: Reg) -> Reg:
        """Counts the keys by byte; whether they differ in it."""
        e, count = self.writer.e, self.axis.extent
        zero = Reg("zeroinitializer", I32.with_lanes(16))
        for number in range(0, DIGITS, 16):
            e.store(e.gep(self.areas[4], "i32", e.i64(number)), zero)
        with e.loop(e.i64(0), e.i64(count)) as loop:
            place = self._digit(e.load(self._key(keys, loop.index), self.key), shift)
            e.store(place, e.op("add", e.load(place, I32), e.const(1, I32)))
        first = e.load(self._digit(e.load(keys, self.key), shift), I32)
        return e.cmp("icmp ne", first, e.const(count, I32))

    def _move(self, keys: Reg, to: Reg, order: Reg, order_to: Reg, shift: Reg) -> None:
        """Moves keys and indices to their places by byte, in order."""
        e, count = self.writer.e, self.axis.extent
        with e.loop(e.i64(0), e.i64(DIGITS), carried=[e.const(0, I32)]) as loop:
            place = e.gep(self.areas[4], "i32", loop.index)
            found = e.load(place, I32)
            e.store(place, loop.carried[0])
            loop.yield_([e.op("add", loop.carried[0], found)])
        with e.loop(e.i64(0), e.i64(count)) as loop:
            key = e.load(self._key(keys, loop.index), self.key)
            counter = self._digit(key, shift)
            place = e.load(counter, I32)
            e.store(counter, e.op("add", place, e.const(1, I32)))
            wide = e.cast("zext", place, "i64")
            e.store(self._key(to, wide), key)
            index = e.load(e.gep(order, "i32", loop.index), I32)
            e.store(e.gep(order_to, "i32", wide), index)

    def _key(self, keys: Reg, index: Reg) -> Reg:
        assert keys.type == PTR
        return self.writer.e.gep(keys, self.key.element, index)


def sort_key(e: Emitter, value: Reg, dtype: DType, descending: bool) -> Reg:
    """An integer that orders, unsigned, as the elements do."""
    key = value
    if dtype.kind == "b":
        key = e.cast("zext", value, "i8")
    elif dtype.kind == "f":
        key = _float_key(e, value)
    elif dtype.is_signed:
        key = e.op("xor", value, e.const(-(1 << (value.type.bits - 1)), value.type))
    return e.op("xor", key, e.const(-1, key.type)) if descending else key


def _float_key(e: Emitter, value: Reg) -> Reg:
    bits = value.type.bits
    type_ = Type(f"i{bits}", value.type.lanes)
    raw = e.bitcast(e.op("fadd", value, e.const(0.0, value.type)), type_)  # -0.0 becomes 0.0
    sign = e.op("ashr", raw, e.const(bits - 1, type_))
    flip = e.op("or", sign, e.const(-(1 << (bits - 1)), type_))
    return e.select(e.cmp("fcmp uno", value, value), e.const(-1, type_), e.op("xor", raw, flip))
