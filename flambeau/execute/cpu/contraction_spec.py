"""What a contraction is: an einsum with affine addressing, and the callback that takes its results.

    out[b.., m.., n..] = sum over k.. of A[b.., m.., k..] * B[b.., n.., k..]

Each axis has an element stride in A, in B and in out. Matrix products of any transposition,
convolutions and both of their gradients are contractions that differ in strides only: a
convolution's windows are axes that share memory, a flipped filter is a negative stride.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from flambeau.core import dtypes
from flambeau.execute.cpu import elements
from flambeau.execute.cpu.emit import I64, PTR, Emitter, Reg, Type

KINDS = ("batch", "m", "n", "k")
ACCUMULATORS = {"half": "float", "bfloat": "float", "float": "float", "double": "double"}
ACCUMULATORS |= {"i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64"}
BYTES = {"half": 2, "bfloat": 2, "float": 4, "double": 8, "i8": 1, "i16": 2, "i32": 4, "i64": 8}
FLOATS = {"half": dtypes.float16, "bfloat": dtypes.bfloat16}

A, B, SCRATCH, DESTINATION = 0, 1, 2, 3
PICKED = 3  # the bytes of a contraction with picks; what its store callback uses comes after them


@dataclass(frozen=True, slots=True)
class Axis:
    """One loop of a contraction: its element strides in A, B and out, 0 where it does not occur.

    kind: "batch" (in A, B and out), "m" (A and out), "n" (B and out) or "k" (A and B; summed over).
    Strides may be negative and axes may overlap in memory, except in out.
    """

    kind: str
    extent: int
    a: int
    b: int
    out: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"an axis is one of {KINDS}, not {self.kind!r}")
        if self.extent < 0:
            raise ValueError(f"an axis has an extent of at least 0, not {self.extent}")
        if (self.kind == "m" and self.b) or (self.kind == "n" and self.a):
            raise ValueError(f"an axis of kind {self.kind} occurs in one operand only: {self}")
        if self.kind == "k" and self.out:
            raise ValueError(f"an axis of kind k does not occur in out: {self}")

    def swapped(self) -> Axis:
        """This axis with the roles of A and B exchanged."""
        kind = {"m": "n", "n": "m"}.get(self.kind, self.kind)
        return Axis(kind, self.extent, self.b, self.a, self.out)


@dataclass(frozen=True, slots=True)
class Band:
    """Where A is there along one of its axes, which an axis of the result and a k axis walk.

    With indices i and j of the axes at positions `out` (-1: i is 0) and `k`, only the terms with
    low <= i * step + j * spread < low + size are part of the sum; A is not read elsewhere.
    """

    out: int
    k: int
    step: int
    spread: int
    low: int
    size: int

    def __post_init__(self) -> None:
        if self.spread < 1:
            raise ValueError(f"a band's spread is at least 1, not {self.spread}")


@dataclass(frozen=True, slots=True)
class Contraction:
    """The axes of a contraction and the LLVM elements of its operands and of its result.

    half and bfloat operands accumulate in float; integers in their own type, modulo 2**bits.
    `bands` leave out terms in which A would be padding. `picks`: (position of a k axis, weight);
    of B only those elements count whose byte in a further operand, which lies as B does, is the sum
    of the indices times their weights. B has no stride along these axes. `pairs`: each float is a
    pair of bfloat16 numbers (see contraction_pairs.py), the sum one of floats.
    """

    axes: tuple[Axis, ...]
    element: str = "float"
    out_element: str = "float"
    bands: tuple[Band, ...] = ()
    picks: tuple[tuple[int, int], ...] = ()
    pairs: bool = False

    def __post_init__(self) -> None:
        for element in (self.element, self.out_element):
            if element not in ACCUMULATORS:
                raise NotImplementedError(f"contractions of {element} elements are not supported")
        if self.accumulator != ACCUMULATORS[self.out_element]:
            raise NotImplementedError(
                f"a contraction of {self.element} accumulates in {self.accumulator}; "
                f"a result in {self.out_element} is not supported"
            )

    @property
    def accumulator(self) -> str:
        """The element in which sums are kept and given to the store callback."""
        return ACCUMULATORS[self.element]

    @property
    def out_axes(self) -> tuple[Axis, ...]:
        """The axes of the result: those not summed over, in order."""
        return tuple([axis for axis in self.axes if axis.kind != "k"])

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        total = 2
        for axis in self.axes:
            total *= axis.extent
        return total


@dataclass(frozen=True, slots=True)
class KernelCode:
    """A module with `i64 @kernel(ptr %table, ptr %args, i64 %first, i64 %last)`.

    Tasks first .. last - 1 of 0 .. tasks - 1 are independent pieces; the result does not depend
    on who runs which. `scratch_bytes` is what operand 2 must offer (64-byte aligned), shared by
    all kernels of the contraction and not kept afterwards.
    """

    text: str
    tasks: int
    flops: int
    scratch_bytes: int
    parallel: bool


class StoreCallback(Protocol):
    """Takes a finished piece of the result: emits what is done with it, stores included.

    index: an i64 per result axis (Contraction.out_axes). The piece covers value.type.lanes
    consecutive indices along result axis number `lane_axis`, beginning at index[lane_axis].
    `value` is in the accumulator's type, not yet rounded to out_element. Called in functions that
    have the parameters %table and %args (see `operand_pointer`), inside loops, and more than once
    per kernel.
    """

    def __call__(self, e: Emitter, index: Sequence[Reg], value: Reg, lane_axis: int) -> None: ...


def operand_pointer(e: Emitter, table: Reg, args: Reg, number: int) -> Reg:
    """The address of operand `number`: table[args[2 number]] + args[2 number + 1] bytes.

    The loads are marked invariant (tables do not change under a running kernel), so that stores
    in between do not make LLVM repeat them.
    """
    e.declarations["!0"] = "!0 = !{}"
    words = []
    for word in (2 * number, 2 * number + 1):
        place = e.gep(args, "i64", e.i64(word))
        words.append(e.temp(I64, f"load i64, ptr {place}, align 8, !invariant.load !0"))
    slot = e.gep(table, "ptr", words[0])
    base = e.temp(PTR, f"load ptr, ptr {slot}, align 8, !invariant.load !0")
    return e.gep(base, "i8", words[1])


TABLE, ARGS = Reg("%table", PTR), Reg("%args", PTR)


def plain_store(spec: Contraction) -> StoreCallback:
    """The callback that only stores: to operand 3, at out's strides, rounded to out_element."""
    axes = spec.out_axes
    narrow = FLOATS.get(spec.out_element)
    memory = "i16" if spec.out_element == "bfloat" else spec.out_element

    def store(e: Emitter, index: Sequence[Reg], value: Reg, lane_axis: int) -> None:
        at = weighted_sum(e, [(i, axis.out) for i, axis in zip(index, axes, strict=True)])
        pointer = e.gep(operand_pointer(e, TABLE, ARGS, DESTINATION), memory, at)
        if narrow is not None:
            value = elements.to_memory(e, elements.rounded(e, value, narrow), narrow)
        lanes = value.type.lanes
        if lanes == 1 or axes[lane_axis].out == 1:
            store_lanes(e, pointer, value)
            return
        for lane in range(lanes):
            place = e.gep(pointer, memory, e.i64(lane * axes[lane_axis].out))
            e.store(place, e.extract(value, lane))

    return store


