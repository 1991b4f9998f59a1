"""Native draws from PyTorch's CPU generator: the kinds of `core.random_streams` used most.

A kernel has one task. Its arguments are three (table slot, byte offset) pairs, for the state before
(STATE_WORDS words), the state after (the same place is allowed) and the values, then the count n,
then the kind's parameters: `random_arguments` gives all words from the count on. The values are
those of `random_streams.draw`, bit for bit; parameters are not checked.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core.random_arithmetic import (
    COS_COEFFICIENTS,
    LN2_HIGH,
    LN2_LOW,
    LOG_COEFFICIENTS,
    LOG_LEADING,
    QUARTER_PI_PARTS,
    SIN_COEFFICIENTS,
)
from flambeau.core.random_state import KEY_WORDS, LEFT, NEXT, STATE_WORDS
from flambeau.core.random_streams import LARGE_PERMUTATION
from flambeau.execute.cpu.emit import F32, F64, I8, I32, I64, PTR, Emitter, Reg, Type

NATIVE_KINDS = (
    "bits32",
    "bits64",
    "uniform32",
    "uniform64",
    "normal_float32",
    "bernoulli",
    "exponential",
    "random_range",
    "permutation",
)

_MIDDLE = 397
_BLOCK = 16
_CHUNK = 512  # values made from one filling of the scratch words
_COUNT, _PARAMETERS = 6, 7  # places in the arguments

Convert = Callable[[Emitter, Reg, list[Reg]], Reg]


def random_kernel(kind: str, vector_bits: int = 512, **attributes: Any) -> str:
    """The LLVM module of a draw of `kind`; NotImplementedError for a kind that is not native.

    `attributes` are those of `random_streams.draw`; the text depends on which there are, not on
    their values, except that spans from 2**28 on (64 raw bits) and below have kernels of their own.
    """
    if kind not in NATIVE_KINDS:
        raise NotImplementedError(f"a native kernel for random draws of kind {kind}")
    e = Emitter(vector_bits)
    _take_function(e)
    with e.function("kernel", "i64", _KERNEL_PARAMETERS) as (table, args, _first, _last):
        before, state, values = (_place(e, table, args, pair) for pair in range(3))
        _move(e, state, before, 4 * STATE_WORDS)
        count = _argument(e, args, _COUNT)
        if kind == "bits32":
            e.call("take", None, [state, values, count], declared=True)
        elif kind == "permutation":
            _permutation(e, state, values, count)
        elif kind == "normal_float32":
            _normal32(e, state, values, count, args)
        else:
            _converted(e, kind, attributes, state, values, count, args)
        e.line("ret i64 0")
    return e.module()


def random_arguments(kind: str, n: int, **attributes: Any) -> list[int]:
    """The argument words after the six of the three places: n and the parameters of `kind`.

    Raises NotImplementedError for normals that PyTorch draws one by one (below 16, or strided) and
    for permutations of 2**32 / 20 elements or more, TypeError for attributes of other kinds.
    """
    if unknown := set(attributes) - _ATTRIBUTES.get(kind, set()):
        raise TypeError(f"a native draw of kind {kind} takes no {', '.join(sorted(unknown))}")
    if kind == "permutation" and n >= LARGE_PERMUTATION:
        raise NotImplementedError(f"a random permutation of {n} elements")
    if kind == "normal_float32":
        if n < _BLOCK or not attributes.get("contiguous", True):
            raise NotImplementedError("normals of fewer than 16 values, or strided, in native code")
        mean, std = (np.float32(attributes.get(*d)) for d in (("mean", 0.0), ("std", 1.0)))
        return [n, _double_bits(float(mean)), _double_bits(float(std))]
    if kind == "bernoulli":
        return [n, _double_bits(attributes["p"])]
    if kind == "exponential":
        if attributes.get("dtype", "float64") not in _EXPONENTIAL:
            raise NotImplementedError(f"exponential numbers as {attributes['dtype']}")
        return [n, _double_bits(-1.0 / attributes.get("rate", 1.0))]
    if kind in ("uniform32", "uniform64") and attributes:
        low, high = attributes.get("low", 0.0), attributes.get("high", 1.0)
        if kind == "uniform64":
            return [n, *map(_double_bits, (low, high - low, high))]
        first, last = np.float32(low), np.float32(high)
        return [n, *(_double_bits(float(x)) for x in (first, last - first, last))]
    if kind == "random_range":
        span = attributes["span"]
        return [n, span - 2**64 if span >= 2**63 else span, attributes.get("low", 0)]
    return [n]


_KERNEL_PARAMETERS = [("table", PTR), ("args", PTR), ("first", I64), ("last", I64)]


_ATTRIBUTES = {
    "uniform32": {"low", "high"},
    "uniform64": {"low", "high"},
    "normal_float32": {"mean", "std", "contiguous"},
    "bernoulli": {"p"},
    "exponential": {"rate", "dtype"},
    "random_range": {"span", "low", "bits"},
}


def _double_bits(value: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


def _argument(e: Emitter, args: Reg, place: int, type_: Type = I64) -> Reg:
    return e.load(e.gep(args, "i64", e.i64(place)), type_)


def _place(e: Emitter, table: Reg, args: Reg, pair: int) -> Reg:
    """The pointer table[args[2 pair]] + args[2 pair + 1] bytes."""
    base = e.load(e.gep(table, "ptr", _argument(e, args, 2 * pair)), PTR)
    return e.gep(base, "i8", _argument(e, args, 2 * pair + 1))


def _move(e: Emitter, to: Reg, source: Reg, nbytes: int) -> None:
    e.declarations["llvm.memmove"] = "declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)"
    e.line(f"call void @llvm.memmove.p0.p0.i64(ptr {to}, ptr {source}, i64 {nbytes}, i1 false)")


def _minimum(e: Emitter, a: Reg, b: Reg) -> Reg:
    return e.select(e.cmp("icmp slt", a, b), a, b)


def _split(e: Emitter, start: Reg, stop: Reg, lanes: int, body: Callable[[Reg, int], None]) -> None:
    """body(index, lanes) over start .. stop: full vectors, then single elements."""
    length = e.op("sub", stop, start)
    vectors = e.op("sub", length, e.op("and", length, e.i64(lanes - 1)))
    middle = e.op("add", start, vectors)
    with e.loop(start, middle, lanes) as loop:
        body(loop.index, lanes)
    with e.loop(middle, stop) as loop:
        body(loop.index, 1)


# ---- mt19937 -------------------------------------------------------------------------------------


def _take_function(e: Emitter) -> None:
    """@take(state, out, count): the next `count` tempered words, the state moved on in place."""
    spec = [("state", PTR), ("out noalias", PTR), ("count", I64)]
    lanes = e.vector_bits // 32
    with e.function("take", "internal void", spec) as (state, out, count):
        next_slot = e.gep(state, "i32", e.i64(NEXT))
        left_slot = e.gep(state, "i32", e.i64(LEFT))
        start = e.cast("zext", e.load(next_slot, I32), "i64")
        fresh = e.cmp("icmp eq", start, e.i64(0))
        full = e.i64(KEY_WORDS)
        position = e.select(fresh, full, start)
        runs = e.op("add", e.op("udiv", count, full), e.i64(2))
        with e.loop(e.i64(0), runs, carried=[position, e.i64(0)]) as loop:
            position, done = loop.carried
            rest = e.op("sub", count, done)
            ended = e.cmp("icmp eq", position, full)
            renew = e.op("and", ended, e.cmp("icmp sgt", rest, e.i64(0)))
            with e.when(renew):
                _renew(e, state, lanes)
            position = e.select(renew, e.i64(0), position)
            step = _minimum(e, rest, e.op("sub", full, position))
            source, target = e.gep(state, "i32", position), e.gep(out, "i32", done)
            _split(e, e.i64(0), step, lanes, _tempering(e, source, target))
            loop.yield_([e.op("add", position, step), e.op("add", done, step)])
        position = loop.carried[0]
        with e.when(e.cmp("icmp sgt", count, e.i64(0))):
            e.store(next_slot, e.cast("trunc", position, "i32"))
            left = e.op("sub", e.i64(KEY_WORDS + 1), position)
            e.store(left_slot, e.cast("trunc", left, "i32"))
        e.line("ret void")


def _tempering(e: Emitter, source: Reg, target: Reg) -> Callable[[Reg, int], None]:
    def body(index: Reg, lanes: int) -> None:
        type_ = I32.with_lanes(lanes)
        y = e.load(e.gep(source, "i32", index), type_)
        y = e.op("xor", y, e.op("lshr", y, e.const(11, type_)))
        for shift, mask in ((7, 0x9D2C5680), (15, 0xEFC60000)):
            shifted = e.op("shl", y, e.const(shift, type_))
            y = e.op("xor", y, e.op("and", shifted, e.const(mask, type_)))
        y = e.op("xor", y, e.op("lshr", y, e.const(18, type_)))
        e.store(e.gep(target, "i32", index), y)

    return body


def _renew(e: Emitter, state: Reg, lanes: int) -> None:
    """All 624 words anew, in place: word i from words i, i + 1 and i + 397 (modulo 624)."""
    lag = KEY_WORDS - _MIDDLE
    for first, last, offset in ((0, lag, _MIDDLE), (lag, KEY_WORDS - 1, -lag)):

        def body(index: Reg, lanes: int, offset: int = offset) -> None:
            following = e.op("add", index, e.i64(1))
            other = e.op("add", index, e.i64(offset))
            _twist(e, state, index, following, other, lanes)

        _split(e, e.i64(first), e.i64(last), lanes, body)
    _twist(e, state, e.i64(KEY_WORDS - 1), e.i64(0), e.i64(_MIDDLE - 1), 1)


def _twist(e: Emitter, state: Reg, index: Reg, following: Reg, other: Reg, lanes: int) -> None:
    type_ = I32.with_lanes(lanes)
    here = e.gep(state, "i32", index)
    after = e.load(e.gep(state, "i32", following), type_)
    high = e.op("and", e.load(here, type_), e.const(0x80000000, type_))
    mixed = e.op("or", high, e.op("and", after, e.const(0x7FFFFFFF, type_)))
    odd = e.op("sub", e.const(0, type_), e.op("and", after, e.const(1, type_)))
    twisted = e.op(
        "xor", e.op("lshr", mixed, e.const(1, type_)), e.load(e.gep(state, "i32", other), type_)
    )
    e.store(here, e.op("xor", twisted, e.op("and", odd, e.const(0x9908B0DF, type_))))


# ---- values from words ---------------------------------------------------------------------------


def _in_chunks(
    e: Emitter, state: Reg, count: Reg, words: int, body: Callable[[Reg, Reg, Reg], None]
) -> None:
    """body(first value, number of values, scratch of their words) over all `count` values."""
    scratch = e.alloca(I32, _CHUNK * words)
    with e.loop(e.i64(0), count, _CHUNK) as loop:
        here = _minimum(e, e.op("sub", count, loop.index), e.i64(_CHUNK))
        taken = e.op("mul", here, e.i64(words))
        e.call("take", None, [state, scratch, taken], declared=True)
        body(loop.index, here, scratch)


def _converted(
    e: Emitter,
    kind: str,
    attributes: dict[str, Any],
    state: Reg,
    values: Reg,
    count: Reg,
    args: Reg,
) -> None:
    convert, wide, element, vector = _conversion(kind, attributes)
    types = [I64, I64] if kind == "random_range" else [F64] * 3
    number = {"bernoulli": 1, "exponential": 1, "random_range": 2, "bits64": 0}.get(
        kind, 3 if attributes else 0
    )
    parameters = [_argument(e, args, _PARAMETERS + i, types[i]) for i in range(number)]

    def chunk(first: Reg, here: Reg, scratch: Reg) -> None:
        target = e.gep(values, element.element, first)

        def body(index: Reg, lanes: int) -> None:
            raw = (
                _raw64(e, scratch, index, lanes)
                if wide
                else e.load(e.gep(scratch, "i32", index), I32.with_lanes(lanes))
            )
            splats = [e.splat(p, lanes) for p in parameters]
            e.store(e.gep(target, element.element, index), convert(e, raw, splats))

        _split(e, e.i64(0), here, e.vector_bits // (64 if wide else 32) if vector else 1, body)

    _in_chunks(e, state, count, 2 if wide else 1, chunk)


def _conversion(kind: str, attributes: dict[str, Any]) -> tuple[Convert, bool, Type, bool]:
    """What makes a value of raw bits, whether those are 64, the element, and if by vectors."""
    if kind == "uniform32":
        return _uniform32, False, F32, True
    if kind == "uniform64":
        return _uniform64, True, F64, True
    if kind == "bernoulli":
        return _bernoulli, True, I8, True
    if kind == "exponential":
        element = _EXPONENTIAL[attributes.get("dtype", "float64")]
        return _exponential(element), True, element, False
    if kind == "bits64":
        return (lambda e, raw, parameters: raw), True, I64, True
    bits = attributes.get("bits") or (32 if attributes["span"] < 1 << 28 else 64)
    return _range, bits == 64, I64, False


def _raw64(e: Emitter, scratch: Reg, index: Reg, lanes: int) -> Reg:
    """Pairs of words as 64 bits, the first word high."""
    pairs = e.load(e.gep(scratch, "i32", e.op("mul", index, e.i64(2))), I32.with_lanes(2 * lanes))
    if lanes == 1:
        halves = [e.extract(pairs, 0), e.extract(pairs, 1)]
    else:
        halves = [e.shuffle(pairs, pairs, range(i, 2 * lanes, 2)) for i in (0, 1)]
    high, low = (e.cast("zext", half, "i64") for half in halves)
    return e.op("or", e.op("shl", high, e.const(32, high.type)), low)


def _affine(e: Emitter, x: Reg, parameters: list[Reg]) -> Reg:
    """fma(x, high - low, low), with high itself replaced by low."""
    if not parameters:
        return x
    if x.type.element == "float":
        parameters = [e.cast("fptrunc", p, "float") for p in parameters]
    low, span, high = parameters
    value = e.fma(x, span, low)
    return e.select(e.cmp("fcmp oeq", value, high), low, value)


def _uniform32(e: Emitter, raw: Reg, parameters: list[Reg]) -> Reg:
    bits = e.op("and", raw, e.const(2**24 - 1, raw.type))
    unit = e.cast("sitofp", bits, "float")
    return _affine(e, e.op("fmul", unit, e.const(2.0**-24, unit.type)), parameters)


def _unit64(e: Emitter, raw: Reg) -> Reg:
    bits = e.op("and", raw, e.const(2**53 - 1, raw.type))
    unit = e.cast("sitofp", bits, "double")
    return e.op("fmul", unit, e.const(math.ldexp(1.0, -53), unit.type))


def _uniform64(e: Emitter, raw: Reg, parameters: list[Reg]) -> Reg:
    return _affine(e, _unit64(e, raw), parameters)


def _bernoulli(e: Emitter, raw: Reg, parameters: list[Reg]) -> Reg:
    return e.cast("zext", e.cmp("fcmp olt", _unit64(e, raw), parameters[0]), "i8")


_EXPONENTIAL = {"float32": F32, "float64": F64}


def _exponential(element: Type) -> Convert:
    """The C library's log1p, as PyTorch has it, one number at a time."""

    def convert(e: Emitter, raw: Reg, parameters: list[Reg]) -> Reg:
        log = e.call("log1p", F64, [e.fneg(_unit64(e, raw))])
        value = e.op("fmul", parameters[0], log)
        return value if element is F64 else e.cast("fptrunc", value, element.element)

    return convert


