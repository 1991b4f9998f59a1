"""Arithmetic on vector registers, spelled with operators: what the math functions are written in.

A `Lanes` is an emitter and a register; each operator emits one instruction. Nothing here reorders
or contracts float operations, so error-free transformations (two_sum, two_product) mean what they
say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.execute.cpu.emit import Emitter, Reg, Type, has_fused
from flambeau.execute.cpu.target import Target

Number = float | int
Pair = tuple["Lanes", "Lanes"]
"""An unevaluated sum high + low, |low| at most half a unit in the last place of high."""


class Lanes:
    """A register with operators. Comparisons are methods and give i1 lanes for `where`."""

    __slots__ = ("emitter", "reg")

    def __init__(self, emitter: Emitter, reg: Reg) -> None:
        self.emitter = emitter
        self.reg = reg

    # ---- types and constants ---------------------------------------------------------------------

    @property
    def type(self) -> Type:
        return self.reg.type

    @property
    def double(self) -> bool:
        return self.type.element == "double"

    @property
    def fused(self) -> bool:
        """Whether the target has a fused multiply-add instruction."""
        return has_fused(self.emitter.vector_bits)

    @property
    def widest(self) -> bool:
        """Whether this is a whole register of AVX-512, so that its own instructions apply."""
        if self.emitter.vector_bits != 512 or self.type.bits * self.type.lanes != 512:
            return False
        return Target.host().vector_bits == 512

    def like(self, value: Number | bool) -> Lanes:
        """A constant of this register's type."""
        return Lanes(self.emitter, self.emitter.const(value, self.type))

    def _wrap(self, other: Lanes | Number) -> Lanes:
        return other if isinstance(other, Lanes) else self.like(other)

    def _op(self, of_float: str, of_int: str, other: Lanes | Number) -> Lanes:
        opcode = of_float if self.type.is_float else of_int
        return Lanes(self.emitter, self.emitter.op(opcode, self.reg, self._wrap(other).reg))

    # ---- arithmetic ------------------------------------------------------------------------------

    def __add__(self, other: Lanes | Number) -> Lanes:
        return self._op("fadd", "add", other)

    def __radd__(self, other: Number) -> Lanes:
        return self.like(other) + self

    def __sub__(self, other: Lanes | Number) -> Lanes:
        return self._op("fsub", "sub", other)

    def __rsub__(self, other: Number) -> Lanes:
        return self.like(other) - self

    def __mul__(self, other: Lanes | Number) -> Lanes:
        return self._op("fmul", "mul", other)

    def __rmul__(self, other: Number) -> Lanes:
        return self.like(other) * self

    def __truediv__(self, other: Lanes | Number) -> Lanes:
        return self._op("fdiv", "udiv", other)

    def __rtruediv__(self, other: Number) -> Lanes:
        return self.like(other) / self

    def __neg__(self) -> Lanes:
        if self.type.is_float:
            return Lanes(self.emitter, self.emitter.fneg(self.reg))
        return self.like(0) - self

    # ---- integers and masks ----------------------------------------------------------------------

    def __and__(self, other: Lanes | Number) -> Lanes:
        return self._op("", "and", other)

    def __or__(self, other: Lanes | Number) -> Lanes:
        return self._op("", "or", other)

    def __xor__(self, other: Lanes | Number) -> Lanes:
        return self._op("", "xor", other)

    def __invert__(self) -> Lanes:
        return self ^ (True if self.type.element == "i1" else -1)

    def __lshift__(self, other: Lanes | Number) -> Lanes:
        return self._op("", "shl", other)

    def __rshift__(self, other: Lanes | Number) -> Lanes:
        """Logical shift right."""
        return self._op("", "lshr", other)

    def arithmetic_shift(self, count: int) -> Lanes:
        """Integers: shift right, keeping the sign."""
        return self._op("", "ashr", count)

    # ---- comparisons (floats: false for NaN, except `ne`; integers: signed) ----------------------

    def _compare(self, of_float: str, of_int: str, other: Lanes | Number) -> Lanes:
        predicate = f"fcmp {of_float}" if self.type.is_float else f"icmp {of_int}"
        return Lanes(self.emitter, self.emitter.cmp(predicate, self.reg, self._wrap(other).reg))

    def lt(self, other: Lanes | Number) -> Lanes:
        return self._compare("olt", "slt", other)

    def le(self, other: Lanes | Number) -> Lanes:
        return self._compare("ole", "sle", other)

    def gt(self, other: Lanes | Number) -> Lanes:
        return self._compare("ogt", "sgt", other)

    def ge(self, other: Lanes | Number) -> Lanes:
        return self._compare("oge", "sge", other)

    def eq(self, other: Lanes | Number) -> Lanes:
        return self._compare("oeq", "eq", other)

    def ne(self, other: Lanes | Number) -> Lanes:
        return self._compare("une", "ne", other)

    def isnan(self) -> Lanes:
        return self.ne(self)

    # ---- conversions -----------------------------------------------------------------------------

    def to(self, element: str) -> Lanes:
        """Converted by value: float widths, signed integer to float, wider or narrower integers."""
        source = self.type
        if source.element == element:
            return self
        wider = source.with_element(element).bits > source.bits
        if source.is_float:
            opcode = "fpext" if wider else "fptrunc"
        elif element in ("float", "double"):
            opcode = "sitofp"
        else:
            opcode = ("zext" if source.element == "i1" else "sext") if wider else "trunc"
        return Lanes(self.emitter, self.emitter.cast(opcode, self.reg, element))

    def bits(self) -> Lanes:
        """The float's bits as an integer of its width."""
        to = self.type.with_element(f"i{self.type.bits}")
        return Lanes(self.emitter, self.emitter.bitcast(self.reg, to))

    def from_bits(self) -> Lanes:
        """The float with these integer bits."""
        to = self.type.with_element("float" if self.type.bits == 32 else "double")
        return Lanes(self.emitter, self.emitter.bitcast(self.reg, to))

    def call(self, intrinsic: str, *others: Lanes) -> Lanes:
        registers = [o.reg for o in others]
        return Lanes(self.emitter, self.emitter.intrinsic(intrinsic, self.reg, *registers))


