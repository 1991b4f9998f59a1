"""Elementwise primitives as LLVM IR, per dtype, on registers of any lane count.

Registers hold bool as i1, integers at their width, float16 and bfloat16 widened to float (each
arithmetic result is rounded to the type at once, as PyTorch's CPU kernels and the reference
executor do).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu.emit import F32, I32, I64, Emitter, Reg, Type

# Roughly how many simple vector instructions an operation takes.
COSTS = {
    "exp": 12,
    "log": 14,
    "tanh": 16,
    "sigmoid": 16,
    "sin": 20,
    "cos": 20,
    "pow": 45,
    "erf": 20,
    "sqrt": 5,
    "rsqrt": 10,
    "div": 5,
    "reciprocal": 5,
    "floor_divide": 30,
    "remainder": 30,
    "fmod": 25,
    "trunc_divide": 10,
    "cast": 1,
    "neg": 1,
}
CHEAP = {
    "add",
    "sub",
    "mul",
    "neg",
    "maximum",
    "minimum",
    "where",
    "later",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "cast",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "bitwise_not",
    "abs",
    "fma",
    "beats",
    "sign",
    "check",
    "checked",
}


def cost_of(name: str) -> int:
    return 1 if name in CHEAP else COSTS.get(name, 20)


def register_type(dtype: DType, lanes: int = 1) -> Type:
    """The type of a register that holds elements of `dtype`."""
    if dtype.kind == "b":
        return Type("i1", lanes)
    if dtype.kind == "f":
        return Type("double" if dtype.itemsize == 8 else "float", lanes)
    return Type(f"i{8 * dtype.itemsize}", lanes)


def memory_type(dtype: DType, lanes: int = 1) -> Type:
    """The type as which elements of `dtype` are loaded and stored (bfloat16 as its bits)."""
    if dtype.name == "bfloat16":
        return Type("i16", lanes)
    if dtype.is_complex:
        # Native code only copies complex numbers: both halves as one integer.
        return register_type(dtype, lanes)
    return Type(dtype.llvm, lanes)


def memory_element(dtype: DType) -> str:
    """LLVM's name of what an element of `dtype` takes in memory."""
    return memory_type(dtype).element


def from_memory(e: Emitter, value: Reg, dtype: DType) -> Reg:
    """A loaded element as a register value."""
    if dtype.kind == "b":
        return e.cmp("icmp ne", value, e.const(0, value.type))
    if dtype.name == "float16":
        return e.cast("fpext", value, "float")
    if dtype.name == "bfloat16":
        wide = e.cast("zext", value, "i32")
        return e.bitcast(
            e.op("shl", wide, e.const(16, wide.type)), F32.with_lanes(value.type.lanes)
        )
    return value


def to_memory(e: Emitter, value: Reg, dtype: DType) -> Reg:
    """A register value in the form it is stored (float16 and bfloat16 values are rounded
    already).
    """
    if dtype.kind == "b":
        return e.cast("zext", value, "i8")
    if dtype.name == "float16":
        return e.cast("fptrunc", value, "half")
    if dtype.name == "bfloat16":
        bits = e.bitcast(value, I32.with_lanes(value.type.lanes))
        return e.cast("trunc", e.op("lshr", bits, e.const(16, bits.type)), "i16")
    return value


def rounded(e: Emitter, value: Reg, dtype: DType) -> Reg:
    """A float register rounded to `dtype` (nothing to do for float32 and float64)."""
    if dtype.name == "float16":
        return e.cast("fpext", e.cast("fptrunc", value, "half"), "float")
    if dtype.name == "bfloat16":
        bits = e.bitcast(value, I32.with_lanes(value.type.lanes))
        lowest = e.op("and", e.op("lshr", bits, e.const(16, bits.type)), e.const(1, bits.type))
        up = e.op("add", e.op("add", bits, lowest), e.const(0x7FFF, bits.type))
        nan = e.cmp("fcmp uno", value, value)
        kept = e.select(nan, e.const(0x7FC00000, bits.type), up)
        return e.bitcast(e.op("and", kept, e.const(-65536, bits.type)), value.type)
    return value