def _range(e: Emitter, raw: Reg, parameters: list[Reg]) -> Reg:
    span, low = parameters
    if raw.type.element == "i32":
        span = e.cast("trunc", span, "i32")
        return e.op("add", e.cast("zext", e.op("urem", raw, span), "i64"), low)
    return e.op("add", e.op("urem", raw, span), low)


def _permutation(e: Emitter, state: Reg, values: Reg, count: Reg) -> None:
    """Fisher and Yates from the front, in place, on int64 values."""
    with e.loop(e.i64(0), count) as loop:
        e.store(e.gep(values, "i64", loop.index), loop.index)

    def chunk(first: Reg, here: Reg, scratch: Reg) -> None:
        with e.loop(e.i64(0), here) as loop:
            index = e.op("add", first, loop.index)
            span = e.cast("trunc", e.op("sub", count, index), "i32")
            step = e.op("urem", e.load(e.gep(scratch, "i32", loop.index), I32), span)
            one = e.gep(values, "i64", index)
            other = e.gep(values, "i64", e.op("add", index, e.cast("zext", step, "i64")))
            kept, moved = e.load(one, I64), e.load(other, I64)
            e.store(one, moved)
            e.store(other, kept)

    _in_chunks(e, state, e.op("sub", count, e.i64(1)), 1, chunk)


