"""Kernels for tensors that hold their data, called at once: comparing, counting, small writes.

What they give decides what a program does next (a truth, a count, how many rows a result has), or
they write a part of a tensor: nothing of it is recorded, so a program with one value would be all
Python around it. One has a function `i64 f(ptr addresses, ptr words, i64 number)`: the addresses of
the tensors' elements, what is known of their layout, and a number of the call. Elements lie side by
side unless said.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from flambeau.core.dtypes import DType
from flambeau.execute.cpu.contraction_nest import transposed
from flambeau.execute.cpu.elements import memory_element
from flambeau.execute.cpu.emit import F32, I8, I32, I64, PTR, Emitter, Reg, Type
from flambeau.execute.cpu.engine import kernel_addresses

LANES = 16
ADDRESSES, WORDS, NUMBER = Reg("%addresses", PTR), Reg("%words", PTR), Reg("%number", I64)


class _Kernel(Emitter):
    """A kernel under construction."""

    def __init__(self) -> None:
        super().__init__()
        self.made = ""

    def address(self, number: int) -> Reg:
        return self.load(self.gep(ADDRESSES, "ptr", self.i64(number)), PTR)

    def word(self, number: int) -> Reg:
        return self.load(self.gep(WORDS, "i64", self.i64(number)), I64)

    def give(self, value: Reg | int) -> None:
        self.line(f"ret i64 {value}")

    def element(self, place: Reg, dtype: DType, lanes: int = 1) -> Reg:
        return self.load(place, Type(memory_element(dtype), lanes), dtype.itemsize)

    def differs(self, a: Reg, b: Reg, dtype: DType) -> Reg:
        return self.cmp("fcmp une" if dtype.kind == "f" else "icmp ne", a, b)


def _emitted(body: Any) -> str:
    e = _Kernel()
    parameters = [("addresses", PTR), ("words", PTR), ("number", I64)]
    with e.function("kernel", "i64", parameters):
        body(e)
    return e.module()


@cache
def same(dtype: DType) -> int:
    """Whether two tensors of so many elements (word 0) are equal, element by element: 1 or 0."""

    def body(e: _Kernel) -> None:
        a, b, count = e.address(0), e.address(1), e.word(0)
        element = memory_element(dtype)
        whole = e.op("and", count, e.i64(-LANES))
        for start, stop, lanes in ((e.i64(0), whole, LANES), (whole, count, 1)):
            with e.loop(start, stop, lanes) as loop:
                x, y = (e.element(e.gep(p, element, loop.index), dtype, lanes) for p in (a, b))
                with e.when(e.any_lane(e.differs(x, y, dtype))):
                    e.give(0)
                    e.open_block(e.label())
        e.give(1)

    return _address(_emitted(body))


@cache
def count_nonzero(dtype: DType) -> int:
    """How many of so many elements (word 0) are not zero."""

    def body(e: _Kernel) -> None:
        x, count = e.address(0), e.word(0)
        element = memory_element(dtype)
        whole, total = e.op("and", count, e.i64(-LANES)), e.i64(0)
        for start, stop, lanes in ((e.i64(0), whole, LANES), (whole, count, 1)):
            with e.loop(start, stop, lanes, [total]) as loop:
                value = e.element(e.gep(x, element, loop.index), dtype, lanes)
                found = e.differs(value, e.const(0, value.type), dtype)
                if lanes > 1:
                    bits = e.bitcast(found, Type(f"i{lanes}"))
                    ones = e.cast("zext", e.intrinsic("llvm.ctpop", bits), "i64")
                else:
                    ones = e.cast("zext", found, "i64")
                loop.yield_([e.op("add", loop.carried[0], ones)])
            total = loop.carried[0]
        e.give(total)

    return _address(_emitted(body))


@cache
def places(dtype: DType, rank: int) -> int:
    """Writes where the first tensor is not zero to the second one, int64 of [rank, number]; words:
    its shape. The number is how many there are.
    """

    def body(e: _Kernel) -> None:
        x, out = e.address(0), e.address(1)
        extents = [e.word(axis) for axis in range(rank)]
        rows = [e.gep(out, "i64", e.op("mul", NUMBER, e.i64(axis))) for axis in range(rank)]
        found, at = e.alloca(I64, 1, 8), e.alloca(I64, 1, 8)
        e.store(found, e.i64(0))
        e.store(at, e.i64(0))

        def nest(axis: int, outer: list[Reg]) -> None:
            with e.loop(e.i64(0), extents[axis]) as loop:
                if axis < rank - 1:
                    nest(axis + 1, [*outer, loop.index])
                    return
                here, count = e.load(at, I64), e.load(found, I64)
                with e.when(e.cmp("icmp eq", count, NUMBER)):
                    e.give(count)  # behind the last one
                    e.open_block(e.label())
                # Written in any case: what is not one is overwritten by the next.
                for row, index in zip(rows, [*outer, loop.index]):
                    e.store(e.gep(row, "i64", count), index)
                value = e.element(e.gep(x, memory_element(dtype), here), dtype)
                hit = e.cast("zext", e.differs(value, e.const(0, value.type), dtype), "i64")
                e.store(found, e.op("add", count, hit))
                e.store(at, e.op("add", here, e.i64(1)))

        nest(0, [])
        e.give(e.load(found, I64))

    return _address(_emitted(body))


@cache
def bins(dtype: DType) -> int:
    """Adds to the second tensor, for each of so many elements (word 0) of the first, 1 in its bin
    of equally wide ones; words 1 to 3: their number, the lowest and the highest edge, as bits.
    """

    def body(e: _Kernel) -> None:
        x, out, count, many = e.address(0), e.address(1), e.word(0), e.word(1)
        element = memory_element(dtype)
        type_ = Type(element)
        low, high = (e.element(e.gep(WORDS, "i64", e.i64(n)), dtype) for n in (2, 3))
        width = e.op("fsub", high, low)
        scale = e.cast("sitofp", many, element)
        last = e.op("sub", many, e.i64(1))
        with e.loop(e.i64(0), count) as loop:
            value = e.element(e.gep(x, element, loop.index), dtype)
            inside = e.op("and", e.cmp("fcmp oge", value, low), e.cmp("fcmp ole", value, high))
            with e.when(inside):
                scaled = e.op("fmul", e.op("fsub", value, low), scale)
                number = e.cast("fptosi", e.op("fdiv", scaled, width), "i64")
                number = e.select(e.cmp("icmp ult", number, last), number, last)
                place = e.gep(out, element, number)
                e.store(place, e.op("fadd", e.element(place, dtype), e.const(1, type_)))
        e.give(0)

    return _address(_emitted(body))


@cache
def largest(dtype: DType) -> int:
    """The largest of so many (word 0) integers; -1 where one is negative, or there is none."""

    def body(e: _Kernel) -> None:
        x, count = e.address(0), e.word(0)
        widen = "sext" if dtype.is_signed else "zext"
        with e.loop(e.i64(0), count, 1, [e.i64(-1), e.i64(0)]) as loop:
            value = e.element(e.gep(x, memory_element(dtype), loop.index), dtype)
            wide = value if dtype.itemsize == 8 else e.cast(widen, value, "i64")
            most, signs = loop.carried
            more = e.select(e.cmp("icmp sgt", wide, most), wide, most)
            loop.yield_([more, e.op("or", signs, wide)])
        most, signs = loop.carried
        negative = e.cmp("icmp slt", signs, e.i64(0))
        e.give(e.select(negative, e.i64(-1), most))

    return _address(_emitted(body))


@cache
def occurrences(dtype: DType) -> int:
    """Adds to the second tensor, of int64, 1 at the place of each of so many (word 0) numbers of
    the first; how many are larger than the number, or negative: these have no place there.
    """

    def body(e: _Kernel) -> None:
        x, out, count = e.address(0), e.address(1), e.word(0)
        with e.loop(e.i64(0), count, 1, [e.i64(0)]) as loop:
            value = e.element(e.gep(x, memory_element(dtype), loop.index), dtype)
            wide = value if dtype.itemsize == 8 else e.cast("zext", value, "i64")
            known = e.cmp("icmp ule", wide, NUMBER)
            with e.when(known):
                place = e.gep(out, "i64", wide)
                e.store(place, e.op("add", e.load(place, I64), e.i64(1)))
            other = e.op("sub", e.i64(1), e.cast("zext", known, "i64"))
            loop.yield_([e.op("add", loop.carried[0], other)])
        e.give(loop.carried[0])

    return _address(_emitted(body))


@cache
def chosen(itemsize: int) -> int:
    """Writes an element, the bits of the number, to all `inner` (word 1) elements of the first
    tensor for each of so many (word 0) of the second one, a mask, that hold.
    """

    def body(e: _Kernel) -> None:
        target, mask, count, inner = e.address(0), e.address(1), e.word(0), e.word(1)
        type_ = Type(f"i{8 * itemsize}")
        value = NUMBER if itemsize == 8 else e.cast("trunc", NUMBER, type_.element)
        single = e.cmp("icmp eq", inner, e.i64(1))
        whole = e.op("and", count, e.i64(-LANES))
        whole = e.select(single, whole, e.i64(0))
        with e.loop(e.i64(0), whole, LANES) as loop:
            holds = e.load(e.gep(mask, "i8", loop.index), I8.with_lanes(LANES), 1)
            holds = e.cmp("icmp ne", holds, e.const(0, holds.type))
            place = e.gep(target, type_.element, loop.index)
            values = e.splat(value, LANES)
            name = f"llvm.masked.store.v{LANES}{type_.element}.p0"
            e.call(name, None, [values, place, Reg(str(itemsize), Type("i32")), holds])
        with e.loop(whole, count) as loop:
            byte = e.load(e.gep(mask, "i8", loop.index), I8, 1)
            with e.when(e.cmp("icmp ne", byte, e.const(0, I8))):
                row = e.gep(target, type_.element, e.op("mul", loop.index, inner))
                with e.loop(e.i64(0), inner) as within:
                    e.store(e.gep(row, type_.element, within.index), value, itemsize)
        e.give(0)

    return _address(_emitted(body))


@cache
def written(itemsize: int, source: bool, lines: bool) -> int:
    """Writes the second tensor (or, without `source`, the bits of the number) to the first. Words:
    rows, steps from row to row there (and here), the same for the elements of a row; `lines`: these
    lie side by side.
    """

    def body(e: _Kernel) -> None:
        type_ = Type(f"i{8 * itemsize}")
        size = type_.element
        target, here = e.address(0), e.address(1)
        rows, down, other_down, columns, right, other_right = (e.word(n) for n in range(6))
        value = NUMBER if itemsize == 8 else e.cast("trunc", NUMBER, size)
        with e.loop(e.i64(0), rows) as loop:
            to = e.gep(target, size, e.op("mul", loop.index, down))
            read = e.gep(here, size, e.op("mul", loop.index, other_down))
            if lines:
                e.call("memcpy", PTR, [to, read, e.op("mul", columns, e.i64(itemsize))])
            else:
                with e.loop(e.i64(0), columns) as within:
                    if source:
                        step = e.op("mul", within.index, other_right)
                        value = e.load(e.gep(read, size, step), type_, itemsize)
                    place = e.gep(to, size, e.op("mul", within.index, right))
                    e.store(place, value, itemsize)
        e.give(0)

    return _address(_emitted(body))


@cache
def mixed_rows(bytes_too: bool) -> int:
    """Writes rows that are sums of others: the second tensor, [images, o, columns], of the first
    one, [images, n, columns]. Row j is that of rows from `first[j]` to before `last[j]` (the third
    and fourth tensor, int64) times its weights (the fifth, [o, most]). Words: images, n, o,
    columns, most, bits. All is float32; or the rows are bytes and the weights int32, and sums are
    shifted to the right by the bits with rounding, and limited.
    """
    here, sums = (I8, I32) if bytes_too else (F32, F32)

    def body(e: _Kernel) -> None:
        source, target, first, last, weights = map(e.address, range(5))
        images, n, o, columns, most, bits = map(e.word, range(6))
        begin = e.const(0, sums)
        if bytes_too:
            shift = e.cast("trunc", bits, "i32")
            begin = e.op("shl", e.const(1, I32), e.op("sub", shift, e.const(1, I32)))
        wide, whole = (e.op("and", columns, e.i64(-lanes)) for lanes in (4 * LANES, LANES))
        parts = (e.i64(0), wide, 4 * LANES), (wide, whole, LANES), (whole, columns, 1)
        size = here.bits // 8
        with e.loop(e.i64(0), images) as image, e.loop(e.i64(0), o) as row:
            from_, to = (e.load(e.gep(p, "i64", row.index), I64) for p in (first, last))
            known = e.gep(weights, sums.element, e.op("mul", row.index, most))
            read = e.op("mul", e.op("mul", image.index, n), columns)
            line = e.op("add", e.op("mul", image.index, o), row.index)
            write = e.gep(target, here.element, e.op("mul", line, columns))
            for start, stop, lanes in parts:
                type_ = sums.with_lanes(lanes)
                with e.loop(start, stop, lanes) as column:
                    place = e.gep(source, here.element, e.op("add", read, column.index))
                    with e.loop(from_, to, 1, [e.splat(begin, lanes)]) as tap:
                        number = e.op("sub", tap.index, from_)
                        weight = e.splat(e.load(e.gep(known, sums.element, number), sums), lanes)
                        other = e.gep(place, here.element, e.op("mul", tap.index, columns))
                        value = e.load(other, here.with_lanes(lanes), size)
                        total = tap.carried[0]
                        if bytes_too:
                            product = e.op("mul", e.cast("zext", value, "i32"), weight)
                            tap.yield_([e.op("add", total, product)])
                        else:
                            tap.yield_([e.op("fadd", total, e.op("fmul", value, weight))])
                    total = tap.carried[0]
                    if bytes_too:
                        total = e.op("ashr", total, e.splat(shift, lanes))
                        total = e.intrinsic("llvm.smax", total, e.const(0, type_))
                        total = e.intrinsic("llvm.smin", total, e.const(255, type_))
                        total = e.cast("trunc", total, "i8")
                    e.store(e.gep(write, here.element, column.index), total, size)
        e.give(0)

    return _address(_emitted(body))


@cache
def turned(dtype: DType) -> int:
    """Writes the second tensor, [columns, rows], which is the first one transposed. Words: rows,
    columns. It goes by squares, the last of which lie over others; where there is room for none, by
    elements.
    """
    here = memory_element(dtype)
    size = dtype.itemsize
    side = 16 if size == 1 else 8

    def body(e: _Kernel) -> None:
        source, target, rows, columns = e.address(0), e.address(1), e.word(0), e.word(1)
        fits = [e.cmp("icmp sge", extent, e.i64(side)) for extent in (rows, columns)]
        with e.when(e.op("and", *fits)):
            ends = [e.op("sub", extent, e.i64(side)) for extent in (rows, columns)]
            with e.loop(e.i64(0), columns, side) as right, e.loop(e.i64(0), rows, side) as down:
                row, column = (
                    e.intrinsic("llvm.smin", loop.index, end)
                    for loop, end in zip((down, right), ends)
                )
                first = e.gep(source, here, e.op("add", e.op("mul", row, columns), column))
                to = e.gep(target, here, e.op("add", e.op("mul", column, rows), row))
                kind = Type(here, side)
                steps = [e.op("mul", e.i64(n), columns) for n in range(side)]
                square = [e.load(e.gep(first, here, step), kind, size) for step in steps]
                for n, vector in enumerate(transposed(e, square)):
                    e.store(e.gep(to, here, e.op("mul", e.i64(n), rows)), vector, size)
            e.give(0)
            e.open_block(e.label())
        with e.loop(e.i64(0), rows) as down, e.loop(e.i64(0), columns) as right:
            place = e.op("add", e.op("mul", down.index, columns), right.index)
            to = e.op("add", e.op("mul", right.index, rows), down.index)
            e.store(e.gep(target, here, to), e.load(e.gep(source, here, place), Type(here), size))
        e.give(0)

    return _address(_emitted(body))


def _address(text: str) -> int:
    return kernel_addresses([text])[0]