def literal(e: Emitter, value: Any, dtype: DType, lanes: int = 1) -> Reg:
    """A constant of `dtype` as a register."""
    type_ = register_type(dtype, lanes)
    if dtype.kind == "b":
        return e.const(bool(value), type_)
    if dtype.kind == "i":
        bits = 8 * dtype.itemsize
        wrapped = int(value) & ((1 << bits) - 1)
        return e.const(wrapped - (1 << bits) if wrapped >> (bits - 1) else wrapped, type_)
    number = float(value)
    if dtype.itemsize == 2:
        number = _round_half_constant(number, dtype)
    return e.const(number, type_)


def _round_half_constant(number: float, dtype: DType) -> float:
    import numpy as np

    with np.errstate(all="ignore"):
        if dtype.name == "float16":
            return float(np.float16(number))
        bits = dtypes.bfloat16_from_float32(np.asarray(number, np.float32))
        return float(dtypes.float32_from_bfloat16(bits))


# Spellings of NaN (see `emit.float_literal`): of either sign, with any payload.
_NAN = re.compile(
    r"0x(?:[7F]FF(?!0{13})[0-9A-F]{13}|H[7F][C-F](?!00)|H[7F][D-F]|R[7F]F(?!80)[89A-F])"
)


def is_literal(register: Reg) -> bool:
    """Whether a register is a constant (and not a NaN)."""
    return not register.name.startswith("%") and _NAN.search(register.name) is None


def lowest(dtype: DType) -> float | int | bool:
    """What no element is below."""
    if dtype.kind == "f":
        return float("-inf")
    if dtype.kind == "b":
        return False
    return -(1 << (8 * dtype.itemsize - 1)) if dtype.is_signed else 0


def highest(dtype: DType) -> float | int | bool:
    """What no element is above (as a constant's bits: -1 for unsigned integers)."""
    if dtype.kind == "f":
        return float("inf")
    if dtype.kind == "b":
        return True
    return (1 << (8 * dtype.itemsize - 1)) - 1 if dtype.is_signed else -1


# ---- operations ---------------------------------------------------------------------------------


def apply(e: Emitter, name: str, dtype: DType, operands: tuple[DType, ...], args: list[Reg]) -> Reg:
    """The primitive `name` with result `dtype` on registers of the operands' dtypes."""
    if name == "cast":
        return cast(e, args[0], operands[0], dtype)
    if name == "where":
        return e.select(*args)
    if name == "later":
        return args[0]
    if name == "beats":
        return _beats(e, operands[0], *args)
    if name in COMPARISONS:
        return compare(e, name, operands[0], *args)
    if dtype.kind == "f":
        return rounded(e, _float_op(e, name, args), dtype)
    if dtype.kind == "b":
        return _bool_op(e, name, args)
    return _integer_op(e, name, dtype, args)


COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def compare(e: Emitter, name: str, dtype: DType, a: Reg, b: Reg) -> Reg:
    if dtype.kind == "f":
        return e.cmp(f"fcmp {'une' if name == 'ne' else 'o' + name}", a, b)
    sign = "" if name in ("eq", "ne") else ("s" if dtype.is_signed else "u")
    return e.cmp(f"icmp {sign}{name}", a, b)


def _beats(e: Emitter, dtype: DType, new: Reg, best: Reg) -> Reg:
    """Whether `new` is a larger element than `best`, NaN being largest and the first of equals
    staying.
    """
    larger = compare(e, "gt", dtype, new, best)
    if dtype.kind != "f":
        return larger
    larger = e.cmp("fcmp ugt", new, best)
    return e.op("and", larger, e.cmp("fcmp ord", best, best))


def _bool_op(e: Emitter, name: str, args: list[Reg]) -> Reg:
    if name in ("add", "bitwise_or", "maximum"):
        return e.op("or", *args)
    if name in ("mul", "bitwise_and", "minimum"):
        return e.op("and", *args)
    if name in ("bitwise_xor", "sub"):
        return e.op("xor", *args)
    if name == "bitwise_not":
        return e.op("xor", args[0], e.const(True, args[0].type))
    if name in ("abs", "sign", "floor", "ceil", "trunc", "round"):
        return args[0]
    raise NotImplementedError(f"{name} of bool")


INTEGER_INSTRUCTIONS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
}