# ---- normals in blocks of 16 ---------------------------------------------------------------------


def _normal32(e: Emitter, state: Reg, values: Reg, count: Reg, args: Reg) -> None:
    """Box-Muller per block; a ragged end discards its words and makes the last 16 values anew."""
    parameters = [_argument(e, args, _PARAMETERS + i, F64) for i in range(2)]
    mean, std = (e.splat(e.cast("fptrunc", p, "float"), _BLOCK // 2) for p in parameters)

    def chunk(first: Reg, here: Reg, scratch: Reg) -> None:
        target = e.gep(values, "float", first)
        whole = e.op("and", here, e.i64(-_BLOCK))
        with e.loop(e.i64(0), whole, _BLOCK) as loop:
            place = e.gep(target, "float", loop.index)
            _box_muller(e, e.gep(scratch, "i32", loop.index), place, mean, std)

    _in_chunks(e, state, count, 1, chunk)
    last = e.alloca(I32, _BLOCK)
    ragged = e.cmp("icmp ne", e.op("and", count, e.i64(_BLOCK - 1)), e.i64(0))
    with e.when(ragged):
        e.call("take", None, [state, last, e.i64(_BLOCK)], declared=True)
        place = e.gep(values, "float", e.op("sub", count, e.i64(_BLOCK)))
        _box_muller(e, last, place, mean, std)


def _box_muller(e: Emitter, words: Reg, target: Reg, mean: Reg, std: Reg) -> None:
    """16 normals of 16 words: eight radii from the first half, eight angles from the second."""
    half = _BLOCK // 2
    raw = [e.load(e.gep(words, "i32", e.i64(i)), I32.with_lanes(half)) for i in (0, half)]
    first, second = (_uniform32(e, bits, []) for bits in raw)
    type_ = first.type
    log = _log(e, e.op("fsub", e.const(1.0, type_), first))
    radius = e.intrinsic("llvm.sqrt", e.op("fmul", e.const(-2.0, type_), log))
    sine, cosine = _sine_cosine(e, e.op("fmul", e.const(2 * math.pi, type_), second))
    for place, wave in ((0, cosine), (half, sine)):
        normal = e.fma(e.op("fmul", radius, wave), std, mean)
        e.store(e.gep(target, "float", e.i64(place)), normal)


def _log(e: Emitter, x: Reg) -> Reg:
    """`random_arithmetic.log32`, operation by operation."""
    type_ = x.type
    integer = type_.with_element("i32")
    bits = e.bitcast(x, integer)
    biased = e.op("lshr", bits, e.const(23, integer))
    exponent = e.cast("sitofp", e.op("sub", biased, e.const(126, integer)), "float")
    fraction = e.op("and", bits, e.const(0x007FFFFF, integer))
    mantissa = e.bitcast(e.op("or", fraction, e.const(0x3F000000, integer)), type_)
    one = e.const(1.0, type_)
    low = e.cmp("fcmp olt", mantissa, e.const(math.sqrt(0.5), type_))
    exponent = e.select(low, e.op("fsub", exponent, one), exponent)
    t = e.op("fsub", mantissa, one)
    t = e.select(low, e.op("fadd", t, mantissa), t)
    square = e.op("fmul", t, t)
    y = e.const(LOG_LEADING, type_)
    for coefficient in LOG_COEFFICIENTS:
        y = e.fma(y, t, e.const(coefficient, type_))
    tail = e.op("fmul", exponent, e.const(LN2_LOW, type_))
    y = e.fma(e.op("fmul", y, t), square, tail)
    y = e.op("fsub", y, e.op("fmul", square, e.const(0.5, type_)))
    return e.fma(exponent, e.const(LN2_HIGH, type_), e.op("fadd", t, y))


def _sine_cosine(e: Emitter, x: Reg) -> tuple[Reg, Reg]:
    """`random_arithmetic.sincos32`, operation by operation."""
    type_ = x.type
    integer = type_.with_element("i32")
    octant = e.cast("fptosi", e.op("fmul", x, e.const(4 / math.pi, type_)), "i32")
    octant = e.op("and", e.op("add", octant, e.const(1, integer)), e.const(-2, integer))
    count = e.cast("sitofp", octant, "float")
    for part in QUARTER_PI_PARTS:
        x = e.fma(count, e.const(-part, type_), x)
    square = e.op("fmul", x, x)
    cosine = _cubic(e, square, COS_COEFFICIENTS)
    half = e.fneg(e.op("fmul", square, e.const(0.5, type_)))
    cosine = e.fma(e.op("fmul", cosine, square), square, half)
    cosine = e.op("fadd", cosine, e.const(1.0, type_))
    sine = e.fma(e.op("fmul", _cubic(e, square, SIN_COEFFICIENTS), square), x, x)
    zero = e.const(0, integer)
    straight = e.cmp("icmp eq", e.op("and", octant, e.const(2, integer)), zero)
    signed = []
    for quarter, wave in (
        (0, e.select(straight, sine, cosine)),
        (2, e.select(straight, cosine, sine)),
    ):
        turned = e.op("and", e.op("add", octant, e.const(quarter, integer)), e.const(4, integer))
        signed.append(e.select(e.cmp("icmp eq", turned, zero), wave, e.fneg(wave)))
    return signed[0], signed[1]


def _cubic(e: Emitter, square: Reg, coefficients: tuple[float, float, float]) -> Reg:
    first, second, third = (e.const(c, square.type) for c in coefficients)
    return e.fma(e.fma(first, square, second), square, third)
