"""Kernels for any sizes of what stands between chains: products, rows by index, copies.

Their tables hold NumPy arrays, or what looks like one (see `row_kernels.array_elements`). The words
begin with where in the table the operands stand; sizes and strides follow, so that one text serves
all programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from flambeau.execute.cpu.contraction_nest import PARAMETERS
from flambeau.execute.cpu.emit import I64, PTR, Emitter, Reg, Type
from flambeau.execute.cpu.row_kernels import array_elements, word

MOST_AXES = 7  # of copies
OUT_OF_RANGE = 1  # what a kernel gives where an index is
_MEMCPY = "llvm.memcpy.p0.p0.i64"


class _Words:
    """A kernel's words, one after another; the first ones say where operands stand."""

    def __init__(self, e: Emitter, table: Reg, args: Reg) -> None:
        self.e, self.table, self.args = e, table, args
        self.count = 0

    def next(self) -> Reg:
        self.count += 1
        return word(self.e, self.args, self.count - 1)

    def several(self, count: int) -> list[Reg]:
        return [self.next() for _ in range(count)]

    def array(self) -> Reg:
        return array_elements(self.e, self.table, self.next())


@contextmanager
def _kernel(e: Emitter) -> Iterator[_Words]:
    """The function of a kernel of one task, but for its `ret`."""
    parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
    with e.function("kernel", "i64", parameters) as (table, args, _, _):
        yield _Words(e, table, args)


def _copy(e: Emitter, target: Reg, source: Reg, nbytes: Reg) -> None:
    e.declarations[_MEMCPY] = f"declare void @{_MEMCPY}(ptr, ptr, i64, i1)"
    e.line(f"call void @{_MEMCPY}({target.typed}, {source.typed}, {nbytes.typed}, i1 false)")


def _moved(e: Emitter, pointer: Reg, nbytes: Reg) -> Reg:
    return e.gep(pointer, "i8", nbytes)


@lru_cache
def product_text(element: str) -> str:
    """Matrix products by a function as `cblas_sgemm`, for two batch axes.

    Words: operands a, b, c; the function's address; 111 (a lies by rows) or 112 (by columns), the
    same of b; m, n, k; the distances of rows (columns) of a, b and c; how many products there are
    along each batch axis, and the steps of a, b and c along the first, and the second.
    """
    e = Emitter()
    with _kernel(e) as words:
        a, b, c = words.array(), words.array(), words.array()
        function = e.temp(PTR, f"inttoptr {words.next().typed} to ptr")
        orders = [e.cast("trunc", order, "i32").typed for order in words.several(2)]
        m, n, k, of_a, of_b, of_c = words.several(6)
        counts, outer, inner = words.several(2), words.several(3), words.several(3)
        with e.loop(e.i64(0), counts[0]) as first, e.loop(e.i64(0), counts[1]) as second:
            places = []
            for pointer, far, near in zip((a, b, c), outer, inner, strict=True):
                at = e.op("add", e.op("mul", first.index, far), e.op("mul", second.index, near))
                places.append(e.gep(pointer, element, at).typed)
            extents = ", ".join([m.typed, n.typed, k.typed])
            one, zero = (e.const(value, Type(element)).typed for value in (1.0, 0.0))
            e.line(
                f"call void {function}(i32 101, {', '.join(orders)}, {extents}, {one}, "
                f"{places[0]}, {of_a.typed}, {places[1]}, {of_b.typed}, {zero}, "
                f"{places[2]}, {of_c.typed})"
            )
        e.line("ret i64 0")
    return e.module()


