"""Sort kernels: the stable permutation that sorts the rows along one axis, with a fused producer.

Elements become unsigned keys that compare as the elements do (NaN largest, -0.0 as 0.0; inverted
for a descending order). Short rows are ranked by counting the smaller keys; longer ones go through
a radix sort by bytes that skips the bytes in which all keys agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def sort_kernel(
    kept: list[Variable],
    axis: Variable,
    descending: bool,
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
    heavy = rows * axis.extent * passes > PARALLEL_THRESHOLD and bool(outer)
    nest = Nest(outer, None)
    tasks, span = task_span(nest, TASKS if heavy else 1, 1) if outer else (1, None)
    writer = KernelWriter(vector_bits, nodes, stores, {})
    checks = needs_checks(nodes)
    with writer.kernel(checks) as bounds:
        writer.declare_operands(nodes, stores)
        row = _Row(writer, axis, descending, body, scratch, tasks, bounds[0])

        def run() -> None:
            with writer.scope():
                order = row.sorted(lane_count([body], [], vector_bits))

            def store() -> None:
                e = writer.e
                place = e.gep(order, "i32", writer.registers[axis.number])
                raw = e.load(place, I32.with_lanes(writer.lanes))
                writer.scopes[-1][result.number] = e.cast("sext", raw, "i64")
                writer.store_all(stores)

            lane_loop(writer, axis, lane_count(nodes, stores, vector_bits), None, bounds, store)

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
        descending: bool,
        body: Node,
        scratch: Callable[[DType, int], Buffer],
        tasks: int,
        task: Reg,
    ) -> None:
        self.writer, self.axis, self.descending, self.body = writer, axis, descending, body
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
            key = sort_key(e, value, self.body.dtype, self.descending)
            if key.type.bits < self.key.bits:
                key = e.cast("zext", key, self.key.element)
            index = writer.registers[axis.number]
            e.store(e.gep(self.areas[0], self.key.element, index), key)

        lane_loop(writer, axis, lanes, None, (e.i64(0), e.i64(1)), make_keys)
        return self._ranked() if axis.extent <= LONGEST_RANKED else self._by_bytes()

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
