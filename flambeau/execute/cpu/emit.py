"""Writes LLVM IR as text: typed registers, vector operations, structured loops.

Every CPU kernel family emits its code through `Emitter`. It knows nothing of ops or graphs: it
spells LLVM instructions, keeps names unique and deterministic (equal kernels give equal text, the
key of the kernel cache), declares the intrinsics that are used, and keeps float flags explicit per
instruction.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

FLOAT_ELEMENTS = ("half", "bfloat", "float", "double")
BITS = {"i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64, "i128": 128, "ptr": 64}
BITS |= {"half": 16, "bfloat": 16, "float": 32, "double": 64}


@dataclass(frozen=True, slots=True)
class Type:
    """An LLVM first-class type: a scalar element, or a fixed vector of `lanes` elements."""

    element: str
    lanes: int = 1

    def __str__(self) -> str:
        return self.element if self.lanes == 1 else f"<{self.lanes} x {self.element}>"

    @property
    def is_float(self) -> bool:
        return self.element in FLOAT_ELEMENTS

    @property
    def bits(self) -> int:
        """Bits of one element."""
        return BITS[self.element]

    def with_lanes(self, lanes: int) -> Type:
        return Type(self.element, lanes)

    def with_element(self, element: str) -> Type:
        return Type(element, self.lanes)


I1, I8, I16, I32, I64, PTR = (Type(e) for e in ("i1", "i8", "i16", "i32", "i64", "ptr"))
F16, BF16, F32, F64 = (Type(e) for e in FLOAT_ELEMENTS)


@dataclass(frozen=True, slots=True)
class Reg:
    """An SSA value of the IR: a register name or a literal, and its type."""

    name: str
    type: Type

    def __str__(self) -> str:
        return self.name

    @property
    def typed(self) -> str:
        return f"{self.type} {self.name}"


def float_literal(value: float, element: str) -> str:
    """The exact spelling of a float constant: hexadecimal double bits, or 16-bit forms."""
    if element in ("half", "bfloat"):
        if element == "half":
            import numpy as np

            bits = int(np.array(value, np.float16).view(np.uint16))
            return f"0xH{bits:04X}"
        single = struct.unpack("<I", struct.pack("<f", value))[0]
        rounded = single if value != value else single + 0x7FFF + ((single >> 16) & 1)
        return f"0xR{(rounded >> 16) & 0xFFFF:04X}"
    if element == "float":
        value = round_to_float32(value)
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def round_to_float32(value: float) -> float:
    """`value` rounded to the nearest float32 (overflow gives infinity)."""
    if value != value or value in (float("inf"), float("-inf")):
        return value
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


@dataclass
class Loop:
    """A running loop: its counter, its loop-carried registers, after it their final values."""

    index: Reg
    carried: list[Reg]
    next: list[Reg] = field(default_factory=list)

    def yield_(self, values: Sequence[Reg]) -> None:
        """Gives the values the carried registers take in the next iteration."""
        self.next = list(values)


AARCH64 = platform.machine().lower() in ("aarch64", "arm64")


def has_fused(vector_bits: int) -> bool:
    """Whether machines with vectors of this width have fused multiply-adds (x86-64: AVX2)."""
    return AARCH64 or vector_bits >= 256


def vector_registers(vector_bits: int) -> int:
    """How many vector registers machines with vectors of this width have."""
    return 32 if AARCH64 or vector_bits >= 512 else 16


class Emitter:
    """One LLVM module with one function under construction at a time."""

    def __init__(self, vector_bits: int = 512) -> None:
        self.vector_bits = vector_bits
        self.lines: list[str] = []
        self.declarations: dict[str, str] = {}
        self.functions: list[str] = []
        self._temps = 0
        self._labels = 0
        self._block = "entry"

    # ---- functions -------------------------------------------------------------------------------

    @contextmanager
    def function(
        self, name: str, result: str, parameters: Sequence[tuple[str, Type]], attributes: str = ""
    ) -> Iterator[list[Reg]]:
        """Opens `define result @name(parameters)`; the body must end with `ret`.

        A parameter is (name, type); write extra parameter attributes after the name: ("a noalias",
        PTR).
        """
        registers, spelled = [], []
        for spec, type_ in parameters:
            word, _, extra = spec.partition(" ")
            registers.append(Reg(f"%{word}", type_))
            spelled.append(f"{type_} {extra + ' ' if extra else ''}%{word}")
        self.lines, self._temps, self._labels, self._block = [], 0, 0, "entry"
        yield registers
        head = f"define {result} @{name}({', '.join(spelled)}) {attributes}".rstrip() + " {\nentry:"
        self.functions.append("\n".join([head, *self.lines, "}"]))

    def module(self) -> str:
        """The whole module's text."""
        return "\n".join([*self.declarations.values(), *self.functions]) + "\n"

    def line(self, text: str) -> None:
        self.lines.append("  " + text)

    def temp(self, type_: Type, text: str) -> Reg:
        """Emits `%t = text` and returns the new register."""
        self._temps += 1
        name = f"%t{self._temps}"
        self.lines.append(f"  {name} = {text}")
        return Reg(name, type_)

    # ---- constants -------------------------------------------------------------------------------

    def const(self, value: float | int | bool, type_: Type) -> Reg:
        """A literal (splat over the lanes of a vector type)."""
        if type_.is_float:
            literal = float_literal(float(value), type_.element)
        elif type_.element == "i1":
            literal = "true" if value else "false"
        else:
            literal = str(int(value))
        if type_.lanes > 1:
            literal = f"splat ({type_.element} {literal})"
        return Reg(literal, type_)

    def i64(self, value: int) -> Reg:
        return Reg(str(value), I64)

    def vector_const(self, values: Sequence[float | int], element: str) -> Reg:
        """A vector literal with a value per lane."""
        scalar = Type(element)
        parts = ", ".join(f"{element} {self.const(v, scalar)}" for v in values)
        return Reg(f"<{parts}>", Type(element, len(values)))

    # ---- arithmetic ------------------------------------------------------------------------------

    def op(self, opcode: str, a: Reg, b: Reg) -> Reg:
        """A two-operand instruction with operands of one type: `op("fadd", a, b)`, `op("add nsw",
        ...)`.
        """
        assert a.type == b.type, (opcode, a, b)
        return self.temp(a.type, f"{opcode} {a.typed}, {b.name}")

    def fneg(self, a: Reg) -> Reg:
        return self.temp(a.type, f"fneg {a.typed}")

    def cmp(self, predicate: str, a: Reg, b: Reg) -> Reg:
        """`cmp("icmp slt", a, b)` or `cmp("fcmp olt", a, b)`: i1, with a's lanes."""
        assert a.type == b.type, (predicate, a, b)
        return self.temp(Type("i1", a.type.lanes), f"{predicate} {a.typed}, {b.name}")

    def select(self, condition: Reg, a: Reg, b: Reg) -> Reg:
        assert a.type == b.type, (a, b)
        return self.temp(a.type, f"select {condition.typed}, {a.typed}, {b.typed}")

    def cast(self, opcode: str, a: Reg, element: str) -> Reg:
        """`cast("fpext", a, "double")`: any conversion instruction, lanes kept."""
        to = a.type.with_element(element)
        return self.temp(to, f"{opcode} {a.typed} to {to}")

    def bitcast(self, a: Reg, to: Type) -> Reg:
        return self.temp(to, f"bitcast {a.typed} to {to}")

    def call(
        self, name: str, result: Type | None, arguments: Sequence[Reg], *, declared: bool = False
    ) -> Reg:
        """Calls `@name`, declaring it unless it is defined in this module."""
        spelled = "void" if result is None else str(result)
        if not declared and name not in self.declarations:
            kinds = ", ".join(str(a.type) for a in arguments)
            self.declarations[name] = f"declare {spelled} @{name}({kinds})"
        text = f"call {spelled} @{name}({', '.join(a.typed for a in arguments)})"
        if result is None:
            self.line(text)
            return Reg("void", I64)
        return self.temp(result, text)

    def intrinsic(self, name: str, *arguments: Reg) -> Reg:
        """An intrinsic for the first argument's type: `intrinsic("llvm.fma", a, b, c)`."""
        type_ = arguments[0].type
        suffix = {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64"}.get(
            type_.element, type_.element
        )
        lanes = f"v{type_.lanes}" if type_.lanes > 1 else ""
        return self.call(f"{name}.{lanes}{suffix}", type_, arguments)

    def fma(self, a: Reg, b: Reg, c: Reg) -> Reg:
        return self.intrinsic("llvm.fma", a, b, c)

    def any_lane(self, flags: Reg) -> Reg:
        """Whether any of the flags is set (the flag itself for one lane)."""
        if flags.type.lanes == 1:
            return flags
        bits = self.bitcast(flags, Type(f"i{flags.type.lanes}"))
        return self.cmp("icmp ne", bits, self.const(0, bits.type))

    def multiply_add(self, a: Reg, b: Reg, total: Reg) -> Reg:
        """a * b + total, rounded once where the machine has an instruction for that."""
        if has_fused(self.vector_bits):
            return self.fma(a, b, total)
        return self.op("fadd", self.op("fmul", a, b), total)

    # ---- vectors ---------------------------------------------------------------------------------

    def splat(self, scalar: Reg, lanes: int) -> Reg:
        """A scalar repeated in every lane (the scalar itself for one lane)."""
        if lanes == 1:
            return scalar
        to = scalar.type.with_lanes(lanes)
        one = self.temp(to, f"insertelement {to} poison, {scalar.typed}, i32 0")
        return self.temp(
            to, f"shufflevector {one.typed}, {to} poison, <{lanes} x i32> zeroinitializer"
        )

    def extract(self, vector: Reg, lane: int) -> Reg:
        return self.temp(vector.type.with_lanes(1), f"extractelement {vector.typed}, i32 {lane}")

    def insert(self, vector: Reg, scalar: Reg, lane: int) -> Reg:
        return self.temp(vector.type, f"insertelement {vector.typed}, {scalar.typed}, i32 {lane}")

    def shuffle(self, a: Reg, b: Reg, lanes: Sequence[int]) -> Reg:
        """Lanes picked from a (0 ..) and b (a's lanes ..); -1 leaves a lane undefined."""
        mask = ", ".join("i32 poison" if i < 0 else f"i32 {i}" for i in lanes)
        to = a.type.with_lanes(len(lanes))
        return self.temp(to, f"shufflevector {a.typed}, {b.typed}, <{len(lanes)} x i32> <{mask}>")

    def lane_numbers(self, lanes: int, element: str = "i64") -> Reg:
        """<0, 1, ..., lanes - 1>."""
        return (
            self.vector_const(range(lanes), element) if lanes > 1 else self.const(0, Type(element))
        )

    # ---- memory ----------------------------------------------------------------------------------

    def gep(self, pointer: Reg, element: str, index: Reg) -> Reg:
        """pointer + index * sizeof(element); a vector of indices gives a vector of pointers."""
        return self.temp(
            Type("ptr", index.type.lanes),
            f"getelementptr {element}, ptr {pointer.name}, {index.typed}",
        )

    def load(self, pointer: Reg, type_: Type, align: int | None = None) -> Reg:
        """Loads `type_` (i1 is stored as a byte: load i8 and truncate)."""
        return self.temp(
            type_, f"load {type_}, ptr {pointer}, align {align or max(1, min(type_.bits, 64) // 8)}"
        )

    def store(self, pointer: Reg, value: Reg, align: int | None = None) -> None:
        align = align or max(1, min(value.type.bits, 64) // 8)
        self.line(f"store {value.typed}, ptr {pointer}, align {align}")

    def prefetch(self, pointer: Reg, *, level: int = 2, write: bool = False) -> None:
        """Asks for the line of memory that is used soon; `level`: 3 is the nearest cache."""
        self.declarations["prefetch"] = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"
        self.line(
            f"call void @llvm.prefetch.p0(ptr {pointer}, i32 {int(write)}, i32 {level}, i32 1)"
        )

    def alloca(self, type_: Type, count: int, align: int = 64) -> Reg:
        return self.temp(PTR, f"alloca [{count} x {type_}], align {align}")

    # ---- control flow ----------------------------------------------------------------------------

    def label(self) -> str:
        self._labels += 1
        return f"b{self._labels}"

    def open_block(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self._block = label

    def branch(self, label: str) -> None:
        self.line(f"br label %{label}")

    def branch_if(self, condition: Reg, then: str, otherwise: str) -> None:
        self.line(f"br i1 {condition}, label %{then}, label %{otherwise}")

    def phi(self, type_: Type, incoming: Sequence[tuple[Reg, str]]) -> Reg:
        arms = ", ".join(f"[ {r.name}, %{label} ]" for r, label in incoming)
        return self.temp(type_, f"phi {type_} {arms}")

    @contextmanager
    def loop(
        self, start: Reg, stop: Reg, step: int = 1, carried: Sequence[Reg] = ()
    ) -> Iterator[Loop]:
        """for index in range(start, stop, step), with loop-carried registers.

        Call `loop.yield_(values)` in the body; after the `with`, `loop.carried` holds the final
        values.
        """
        before, head, body, done = self._block, self.label(), self.label(), self.label()
        self.branch(head)
        self.open_block(head)
        slot = len(self.lines)
        self._temps += 1
        index = Reg(f"%t{self._temps}", start.type)
        names = []
        for register in carried:
            self._temps += 1
            names.append(Reg(f"%t{self._temps}", register.type))
        more = self.cmp("icmp slt", index, stop)
        self.branch_if(more, body, done)
        self.open_block(body)
        state = Loop(index, names)
        yield state
        following = self.op("add nsw", index, self.const(step, index.type))
        latch = self._block
        self.branch(head)
        assert len(state.next) == len(names), "a loop with carried registers must yield_ them"
        phis = [f"  {index} = phi {index.type} [ {start}, %{before} ], [ {following}, %{latch} ]"]
        phis += [
            f"  {n} = phi {n.type} [ {first}, %{before} ], [ {new}, %{latch} ]"
            for n, first, new in zip(names, carried, state.next, strict=True)
        ]
        self.lines[slot:slot] = phis
        self.open_block(done)

    def either(self, condition: Reg, then: Callable[[], Reg], otherwise: Callable[[], Reg]) -> Reg:
        """What one of two pieces of code gives: the other one does not run."""
        labels, done = (self.label(), self.label()), self.label()
        self.branch_if(condition, *labels)
        arms = []
        for label, piece in zip(labels, (then, otherwise), strict=True):
            self.open_block(label)
            value = piece()
            arms.append((value, self._block))
            self.branch(done)
        self.open_block(done)
        return self.phi(arms[0][0].type, arms)

    @contextmanager
    def when(self, condition: Reg) -> Iterator[None]:
        """if condition: the body (side effects only)."""
        then, done = self.label(), self.label()
        self.branch_if(condition, then, done)
        self.open_block(then)
        yield
        self.branch(done)
        self.open_block(done)
