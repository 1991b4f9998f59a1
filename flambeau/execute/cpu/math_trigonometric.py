"""sin, cos, tan and their inverses.

sin and cos reduce x = n pi/2 + r, |r| <= pi/4, with r as high + low. Up to a bound this is Cody and
Waite's subtraction of n pi/2 in parts; lanes beyond it take a branch to a function of its own that
multiplies the mantissa by the bits of 2/pi that matter (Payne and Hanek), in integers.
"""

from __future__ import annotations

from flambeau.execute.cpu.emit import Emitter, Reg, Type
from flambeau.execute.cpu.math_coefficients import ASIN64, ATAN64, COS32, COS64, SIN32, SIN64
from flambeau.execute.cpu.math_lanes import (
    Lanes,
    Pair,
    absolute,
    branch_if_any,
    fast_two_sum,
    horner,
    mad,
    nearest,
    sign_bit,
    square_root,
    two_product,
    two_sum,
    where,
    widened,
    with_sign,
)

INFINITY = float("inf")
NAN = float("nan")
TWO_OVER_PI = 0.6366197723675814
# pi/2 in parts of 33, 33 and 53 bits: n times a part of 33 bits is exact for n below 2^20.
PI_2_33 = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
# pi/2 in parts of 24 bits, for a fused multiply-add in float32.
PI_2_24 = (1.570796251296997, 7.549789415861596e-08, 5.390302529957765e-15)
PI_2_PAIR = (1.5707963267948966, 6.123233995736766e-17)
PI_4_PAIR = (0.7853981633974483, 3.061616997868383e-17)
PI_3_4_PAIR = (2.356194490192345, 9.184850993605148e-17)
PI_PAIR = (3.141592653589793, 1.2246467991473532e-16)
TAN_3_PI_8 = 2.414213562373095
TAN_PI_8 = 0.41421356237309503

MODERATE_32 = 65536.0
MODERATE_64 = 1048576.0

# ---- huge arguments ------------------------------------------------------------------------------

LIMB = (1 << 32) - 1
TWO_OVER_PI_LIMBS = 40  # 1280 bits: the exponent goes to 971, and 192 bits are read from there
TWO_OVER_PI_BITS = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561"
    "b7246e3a424dd2e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484"
    "e99c7026b45f7e413991d639835339f49c845f8bbdf9283b1ff897ffde05980f"
    "ef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d7527bac7ebe5f17b"
    "3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6babf0cfbc209af4361d",
    16,
)  # floor(2^1280 * 2 / pi)


def _two_over_pi_table(e: Emitter) -> Reg:
    """A module constant with the 32-bit limbs of 2/pi, most significant first, after two zeros."""
    name = "two_over_pi"
    shifts = range(32 * (TWO_OVER_PI_LIMBS - 1), -1, -32)
    limbs = [0, 0] + [(TWO_OVER_PI_BITS >> s) & LIMB for s in shifts]
    spelled = ", ".join(f"i32 {limb}" for limb in limbs)
    e.declarations[name] = f"@{name} = private constant [{len(limbs)} x i32] [{spelled}], align 4"
    return Reg(f"@{name}", Type("ptr"))


def _table_limbs(table: Reg, first: Lanes, count: int) -> list[Lanes]:
    """`count` consecutive limbs from index `first` (one index per lane), as 64-bit integers."""
    e, lanes = first.emitter, first.type.lanes
    result = []
    for i in range(count):
        index = first + i
        if lanes == 1:
            limb = e.load(e.gep(table, "i32", index.reg), Type("i32"), 4)
            result.append(Lanes(e, e.cast("zext", limb, "i64")))
            continue
        gathered = Reg("poison", Type("i32", lanes))
        for lane in range(lanes):
            pointer = e.gep(table, "i32", e.extract(index.reg, lane))
            gathered = e.insert(gathered, e.load(pointer, Type("i32"), 4), lane)
        result.append(Lanes(e, e.cast("zext", gathered, "i64")))
    return result


