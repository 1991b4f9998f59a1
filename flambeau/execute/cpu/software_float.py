"""Conversions to and from float16 and bfloat16 for machines without the instructions, as LLVM text.

LLVM calls these functions by the names of the C compiler's run-time library, which a Python process
need not contain. All round to nearest, ties to even; a NaN stays a NaN with its sign.
"""

from __future__ import annotations

MARKERS = (b"__truncsfbf2", b"__truncdfbf2", b"__truncsfhf2", b"__truncdfhf2", b"__extendhfsf2")
"""Names in an object file that show that it needs this module."""

SYMBOLS = tuple(marker.decode() for marker in MARKERS)

# Note [Rounding twice]
# double -> float -> 16 bits rounds wrongly when the first step lands on a tie of the second. So the
# first step rounds to odd: towards zero, with the last bit set if anything was lost. The float then
# is a tie only if the double was, since it has at least two bits more than the result.
# Before: 1 + 2**-11 + 2**-40 -> float 1 + 2**-11, a tie of float16, -> 1.
# After:  1 + 2**-11 + 2**-40 -> float 1 + 2**-11 + 2**-23 -> 1 + 2**-10.

TEXT = """
define internal float @round_to_odd(double %x) alwaysinline {
  %near = fptrunc double %x to float
  %back = fpext float %near to double
  %same = fcmp ueq double %back, %x
  %size = call double @llvm.fabs.f64(double %x)
  %got = call double @llvm.fabs.f64(double %back)
  %above = fcmp ogt double %got, %size
  %bits = bitcast float %near to i32
  %less = sub i32 %bits, 1
  %toward = select i1 %above, i32 %less, i32 %bits
  %odd = or i32 %toward, 1
  %chosen = select i1 %same, i32 %bits, i32 %odd
  %y = bitcast i32 %chosen to float
  ret float %y
}
declare double @llvm.fabs.f64(double)

define bfloat @__truncsfbf2(float %x) {
  %bits = bitcast float %x to i32
  %high = lshr i32 %bits, 16
  %even = and i32 %high, 1
  %half = add i32 %even, 32767
  %sum = add i32 %bits, %half
  %near = lshr i32 %sum, 16
  %quiet = or i32 %high, 64
  %nan = fcmp uno float %x, 0.0
  %wide = select i1 %nan, i32 %quiet, i32 %near
  %narrow = trunc i32 %wide to i16
  %y = bitcast i16 %narrow to bfloat
  ret bfloat %y
}

define bfloat @__truncdfbf2(double %x) {
  %odd = call float @round_to_odd(double %x)
  %y = call bfloat @__truncsfbf2(float %odd)
  ret bfloat %y
}

define half @__truncsfhf2(float %x) {
  %bits = bitcast float %x to i32
  %magnitude = and i32 %bits, 2147483647
  %signs = lshr i32 %bits, 16
  %sign = and i32 %signs, 32768
  ; Normal results: the exponent's bias goes from 127 to 15.
  %rebiased = sub i32 %magnitude, 939524096
  %high = lshr i32 %rebiased, 13
  %even = and i32 %high, 1
  %up = add i32 %even, 4095
  %sum = add i32 %rebiased, %up
  %normal = lshr i32 %sum, 13
  ; Subnormal results: next to 0.5 the last bit of a float is worth 2**-24, as in them.
  %size = bitcast i32 %magnitude to float
  %shifted = fadd float %size, 0.5
  %shifted_bits = bitcast float %shifted to i32
  %subnormal = sub i32 %shifted_bits, 1056964608
  %is_small = icmp ult i32 %magnitude, 947912704
  %finite = select i1 %is_small, i32 %subnormal, i32 %normal
  %is_large = icmp uge i32 %magnitude, 1199566848
  %bounded = select i1 %is_large, i32 31744, i32 %finite
  %payload = lshr i32 %magnitude, 13
  %kept = and i32 %payload, 511
  %quiet = or i32 %kept, 32256
  %is_nan = icmp ugt i32 %magnitude, 2139095040
  %unsigned = select i1 %is_nan, i32 %quiet, i32 %bounded
  %wide = or i32 %unsigned, %sign
  %narrow = trunc i32 %wide to i16
  %y = bitcast i16 %narrow to half
  ret half %y
}

define half @__truncdfhf2(double %x) {
  %odd = call float @round_to_odd(double %x)
  %y = call half @__truncsfhf2(float %odd)
  ret half %y
}

define float @__extendhfsf2(half %x) {
  %narrow = bitcast half %x to i16
  %bits = zext i16 %narrow to i32
  %signs = shl i32 %bits, 16
  %sign = and i32 %signs, -2147483648
  %magnitude = and i32 %bits, 32767
  %aligned = shl i32 %magnitude, 13
  %normal = add i32 %aligned, 939524096
  %infinite = or i32 %aligned, 2139095040
  %is_huge = icmp uge i32 %magnitude, 31744
  %large = select i1 %is_huge, i32 %infinite, i32 %normal
  %is_nan = icmp ugt i32 %magnitude, 31744
  %quieted = or i32 %large, 4194304
  %special = select i1 %is_nan, i32 %quieted, i32 %large
  %units = uitofp i32 %magnitude to float
  %small = fmul float %units, 0x3E70000000000000
  %small_bits = bitcast float %small to i32
  %is_small = icmp ult i32 %magnitude, 1024
  %unsigned = select i1 %is_small, i32 %small_bits, i32 %special
  %result = or i32 %unsigned, %sign
  %y = bitcast i32 %result to float
  ret float %y
}
"""