class _Places:
    """Indices of rows: `wrap` is added to those below 0, and none may be `extent` or more then."""

    def __init__(self, e: Emitter, index: Reg, count: Reg, extent: Reg, wrap: Reg) -> None:
        self.e, self.index, self.extent, self.wrap = e, index, extent, wrap
        none = Reg("false", Type("i1"))
        with e.loop(e.i64(0), count, 1, [none]) as loop:
            beyond = e.cmp("icmp uge", self.at(loop.index), extent)
            loop.yield_([e.op("or", loop.carried[0], beyond)])
        self.wrong = loop.carried[0]

    def at(self, number: Reg) -> Reg:
        e = self.e
        place = e.load(e.gep(self.index, "i64", number), I64)
        below = e.cmp("icmp slt", place, e.i64(0))
        return e.select(below, e.op("add", place, self.wrap), place)

    @contextmanager
    def fine(self) -> Iterator[None]:
        """What is done where all are in range; then the kernel ends."""
        e = self.e
        with e.when(e.op("xor", self.wrong, Reg("true", Type("i1")))):
            yield
        e.line(f"ret i64 {e.cast('zext', self.wrong, 'i64')}")


@lru_cache
def take_text(itemsize: int, single: bool) -> str:
    """Rows by index; `single`: of one element each.

    Words: operands x, index, result; the rows of x; what is added to negative indices; how many
    there are; the elements of a row.
    """
    e = Emitter()
    with _kernel(e) as words:
        x, index, result = words.array(), words.array(), words.array()
        extent, wrap, count, row = words.several(4)
        places = _Places(e, index, count, extent, wrap)
        element = Type(f"i{8 * itemsize}")
        with places.fine(), e.loop(e.i64(0), count) as loop:
            place = places.at(loop.index)
            if single:
                value = e.load(e.gep(x, element.element, place), element, itemsize)
                e.store(e.gep(result, element.element, loop.index), value, itemsize)
            else:
                nbytes = e.op("mul", row, e.i64(itemsize))
                source = _moved(e, x, e.op("mul", place, nbytes))
                _copy(e, _moved(e, result, e.op("mul", loop.index, nbytes)), source, nbytes)
    return e.module()


@lru_cache
def put_set_text(itemsize: int) -> str:
    """Rows written at places, one after another.

    Words: operands x, index, rows, result; the rows of x; what is added to negative indices; how
    many there are; the elements of a row; those of x.
    """
    e = Emitter()
    with _kernel(e) as words:
        x, index, rows, result = (words.array() for _ in range(4))
        extent, wrap, count, row, size = words.several(5)
        places = _Places(e, index, count, extent, wrap)
        with places.fine():
            _copy(e, result, x, e.op("mul", size, e.i64(itemsize)))
            nbytes = e.op("mul", row, e.i64(itemsize))
            with e.loop(e.i64(0), count) as loop:
                target = _moved(e, result, e.op("mul", places.at(loop.index), nbytes))
                _copy(e, target, _moved(e, rows, e.op("mul", loop.index, nbytes)), nbytes)
    return e.module()


@lru_cache
def put_add_text(element: str, bits: int) -> str:
    """Rows added at places, one after another. Words as of `put_set_text`."""
    e = Emitter(bits)
    itemsize = Type(element).bits // 8
    lanes = bits // (8 * itemsize)
    with _kernel(e) as words:
        x, index, rows, result = (words.array() for _ in range(4))
        extent, wrap, count, row, size = words.several(5)
        places = _Places(e, index, count, extent, wrap)
        with places.fine():
            _copy(e, result, x, e.op("mul", size, e.i64(itemsize)))
            even = e.op("sub", row, e.op("and", row, e.i64(lanes - 1)))
            with e.loop(e.i64(0), count) as loop:
                target = e.gep(result, element, e.op("mul", places.at(loop.index), row))
                source = e.gep(rows, element, e.op("mul", loop.index, row))
                for start, stop, step in ((e.i64(0), even, lanes), (even, row, 1)):
                    type_ = Type(element, step)
                    with e.loop(start, stop, step) as inner:
                        at, by = (e.gep(p, element, inner.index) for p in (target, source))
                        added = e.load(by, type_, itemsize)
                        total = e.op("fadd", e.load(at, type_, itemsize), added)
                        e.store(at, total, itemsize)
    return e.module()