def _payne_hanek(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """(n mod 4, r high, r low) for |x| >= 1, double, finite (others: any value).

    x = M 2^E with a 53-bit integer M. Bits of 2/pi worth 2^(2 - E) and more add multiples of 4 to
    x 2/pi and are left out; of the rest, six 32-bit limbs are taken, so the product M * limbs
    modulo 2^192 is x 2/pi modulo 4, with an error below 2^-137.
    """
    bits = absolute(x).bits()
    mantissa = (bits & ((1 << 52) - 1)) | (1 << 52)
    exponent = (bits >> 52) - 1075
    # 2/pi's bit i (0 the first of the limbs proper) is worth 2^(-1 - i): start at i = E - 2.
    start = exponent + (64 - 2)
    start = where(start.lt(0), 0, start)
    start = where(start.gt(32 * (TWO_OVER_PI_LIMBS - 5)), 0, start)
    shift = start & 31
    raw = _table_limbs(_two_over_pi_table(x.emitter), start >> 5, 7)
    window = [(((raw[i] << 32) | raw[i + 1]) << shift) >> 32 & LIMB for i in range(6)]
    m0, m1 = mantissa & LIMB, mantissa >> 32
    carry = x.bits().like(0)
    limbs: list[Lanes] = []
    for j in range(6):  # limb j of the product, least significant first; carries stay below 2^34
        low = window[5 - j] * m0
        total = (low & LIMB) + carry
        upper = low >> 32
        if j:
            cross = window[6 - j] * m1
            total = total + (cross & LIMB)
            upper = upper + (cross >> 32)
        limbs.append(total & LIMB)
        carry = upper + (total >> 32)
    return _fraction(x, limbs)


def _fraction(x: Lanes, limbs: list[Lanes]) -> tuple[Lanes, Lanes, Lanes]:
    """(n mod 4, r high, r low) from |x| 2/pi mod 4 as six limbs, binary point after 2 bits."""
    top = limbs[5] << 32 | limbs[4]
    middle = limbs[3] << 32 | limbs[2]
    last = limbs[1] << 32 | limbs[0]
    n = (top + (1 << 61)) >> 62
    # The fraction in [-1/2, 1/2) of a quarter turn: top as a signed number, in units of 2^-62.
    top = (top << 2) | (middle >> 62)
    middle = (middle << 2) | (last >> 62)
    high, low = _signed_to_pair(top, middle, last << 2)
    high_pi, low_pi = two_product(high, high.like(PI_2_PAIR[0]))
    r, rest = fast_two_sum(high_pi, low_pi + (high * PI_2_PAIR[1] + low * PI_2_PAIR[0]))
    negative = sign_bit(x)
    n = where(negative, -n, n) & 3
    return n, where(negative, -r, r), where(negative, -rest, rest)


def _signed_to_pair(top: Lanes, middle: Lanes, last: Lanes) -> Pair:
    """The signed 192-bit number top:middle:last times 2^-192, as a pair of doubles.

    The number may start with many equal bits (x close to a multiple of pi/2, at most about 62 of
    them), so its magnitude is cut into parts of 32 bits that convert exactly and are added up.
    """
    negative = top.lt(0)
    flip = where(negative, -1, top.like(0))
    # One's complement: off by 2^-192, far below the error of the product.
    words = [word ^ flip for word in (top, middle, last)]
    parts = []
    for i, word in enumerate(words):
        for j, half in enumerate((word >> 32, word & LIMB)):
            parts.append(half.to("double") * 2.0 ** (-32 * (2 * i + j + 1)))
    high, low = fast_two_sum(parts[0], parts[1])
    for part in parts[2:]:
        head, rest = fast_two_sum(low, part)
        high, middle_part = fast_two_sum(high, head)
        low = middle_part + rest
    return where(negative, -high, high), where(negative, -low, low)


def _huge_function(e: Emitter, lanes: int) -> tuple[str, Type]:
    """Adds `reduce_huge_<lanes>` to the module once; returns its name and result type."""
    double, integer = Type("double", lanes), Type("i64", lanes)
    name, result = f"reduce_huge_{lanes}", Type(f"{{ {integer}, {double}, {double} }}")
    if name not in e.declarations:
        inner = Emitter(e.vector_bits)
        parameters = [("x", double)]
        with inner.function(name, f"internal {result}", parameters, "noinline cold") as (x,):
            total = Reg("poison", result)
            for i, part in enumerate(_payne_hanek(Lanes(inner, x))):
                text = f"insertvalue {total.typed}, {part.reg.typed}, {i}"
                total = inner.temp(result, text)
            inner.line(f"ret {total.typed}")
        e.declarations.update(inner.declarations)
        e.declarations[name] = f"; @{name} is defined below"
        e.functions.extend(inner.functions)
    return name, result


def _reduce_huge(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    e = x.emitter
    name, kind = _huge_function(e, x.type.lanes)
    all_three = e.call(name, kind, [x.to("double").reg], declared=True)
    types = (Type("i64", x.type.lanes), Type("double", x.type.lanes), Type("double", x.type.lanes))
    n, high, low = (
        Lanes(e, e.temp(t, f"extractvalue {all_three.typed}, {i}")) for i, t in enumerate(types)
    )
    if x.double:
        return n, high, low
    single = high.to("float")
    return n.to("i32"), single, (high - single.to("double") + low).to("float")


# ---- reduction -----------------------------------------------------------------------------------


def _reduce_double(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """(n, r high, r low), double, |x| up to 2^20; x - n part 1 is exact."""
    n, integer = nearest(x * TWO_OVER_PI)
    exact = x - n * PI_2_33[0]
    high, low = two_sum(exact, -(n * PI_2_33[1]))
    return integer, *fast_two_sum(high, low - n * PI_2_33[2])


def _reduce_single(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """(n, r high, r low), float32, |x| up to 2^16."""
    if not x.fused:
        n, wide, _ = _reduce_double(x.to("double"))
        high = wide.to("float")
        return n.to("i32"), high, (wide - high.to("double")).to("float")
    n, integer = nearest(x * TWO_OVER_PI)
    exact = mad(n, -PI_2_24[0], x)
    p, p_low = two_product(n, n.like(PI_2_24[1]))
    high, low = two_sum(exact, -p)
    return integer, *fast_two_sum(high, mad(n, -PI_2_24[2], low - p_low))


def reduce_angle(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """(n, high, low): x = n pi/2 + high + low, n modulo 4 at least; infinities give NaN."""
    bound = MODERATE_64 if x.double else MODERATE_32
    huge = absolute(x).gt(bound)
    near = where(huge, 0.0, x)
    moderate = _reduce_double(near) if x.double else _reduce_single(near)

    def beyond() -> list[Lanes]:
        parts = _reduce_huge(where(huge, x, bound))
        return [where(huge, b, m) for b, m in zip(parts, moderate, strict=True)]

    n, high, low = branch_if_any(huge, beyond, moderate)
    return n, where(absolute(x).eq(INFINITY), NAN, high), low


def sine_core(r: Lanes, low: Lanes) -> Lanes:
    """sin(r + low), |r| <= pi/4: the derivative 1 - z/2 carries low."""
    z = r * r
    tail = mad(r * z, horner(z, SIN64 if r.double else SIN32), low)
    return r + (tail - z * 0.5 * low if r.double else tail)


def cosine_core(r: Lanes, low: Lanes) -> Lanes:
    """cos(r + low), |r| <= pi/4: 1 - z/2 rounded, then what the rounding lost."""
    z = r * r
    half = z * 0.5
    head = 1.0 - half
    lost = (1.0 - head) - half
    tail = z * z * horner(z, COS64 if r.double else COS32)
    return head + (lost + (tail - r * low))


def _negate_where(condition: Lanes, x: Lanes) -> Lanes:
    return where(condition, -x, x)


def sin(x: Lanes) -> Lanes:
    n, r, low = reduce_angle(x)
    value = where((n & 1).eq(0), sine_core(r, low), cosine_core(r, low))
    value = _negate_where((n & 2).ne(0), value)
    return where(x.eq(0.0), x, value)


def cos(x: Lanes) -> Lanes:
    n, r, low = reduce_angle(x)
    value = where((n & 1).eq(0), cosine_core(r, low), sine_core(r, low))
    return _negate_where(((n + 1) & 2).ne(0), value)


@widened
def tan(x: Lanes) -> Lanes:
    n, r, low = reduce_angle(x)
    sine, cosine = sine_core(r, low), cosine_core(r, low)
    even = (n & 1).eq(0)
    value = where(even, sine, -cosine) / where(even, cosine, sine)
    return where(x.eq(0.0), x, value)


# ---- inverses ------------------------------------------------------------------------------------


def _atan_core(num: Lanes, den: Lanes, reverse: Lanes) -> Lanes:
    """atan(num / den), or pi minus that where `reverse`; both >= 0, not both zero or infinite.

    The quotient t is taken of (num, den), (num - den, num + den) or (-den, num), turned by 0, pi/4
    or pi/2, so that |t| <= tan(pi/8); its rounding error is computed and enters the last sum.
    """
    far = num.gt(den * TAN_3_PI_8)
    middle = num.gt(den * TAN_PI_8) & ~far
    difference, d_low = two_sum(num, -den)
    total, t_low = two_sum(num, den)
    top = where(far, -den, where(middle, difference, num))
    top_low = where(middle, d_low, 0.0)
    bottom = where(far, num, where(middle, total, den))
    bottom_low = where(middle, t_low, 0.0)
    t = top / bottom
    p, p_low = two_product(t, bottom)
    lost = (((top - p) - p_low) + (top_low - t * bottom_low)) / bottom
    # Left out where products may underflow (t is then the result) or an argument is infinite.
    lost = where(num.gt(2.0**-900) & absolute(lost).lt(1.0), lost, 0.0)
    z = t * t
    tail = mad(t * z, horner(z, ATAN64), lost - z * lost)
    t = _negate_where(reverse, t)
    tail = _negate_where(reverse, tail)
    straight = where(far, PI_2_PAIR[0], where(middle, PI_4_PAIR[0], t.like(0.0)))
    turned = where(far, PI_2_PAIR[0], where(middle, PI_3_4_PAIR[0], t.like(PI_PAIR[0])))
    straight_low = where(far, PI_2_PAIR[1], where(middle, PI_4_PAIR[1], t.like(0.0)))
    turned_low = where(far, PI_2_PAIR[1], where(middle, PI_3_4_PAIR[1], t.like(PI_PAIR[1])))
    head, rest = fast_two_sum(where(reverse, turned, straight), t)
    return head + (rest + (tail + where(reverse, turned_low, straight_low)))


@widened
def atan(x: Lanes) -> Lanes:
    size = absolute(x)
    return with_sign(_atan_core(size, size.like(1.0), size.lt(0.0)), x)


@widened
def atan2(y: Lanes, x: Lanes) -> Lanes:
    num, den = absolute(y), absolute(x)
    both = num.eq(INFINITY) & den.eq(INFINITY)
    num, den = where(both, 1.0, num), where(both, 1.0, den)
    # Kept away from overflow of the sum and underflow of the products.
    large = num.gt(2.0**900) | den.gt(2.0**900)
    small = num.lt(2.0**-500) & den.lt(2.0**-500)
    factor = where(large, 2.0**-120, where(small, 2.0**500, num.like(1.0)))
    num, den = num * factor, den * factor
    den = where(num.eq(0.0) & den.eq(0.0), 1.0, den)
    result = _atan_core(num, den, sign_bit(x))
    result = where(x.isnan() | y.isnan(), NAN, result)
    return with_sign(result, y)


def _asin_parts(x: Lanes) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """(|x| <= 1/2, s, s's rounding error, s z P(z)): s = |x|, or sqrt((1 - |x|) / 2) beyond 1/2."""
    size = absolute(x)
    near = size.le(0.5)
    z = where(near, size * size, (1.0 - size) * 0.5)
    root = square_root(z)
    p, p_low = two_product(root, root)
    lost = ((z - p) - p_low) / (root * 2.0)
    lost = where(near | root.eq(0.0), 0.0, lost)
    s = where(near, size, root)
    return near, s, lost, s * z * horner(z, ASIN64)


@widened
def asin(x: Lanes) -> Lanes:
    """asin(x) up to 1/2; pi/2 - 2 asin(sqrt((1 - x) / 2)) beyond."""
    near, s, lost, tail = _asin_parts(x)
    far, rest = fast_two_sum(s.like(PI_2_PAIR[0]), s * -2.0)
    far = far + (rest + (PI_2_PAIR[1] - (lost + tail) * 2.0))
    return with_sign(where(near, s + tail, far), x)


@widened
def acos(x: Lanes) -> Lanes:
    """pi/2 - asin(x) up to 1/2; 2 asin(sqrt((1 - |x|) / 2)), or pi minus that, beyond."""
    near, s, lost, tail = _asin_parts(x)
    negative = sign_bit(x)
    turn = where(negative, s, -s)
    head, rest = fast_two_sum(s.like(PI_2_PAIR[0]), turn)
    middle = head + (rest + (where(negative, tail, -tail) + PI_2_PAIR[1]))
    head, rest = fast_two_sum(s.like(PI_PAIR[0]), s * -2.0)
    back = head + (rest + (PI_PAIR[1] - (lost + tail) * 2.0))
    return where(near, middle, where(negative, back, (s + (lost + tail)) * 2.0))