def where(condition: Lanes, a: Lanes | Number, b: Lanes | Number) -> Lanes:
    """a where the i1 lanes are true, else b (one of them must be lanes)."""
    if not isinstance(a, Lanes):
        assert isinstance(b, Lanes)
        a = b.like(a)
    elif not isinstance(b, Lanes):
        b = a.like(b)
    return Lanes(a.emitter, a.emitter.select(condition.reg, a.reg, b.reg))


def mad(a: Lanes, b: Lanes | Number, c: Lanes | Number) -> Lanes:
    """a * b + c: rounded once where the target fuses, twice elsewhere."""
    if a.fused:
        return a.call("llvm.fma", a._wrap(b), a._wrap(c))
    return a * b + c


def horner(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """The polynomial with these coefficients, lowest power first."""
    total = x.like(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = mad(total, x, c)
    return total


def absolute(x: Lanes) -> Lanes:
    return x.call("llvm.fabs")


def with_sign(magnitude: Lanes, sign: Lanes) -> Lanes:
    """|magnitude| with the sign bit of `sign`."""
    return magnitude.call("llvm.copysign", sign)


def square_root(x: Lanes) -> Lanes:
    return x.call("llvm.sqrt")


def sign_bit(x: Lanes) -> Lanes:
    """True where the sign bit is set (negative zero and negative NaN included)."""
    return x.bits().lt(0)


# ---- error-free transformations ------------------------------------------------------------------


def two_sum(a: Lanes, b: Lanes) -> Pair:
    """a + b exactly (Knuth): no condition on the magnitudes."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def fast_two_sum(a: Lanes, b: Lanes) -> Pair:
    """a + b exactly (Dekker), where |a| >= |b| or a is zero."""
    s = a + b
    return s, b - (s - a)


def _split(a: Lanes) -> Pair:
    """a as two halves whose products are exact (Veltkamp); |a| below 2^995, or 2^115 for float."""
    t = a * (134217729.0 if a.double else 4097.0)
    high = t - (t - a)
    return high, a - high


def two_product(a: Lanes, b: Lanes) -> Pair:
    """a * b exactly, unless the low part underflows (or, unfused, a factor is huge)."""
    p = a * b
    if a.fused:
        return p, a.call("llvm.fma", b, -p)
    a1, a0 = _split(a)
    b1, b0 = _split(b)
    return p, ((a1 * b1 - p) + a1 * b0 + a0 * b1) + a0 * b0


def quotient(num: Pair, den: Pair) -> Pair:
    """num / den to about twice the working precision."""
    q = num[0] / den[0]
    p, p_low = two_product(q, den[0])
    rest = ((num[0] - p) - p_low) + num[1] - q * den[1]
    return q, rest / den[0]


# ---- powers of two and rounding to integers ------------------------------------------------------


def nearest(x: Lanes) -> tuple[Lanes, Lanes]:
    """The nearest integer (ties to even) as float and as integer; |x| below 2^22 (float), 2^51.

    Adding 3 * 2^(p-2) leaves the integer in the low bits of the sum: no rounding instruction (which
    SSE2 lacks) and, unlike a conversion, no undefined result for NaN.
    """
    magic = x.like(1.5 * 2.0**52 if x.double else 1.5 * 2.0**23)
    t = x + magic
    return t - magic, t.bits() - magic.bits()


def power_of_two(k: Lanes) -> Lanes:
    """2^k as a float of k's width, k within the normal exponents."""
    mantissa, bias = (52, 1023) if k.type.bits == 64 else (23, 127)
    return ((k + bias) << mantissa).from_bits()


def scale(x: Lanes, k: Lanes) -> Lanes:
    """x * 2^k, right for overflows and subnormals, |k| up to twice the exponents: in two steps
    where there is no instruction for it.
    """
    if x.widest:
        e, kind = x.emitter, "pd" if x.double else "ps"
        name, mask = f"llvm.x86.avx512.mask.scalef.{kind}.512", f"i{x.type.lanes}"
        e.declarations.setdefault(
            name, f"declare {x.type} @{name}({x.type}, {x.type}, {x.type}, {mask}, i32)"
        )
        power = k.to(x.type.element).reg.typed
        call = f"call {x.type} @{name}({x.reg.typed}, {power}, {x.reg.typed}, {mask} -1, i32 4)"
        return Lanes(e, e.temp(x.type, call))
    half = k.arithmetic_shift(1)
    return x * power_of_two(half) * power_of_two(k - half)


def round_half_even(x: Lanes) -> Lanes:
    if x.fused:
        return x.call("llvm.roundeven")
    magic = 2.0**52 if x.double else 2.0**23
    size = absolute(x)
    return with_sign(where(size.lt(magic), (size + magic) - magic, size), x)


def floor(x: Lanes) -> Lanes:
    if x.fused:
        return x.call("llvm.floor")
    n = round_half_even(x)
    return with_sign(where(n.gt(x), n - 1.0, n), x)


def ceil(x: Lanes) -> Lanes:
    if x.fused:
        return x.call("llvm.ceil")
    n = round_half_even(x)
    return with_sign(where(n.lt(x), n + 1.0, n), x)


def trunc(x: Lanes) -> Lanes:
    if x.fused:
        return x.call("llvm.trunc")
    return with_sign(floor(absolute(x)), x)


# ---- shapes of functions -------------------------------------------------------------------------


def widened(function: Callable[..., Lanes]) -> Callable[..., Lanes]:
    """`function` for double, also for float: computed in double and rounded once at the end."""

    def compute(*arguments: Lanes) -> Lanes:
        result = function(*(a.to("double") for a in arguments))
        return result.to(arguments[0].type.element)

    return compute


def branch_if_any(
    condition: Lanes, slow: Callable[[], Sequence[Lanes]], values: Sequence[Lanes]
) -> list[Lanes]:
    """`slow()` if any lane of the condition is true, else `values`: a branch, with its blocks."""
    e = condition.emitter
    any_lane = e.any_lane(condition.reg)
    before, rare, tail, done = e.label(), e.label(), e.label(), e.label()
    e.branch(before)
    e.open_block(before)
    e.branch_if(any_lane, rare, done)
    e.open_block(rare)
    slowly = slow()
    e.branch(tail)
    e.open_block(tail)
    e.branch(done)
    e.open_block(done)
    return [
        Lanes(e, e.phi(v.type, [(v.reg, before), (s.reg, tail)]))
        for v, s in zip(values, slowly, strict=True)
    ]