def _integer_op(e: Emitter, name: str, dtype: DType, args: list[Reg]) -> Reg:
    a, type_ = args[0], args[0].type
    if name in INTEGER_INSTRUCTIONS:
        return e.op(INTEGER_INSTRUCTIONS[name], *args)
    if name == "neg":
        return e.op("sub", e.const(0, type_), a)
    if name == "bitwise_not":
        return e.op("xor", a, e.const(-1, type_))
    if name in ("floor", "ceil", "trunc", "round"):
        return a
    if name in ("maximum", "minimum"):
        return e.select(compare(e, "ge" if name == "maximum" else "le", dtype, *args), *args)
    if name in ("abs", "sign"):
        return _integer_sign(e, name, dtype, a)
    if name in ("floor_divide", "trunc_divide", "remainder", "fmod"):
        return _integer_division(e, name, dtype, *args)
    if name in ("shift_left", "shift_right"):
        return _shift(e, name, dtype, *args)
    if name == "pow":
        return _integer_power(e, dtype, *args)
    raise NotImplementedError(f"{name} of {dtype.name}")


def _integer_sign(e: Emitter, name: str, dtype: DType, a: Reg) -> Reg:
    zero = e.const(0, a.type)
    if name == "abs":
        if not dtype.is_signed:
            return a
        return e.select(e.cmp("icmp slt", a, zero), e.op("sub", zero, a), a)
    positive = e.cast("zext", compare(e, "gt", dtype, a, zero), a.type.element)
    if not dtype.is_signed:
        return positive
    return e.op("sub", positive, e.cast("zext", e.cmp("icmp slt", a, zero), a.type.element))


def _integer_division(e: Emitter, name: str, dtype: DType, a: Reg, b: Reg) -> Reg:
    """The caller has checked for zero divisors; here they divide by one, and -1 avoids the trap of
    MIN / -1.
    """
    one, zero = e.const(1, a.type), e.const(0, a.type)
    rest = name in ("remainder", "fmod")
    if not dtype.is_signed:
        safe = e.select(e.cmp("icmp eq", b, zero), one, b)
        return e.op("urem" if rest else "udiv", a, safe)
    minus = e.cmp("icmp eq", b, e.const(-1, a.type))
    unsafe = e.op("or", e.cmp("icmp eq", b, zero), minus)
    safe = e.select(unsafe, one, b)
    quotient = e.op("sdiv", a, safe)
    remaining = e.op("sub", a, e.op("mul", quotient, safe))
    quotient = e.select(minus, e.op("sub", zero, a), quotient)
    if name == "fmod":
        return remaining
    if name == "trunc_divide":
        return quotient
    differs = e.cmp("icmp slt", e.op("xor", remaining, b), zero)
    adjust = e.op("and", e.cmp("icmp ne", remaining, zero), differs)
    if name == "remainder":
        return e.select(adjust, e.op("add", remaining, b), remaining)
    return e.select(adjust, e.op("sub", quotient, one), quotient)


def _shift(e: Emitter, name: str, dtype: DType, a: Reg, b: Reg) -> Reg:
    bits = 8 * dtype.itemsize
    zero = e.const(0, a.type)
    outside = e.cmp("icmp uge", b, e.const(bits, b.type))
    amount = e.select(outside, zero, b)
    if name == "shift_left":
        return e.select(outside, zero, e.op("shl", a, amount))
    if not dtype.is_signed:
        return e.select(outside, zero, e.op("lshr", a, amount))
    amount = e.select(outside, e.const(bits - 1, a.type), b)
    return e.op("ashr", a, amount)


def _integer_power(e: Emitter, dtype: DType, a: Reg, b: Reg) -> Reg:
    bits = 8 * dtype.itemsize
    one, zero = e.const(1, a.type), e.const(0, a.type)
    result, square = one, a
    last = bits
    if is_literal(b) and b.name.lstrip("splat (i0123456789").rstrip(")") == "":
        value = int(b.name.rstrip(")").split()[-1])
        last = max(value.bit_length(), 1) if value >= 0 else bits
    for bit in range(last):
        taken = e.cmp("icmp ne", e.op("and", b, e.const(_signed(1 << bit, bits), b.type)), zero)
        result = e.select(taken, e.op("mul", result, square), result)
        if bit < last - 1:
            square = e.op("mul", square, square)
    if not dtype.is_signed:
        return result
    odd = e.cmp("icmp ne", e.op("and", b, one), zero)
    sign = e.select(odd, e.const(-1, a.type), one)
    inverse = e.select(e.cmp("icmp eq", a, e.const(-1, a.type)), sign, zero)
    inverse = e.select(e.cmp("icmp eq", a, one), one, inverse)
    return e.select(e.cmp("icmp slt", b, zero), inverse, result)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


