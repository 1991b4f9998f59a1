"""Folds under way: what a reduction's loops carry from element to element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.core.dtypes import DType
from flambeau.execute.cpu import elements
from flambeau.execute.cpu.body import Node
from flambeau.execute.cpu.emit import I64, Emitter, Reg
from flambeau.execute.cpu.loops import KernelWriter

LAST_INDEX = (1 << 63) - 1
COMBINE = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


@dataclass(frozen=True)
class Fold:
    """One reduction of a kernel: `body` is the folded element, `result` the node that stands for
    the outcome.

    `place` is the folded index (for argmax and argmin).
    """

    name: str
    body: Node
    result: Node
    place: Node | None = None

    @property
    def positional(self) -> bool:
        return self.name in ("argmax", "argmin")


def accumulator_dtype(dtype: DType) -> DType:
    """float16 and bfloat16 accumulate in float32."""
    from flambeau.core import dtypes

    return dtypes.float32 if dtype.kind == "f" and dtype.itemsize == 2 else dtype


@dataclass(frozen=True)
class Accumulator:
    """A fold under way: its registers (value, and index for argmax and argmin)."""

    fold: Fold
    registers: tuple[Reg, ...]

    @staticmethod
    def identity(writer: KernelWriter, fold: Fold) -> Accumulator:
        type_ = elements.register_type(fold.body.dtype, writer.lanes)
        value = writer.e.const(_identity_value(fold), type_)
        if fold.positional:
            return Accumulator(
                fold, (value, writer.e.const(LAST_INDEX, I64.with_lanes(writer.lanes)))
            )
        return Accumulator(fold, (value,))

    def widened(self, writer: KernelWriter) -> Accumulator:
        """In all lanes; a constant (the identity) may still have one."""
        return Accumulator(
            self.fold,
            tuple(
                [
                    r
                    if r.type.lanes == writer.lanes
                    else Reg(
                        r.name if r.name.startswith("splat") else f"splat ({r.type} {r.name})",
                        r.type.with_lanes(writer.lanes),
                    )
                    for r in self.registers
                ]
            ),
        )

    def folded(self, writer: KernelWriter) -> Accumulator:
        """With the body's element at the current position."""
        value = writer.vector(self.fold.body)
        if self.fold.place is None:
            return self.joined(writer.e, Accumulator(self.fold, (value,)))
        place = writer.vector(self.fold.place)
        return self.joined(writer.e, Accumulator(self.fold, (value, place)))

    def folded_short(self, writer: KernelWriter) -> Accumulator:
        """With a vector of fewer lanes than the accumulator has; the others keep their values."""
        e, lanes, short = writer.e, self.registers[0].type.lanes, writer.lanes
        parts = [writer.vector(self.fold.body)]
        if self.fold.place is not None:
            parts.append(writer.vector(self.fold.place))
        if lanes == 1:
            return self.joined(e, Accumulator(self.fold, tuple(parts)))
        blank = Accumulator.identity(writer, self.fold)
        padded = []
        for part, fill in zip(parts, blank.registers, strict=True):
            if short == 1:
                wide = Reg(f"splat ({part.type} {fill.name})", part.type.with_lanes(lanes))
                padded.append(e.insert(wide, part, 0))
            else:
                order = [i if i < short else short for i in range(lanes)]
                padded.append(e.shuffle(part, fill, order))
        return self.joined(e, Accumulator(self.fold, tuple(padded)))

    def joined(self, e: Emitter, other: Accumulator) -> Accumulator:
        """Two partial folds as one; of equal extrema the smaller index wins."""
        fold, dtype = self.fold, self.fold.body.dtype
        a, b = self.registers[0], other.registers[0]
        if not fold.positional:
            combined = elements.apply(
                e, COMBINE[fold.name], _combined_dtype(dtype), (dtype, dtype), [a, b]
            )
            return Accumulator(fold, (combined,))
        i, j = self.registers[1], other.registers[1]
        predicate = "gt" if fold.name == "argmax" else "lt"
        if dtype.kind == "f":
            wins = e.op("and", e.cmp(f"fcmp u{predicate}", b, a), e.cmp("fcmp ord", a, a))
            equal = e.op(
                "or",
                e.cmp("fcmp oeq", a, b),
                e.op("and", e.cmp("fcmp uno", a, a), e.cmp("fcmp uno", b, b)),
            )
        else:
            wins = elements.compare(e, predicate, dtype, b, a)
            equal = e.cmp("icmp eq", a, b)
        wins = e.op("or", wins, e.op("and", equal, e.cmp("icmp slt", j, i)))
        return Accumulator(fold, (e.select(wins, b, a), e.select(wins, j, i)))

    def across(self, e: Emitter) -> Accumulator:
        """All lanes folded into one."""
        current = self
        lanes = current.registers[0].type.lanes
        while lanes > 1:
            half = lanes // 2
            low = tuple([_lanes_of(e, r, 0, half) for r in current.registers])
            high = tuple([_lanes_of(e, r, half, lanes) for r in current.registers])
            current = Accumulator(self.fold, low).joined(e, Accumulator(self.fold, high))
            lanes = half
        return current

    def result(self, e: Emitter) -> Reg:
        if self.fold.positional:
            index = self.registers[1]
            empty = e.cmp("icmp eq", index, e.const(LAST_INDEX, index.type))
            return e.select(empty, e.const(0, index.type), index)
        return elements.rounded(e, self.registers[0], self.fold.result.dtype)


def _combined_dtype(dtype: DType) -> DType:
    """The dtype partial results are combined in: no rounding to a half type before the end."""
    return accumulator_dtype(dtype)


def _identity_value(fold: Fold) -> float | int | bool:
    dtype = fold.body.dtype
    if fold.name == "sum":
        return 0
    if fold.name == "prod":
        return 1
    return elements.lowest(dtype) if fold.name in ("max", "argmax") else elements.highest(dtype)


def registers_of(state: Sequence[Accumulator]) -> list[Reg]:
    return [r for a in state for r in a.registers]


def with_registers(state: Sequence[Accumulator], registers: Sequence[Reg]) -> list[Accumulator]:
    result, at = [], 0
    for accumulator in state:
        count = len(accumulator.registers)
        result.append(Accumulator(accumulator.fold, tuple(registers[at : at + count])))
        at += count
    return result


def _lanes_of(e: Emitter, register: Reg, start: int, stop: int) -> Reg:
    if stop - start == 1:
        return e.extract(register, start)
    return e.shuffle(register, register, range(start, stop))