@lru_cache
def copy_text(itemsize: int) -> str:
    """Elements from one layout to another.

    Words: source, target; the first element of each; then, for each of MOST_AXES axes, extents,
    strides in the source, and strides in the target.
    """
    e, element = Emitter(), Type(f"i{8 * itemsize}")
    with _kernel(e) as words:
        source, target = words.array(), words.array()
        source = e.gep(source, element.element, words.next())
        target = e.gep(target, element.element, words.next())
        extents, here, there = (words.several(MOST_AXES) for _ in range(3))
        _copy_axes(e, element, source, target, extents, here, there)
        e.line("ret i64 0")
    return e.module()


def _copy_axes(
    e: Emitter,
    element: Type,
    source: Reg,
    target: Reg,
    extents: Sequence[Reg],
    here: Sequence[Reg],
    there: Sequence[Reg],
) -> None:
    if len(extents) > 1:
        with e.loop(e.i64(0), extents[0]) as loop:
            source = e.gep(source, element.element, e.op("mul", loop.index, here[0]))
            target = e.gep(target, element.element, e.op("mul", loop.index, there[0]))
            _copy_axes(e, element, source, target, extents[1:], here[1:], there[1:])
        return
    itemsize = element.bits // 8
    one = e.i64(1)
    dense = [e.cmp("icmp eq", stride, one) for stride in (here[0], there[0])]
    whole = e.op("and", *dense)
    with e.when(whole):
        _copy(e, target, source, e.op("mul", extents[0], e.i64(itemsize)))
    other = e.op("xor", whole, Reg("true", Type("i1")))
    with e.when(other), e.loop(e.i64(0), extents[0]) as loop:
        at = e.gep(source, element.element, e.op("mul", loop.index, here[0]))
        to = e.gep(target, element.element, e.op("mul", loop.index, there[0]))
        e.store(to, e.load(at, element, itemsize), itemsize)


@lru_cache
def max_pool_text(element: str, bits: int) -> str:
    """The largest elements of windows over two axes; NaN wins.

    Words: x, result; how many images there are; an image's elements and its rows' in x; the rows of
    the result, and their elements; the extents, steps and dilations of windows.
    """
    e = Emitter(bits)
    itemsize = Type(element).bits // 8
    lanes = bits // (8 * itemsize)
    type_ = Type(element, lanes)
    letters = f"v{lanes}f{8 * itemsize}"
    with _kernel(e) as words:
        x, result = words.array(), words.array()
        images, plane, pitch, rows, columns = words.several(5)
        high, wide, down, right, below, beside = words.several(6)
        least = e.const(float("-inf"), type_)
        align = Reg(str(itemsize), Type("i32"))
        with e.loop(e.i64(0), images) as image, e.loop(e.i64(0), rows) as row:
            begin = e.op("mul", e.op("mul", row.index, down), pitch)
            begin = e.op("add", begin, e.op("mul", image.index, plane))
            line = e.op("add", e.op("mul", image.index, rows), row.index)
            line = e.op("mul", line, columns)
            with e.loop(e.i64(0), columns, lanes) as column:
                numbers = e.op("add", e.splat(column.index, lanes), e.lane_numbers(lanes))
                mask = e.cmp("icmp slt", numbers, e.splat(columns, lanes))
                apart = e.op("mul", numbers, e.splat(right, lanes))
                apart = e.op("add", apart, e.splat(begin, lanes))
                with e.loop(e.i64(0), high, 1, [least]) as outer:
                    far = e.op("mul", e.op("mul", outer.index, below), pitch)
                    with e.loop(e.i64(0), wide, 1, [outer.carried[0]]) as inner:
                        at = e.op("add", far, e.op("mul", inner.index, beside))
                        at = e.op("add", apart, e.splat(at, lanes))
                        found = e.call(
                            f"llvm.masked.gather.{letters}.v{lanes}p0",
                            type_,
                            [e.gep(x, element, at), align, mask, least],
                        )
                        inner.yield_([e.intrinsic("llvm.maximum", inner.carried[0], found)])
                    outer.yield_([inner.carried[0]])
                to = e.gep(result, element, e.op("add", line, column.index))
                name = f"llvm.masked.store.{letters}.p0"
                e.call(name, None, [outer.carried[0], to, align, mask])
        e.line("ret i64 0")
    return e.module()