FLOAT_INSTRUCTIONS = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
FLOAT_INTRINSICS = {
    "sqrt": "llvm.sqrt",
    "floor": "llvm.floor",
    "ceil": "llvm.ceil",
    "trunc": "llvm.trunc",
    "round": "llvm.roundeven",
    "abs": "llvm.fabs",
    "copysign": "llvm.copysign",
    "fma": "llvm.fma",
}


def _float_op(e: Emitter, name: str, args: list[Reg]) -> Reg:
    a = args[0]
    if name in FLOAT_INSTRUCTIONS:
        return e.op(FLOAT_INSTRUCTIONS[name], *args)
    if name in FLOAT_INTRINSICS:
        return e.intrinsic(FLOAT_INTRINSICS[name], *args)
    special = FLOAT_RULES.get(name)
    if special is not None:
        return special(e, *args)
    if name == "neg":
        return e.fneg(a)
    from flambeau.execute.cpu.math_functions import FUNCTIONS

    function: Callable[..., Reg] | None = FUNCTIONS.get(name)
    if function is None:
        raise NotImplementedError(f"the CPU compiler has no code for {name}")
    return function(e, *args)


def _maximum(e: Emitter, a: Reg, b: Reg) -> Reg:
    larger = e.select(e.cmp("fcmp ogt", b, a), b, a)
    if is_literal(b):
        return larger
    return e.select(e.cmp("fcmp uno", b, b), b, larger)


def _minimum(e: Emitter, a: Reg, b: Reg) -> Reg:
    smaller = e.select(e.cmp("fcmp olt", b, a), b, a)
    if is_literal(b):
        return smaller
    return e.select(e.cmp("fcmp uno", b, b), b, smaller)


def _sign(e: Emitter, a: Reg) -> Reg:
    zero, one = e.const(0.0, a.type), e.const(1.0, a.type)
    positive = e.select(e.cmp("fcmp ogt", a, zero), one, zero)
    return e.select(e.cmp("fcmp olt", a, zero), e.const(-1.0, a.type), positive)


def _fmod(e: Emitter, a: Reg, b: Reg) -> Reg:
    from flambeau.execute.cpu.math_functions import FUNCTIONS

    return FUNCTIONS["fmod"](e, a, b)


def _division_rest(e: Emitter, a: Reg, b: Reg) -> tuple[Reg, Reg]:
    """(fmod(a, b), whether it is non-zero with the other sign than b)."""
    rest = _fmod(e, a, b)
    zero = e.const(0.0, a.type)
    differs = e.op("xor", e.cmp("fcmp olt", rest, zero), e.cmp("fcmp olt", b, zero))
    return rest, e.op("and", e.cmp("fcmp une", rest, zero), differs)


def _remainder(e: Emitter, a: Reg, b: Reg) -> Reg:
    rest, adjust = _division_rest(e, a, b)
    return e.select(adjust, e.op("fadd", rest, b), rest)


def _floor_divide(e: Emitter, a: Reg, b: Reg) -> Reg:
    rest, adjust = _division_rest(e, a, b)
    one, zero = e.const(1.0, a.type), e.const(0.0, a.type)
    quotient = e.op("fdiv", e.op("fsub", a, rest), b)
    quotient = e.select(adjust, e.op("fsub", quotient, one), quotient)
    whole = e.intrinsic("llvm.floor", quotient)
    short = e.cmp("fcmp ogt", e.op("fsub", quotient, whole), e.const(0.5, a.type))
    whole = e.select(short, e.op("fadd", whole, one), whole)
    exact = e.op("fdiv", a, b)
    signed_zero = e.intrinsic("llvm.copysign", zero, exact)
    whole = e.select(e.cmp("fcmp oeq", quotient, zero), signed_zero, whole)
    return e.select(e.cmp("fcmp oeq", b, zero), exact, whole)