def collapse(spec: Contraction) -> tuple[Contraction, tuple[tuple[int, ...], ...]]:
    """Merges neighbouring axes that are one in memory; also says which axes each result came from.

    Two axes of a kind merge when, in A, B and out alike, the first's stride is the second's
    extent times the second's stride. Axes of extent 1 are dropped. The store callback of the
    merged contraction gets the merged axes' indices: an outer axis' index is the merged one
    divided by the inner extents.
    """
    if spec.bands:
        raise NotImplementedError("merging the axes of a contraction with bands")
    axes: list[Axis] = []
    origins: list[tuple[int, ...]] = []
    for number, axis in enumerate(spec.axes):
        if axis.extent == 1:
            continue
        if axes and joins(axes[-1], axis):
            axes[-1] = replace(axis, extent=axes[-1].extent * axis.extent)
            origins[-1] = (*origins[-1], number)
        else:
            axes.append(axis)
            origins.append((number,))
    return replace(spec, axes=tuple(axes)), tuple(origins)


def joins(outer: Axis, inner: Axis) -> bool:
    """Whether two loops, one directly inside the other, walk memory as one loop would."""
    return outer.kind == inner.kind and (outer.a, outer.b, outer.out) == (
        inner.extent * inner.a,
        inner.extent * inner.b,
        inner.extent * inner.out,
    )


def weighted_sum(e: Emitter, terms: Sequence[tuple[Reg, int]]) -> Reg:
    """The sum of register * constant, as i64 (constants folded)."""
    total: Reg | None = None
    constant = 0
    for register, factor in terms:
        if factor == 0:
            continue
        if not register.name.startswith("%"):
            constant += int(register.name) * factor
            continue
        term = register if factor == 1 else e.op("mul nsw", register, e.i64(factor))
        total = term if total is None else e.op("add nsw", total, term)
    if total is None:
        return e.i64(constant)
    return e.op("add nsw", total, e.i64(constant)) if constant else total


def load_element(e: Emitter, pointer: Reg, element: str, lanes: int, width: int) -> Reg:
    """Loads `width` elements as `lanes` lanes (zero beyond) of the accumulator's type.

    This and nothing else reads the operands of a contraction.
    """
    memory = "i16" if element == "bfloat" else element
    type_ = Type(memory, lanes)
    if width == lanes:
        value = e.load(pointer, type_)
    elif e.vector_bits >= 256 and BYTES[element] >= 4 and lanes > 1:
        mask = e.vector_const([int(i < width) for i in range(lanes)], "i1")
        letter = {"float": "f", "double": "f"}.get(memory, "i")
        name = f"llvm.masked.load.v{lanes}{letter}{type_.bits}.p0"
        align = Reg(str(type_.bits // 8), Type("i32"))
        value = e.call(name, type_, [pointer, align, mask, e.const(0, type_)])
    else:
        part = e.load(pointer, Type(memory, width))
        zero = e.const(0, part.type)
        if width == 1:
            value = e.insert(e.const(0, type_), part, 0)
        else:
            value = e.shuffle(part, zero, [min(i, width) for i in range(lanes)])
    if element in FLOATS:
        value = elements.from_memory(e, value, FLOATS[element])
    return value


def store_lanes(e: Emitter, pointer: Reg, value: Reg) -> None:
    """Stores a vector of any number of lanes, in one instruction where the machine can mask lanes.

    LLVM takes several times as long to compile stores of, say, ten lanes.
    """
    lanes, element = value.type.lanes, value.type.element
    size = 1 << (lanes - 1).bit_length()
    if size == lanes or e.vector_bits < 256 or BYTES[element] < 4:
        e.store(pointer, value)
        return
    whole = e.shuffle(value, value, [i if i < lanes else -1 for i in range(size)])
    mask = e.vector_const([int(i < lanes) for i in range(size)], "i1")
    align = Reg(str(value.type.bits // 8), Type("i32"))
    letter = "f" if value.type.is_float else "i"
    name = f"llvm.masked.store.v{size}{letter}{value.type.bits}.p0"
    e.call(name, None, [whole, pointer, align, mask])