@lru_cache
def truth_text(name: str, bits: int) -> str:
    """Whether any of some truths is true ("max"), or all are ("min").

    Words: the truths, the result, how many there are (one at least).
    """
    e = Emitter(bits)
    lanes, fold = bits // 8, {"max": "or", "min": "and"}[name]
    with _kernel(e) as words:
        x, result, count = words.array(), words.array(), words.next()
        even = e.op("sub", count, e.op("and", count, e.i64(lanes - 1)))
        start = e.const(0 if name == "max" else -1, Type("i8", lanes))
        with e.loop(e.i64(0), even, lanes, [start]) as loop:
            found = e.load(e.gep(x, "i8", loop.index), start.type, 1)
            loop.yield_([e.op(fold, loop.carried[0], found)])
        whole = e.call(f"llvm.vector.reduce.{fold}.v{lanes}i8", Type("i8"), [loop.carried[0]])
        with e.loop(even, count, 1, [whole]) as rest:
            found = e.load(e.gep(x, "i8", rest.index), Type("i8"), 1)
            rest.yield_([e.op(fold, rest.carried[0], found)])
        true = e.cmp("icmp ne", rest.carried[0], e.const(0, Type("i8")))
        e.store(result, e.cast("zext", true, "i8"), 1)
        e.line("ret i64 0")
    return e.module()


@lru_cache
def winner_text(name: str, element: str) -> str:
    """Where the first largest ("argmax") or smallest element of each row is; NaN wins.

    Words: x, the places, how many rows, and how many columns (one at least).
    """
    e, type_ = Emitter(), Type(element)
    better = {"argmax": "fcmp ogt", "argmin": "fcmp olt"}[name]
    with _kernel(e) as words:
        x, result = words.array(), words.array()
        rows, columns = words.several(2)
        with e.loop(e.i64(0), rows) as row:
            line = e.gep(x, element, e.op("mul", row.index, columns))
            first = e.load(line, type_)
            with e.loop(e.i64(1), columns, 1, [first, e.i64(0)]) as column:
                best, place = column.carried
                value = e.load(e.gep(line, element, column.index), type_)
                wins = e.op("and", e.cmp("fcmp uno", value, value), e.cmp("fcmp ord", best, best))
                wins = e.op("or", wins, e.cmp(better, value, best))
                column.yield_([e.select(wins, value, best), e.select(wins, column.index, place)])
            e.store(e.gep(result, "i64", row.index), column.carried[1])
        e.line("ret i64 0")
    return e.module()


@lru_cache
def fill_text(itemsize: int, bits: int) -> str:
    """One value everywhere. Words: the array, how many elements it has, the value's bits."""
    e, element = Emitter(bits), Type(f"i{8 * itemsize}")
    lanes = bits // (8 * itemsize)
    with _kernel(e) as words:
        target = words.array()
        count, value = words.several(2)
        if itemsize < 8:
            value = e.cast("trunc", value, element.element)
        even = e.op("sub", count, e.op("and", count, e.i64(lanes - 1)))
        for start, stop, step in ((e.i64(0), even, lanes), (even, count, 1)):
            filled = e.splat(value, step)
            with e.loop(start, stop, step) as loop:
                e.store(e.gep(target, element.element, loop.index), filled, itemsize)
        e.line("ret i64 0")
    return e.module()


@lru_cache
def round_text() -> str:
    """Doubles as floats. Words: source, target, how many there are."""
    e = Emitter()
    with _kernel(e) as words:
        source, target, count = words.array(), words.array(), words.next()
        with e.loop(e.i64(0), count) as loop:
            value = e.load(e.gep(source, "double", loop.index), Type("double"), 8)
            e.store(e.gep(target, "float", loop.index), e.cast("fptrunc", value, "float"), 4)
        e.line("ret i64 0")
    return e.module()