def _nextafter(e: Emitter, a: Reg, b: Reg) -> Reg:
    bits_type = (I64 if a.type.element == "double" else I32).with_lanes(a.type.lanes)
    bits, one = e.bitcast(a, bits_type), e.const(1, bits_type)
    zero = e.const(0.0, a.type)
    away = e.op("xor", e.cmp("fcmp ogt", b, a), e.cmp("fcmp olt", a, zero))
    stepped = e.bitcast(e.select(away, e.op("add", bits, one), e.op("sub", bits, one)), a.type)
    smallest = e.intrinsic("llvm.copysign", e.bitcast(_materialised(e, one), a.type), b)
    stepped = e.select(e.cmp("fcmp oeq", a, zero), smallest, stepped)
    stepped = e.select(e.cmp("fcmp oeq", a, b), b, stepped)
    return e.select(e.cmp("fcmp uno", a, b), e.op("fadd", a, b), stepped)


def _materialised(e: Emitter, constant: Reg) -> Reg:
    return e.op("add", constant, e.const(0, constant.type))


FLOAT_RULES: dict[str, Callable[..., Reg]] = {
    "maximum": _maximum,
    "minimum": _minimum,
    "sign": _sign,
    "fmod": _fmod,
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "nextafter": _nextafter,
    "reciprocal": lambda e, a: e.op("fdiv", e.const(1.0, a.type), a),
    "rsqrt": lambda e, a: e.op("fdiv", e.const(1.0, a.type), e.intrinsic("llvm.sqrt", a)),
    "trunc_divide": lambda e, a, b: e.intrinsic("llvm.trunc", e.op("fdiv", a, b)),
}


# ---- casts --------------------------------------------------------------------------------------


def cast(e: Emitter, a: Reg, source: DType, to: DType) -> Reg:
    """Converts a register between dtypes with the reference executor's meaning."""
    element = register_type(to).element
    if to.kind == "b":
        if source.kind == "b":
            return a
        zero = e.const(0, a.type)
        return e.cmp("fcmp une" if source.kind == "f" else "icmp ne", a, zero)
    if source.kind == "f":
        return _cast_float(e, a, source, to)
    if to.kind == "f":
        signed = source.kind == "i" and source.is_signed
        return rounded(e, e.cast("sitofp" if signed else "uitofp", a, element), to)
    if to.itemsize == source.itemsize and source.kind == "i":
        return a
    if source.kind == "i" and to.itemsize < source.itemsize:
        return e.cast("trunc", a, element)
    return e.cast("sext" if source.kind == "i" and source.is_signed else "zext", a, element)


def _cast_float(e: Emitter, a: Reg, source: DType, to: DType) -> Reg:
    if to.kind == "f":
        if a.type.element == "double" and to.itemsize < 8:
            if to.name == "float16":
                a = _float_to_odd(e, a)
            else:
                a = e.cast("fptrunc", a, "float")
        elif a.type.element == "float" and to.itemsize == 8:
            a = e.cast("fpext", a, "double")
        return a if to.itemsize > 2 else rounded(e, a, to)
    wide = I64.with_lanes(a.type.lanes)
    limit = e.const(2.0**63, a.type)
    inside = e.op(
        "and", e.cmp("fcmp olt", a, limit), e.cmp("fcmp oge", a, e.const(-(2.0**63), a.type))
    )
    whole = e.select(inside, e.cast("fptosi", a, "i64"), e.const(-(1 << 63), wide))
    if to.itemsize == 8:
        if to.is_signed:
            return whole
        large = e.op(
            "and", e.cmp("fcmp oge", a, limit), e.cmp("fcmp olt", a, e.const(2.0**64, a.type))
        )
        return e.select(large, e.cast("fptoui", a, "i64"), whole)
    return e.cast("trunc", whole, f"i{8 * to.itemsize}")


def _float_to_odd(e: Emitter, a: Reg) -> Reg:
    """A double as a float rounded to odd: a second rounding to float16 is then right."""
    near = e.cast("fptrunc", a, "float")
    back = e.cast("fpext", near, "double")
    bits = e.bitcast(near, I32.with_lanes(a.type.lanes))
    one = e.const(1, bits.type)
    above = e.cmp("fcmp ogt", e.intrinsic("llvm.fabs", back), e.intrinsic("llvm.fabs", a))
    odd = e.op("or", e.select(above, e.op("sub", bits, one), bits), one)
    return e.bitcast(e.select(e.cmp("fcmp one", back, a), odd, bits), near.type)
