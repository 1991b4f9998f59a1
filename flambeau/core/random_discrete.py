"""Integer distributions of PyTorch's CPU generator that depend on dtypes, rates or weights."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from flambeau.core.dtypes import BY_NAME, C_NAMES
from flambeau.core.random_arithmetic import Array, Float64, rounded_to
from flambeau.core.random_state import Words, skip_words, take_words

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_DIGITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
_LARGEST = {"float16": 65504, "bfloat16": 255 * 2**120, "float32": (2**24 - 1) * 2**104}
_INTEGERS = {
    "bool": (0, 1),
    "uint8": (0, 2**8 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, _HIGHEST),  # PyTorch draws only what int64 holds, too
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (_LOWEST, _HIGHEST),
}


def range_attributes(dtype: str, low: int | None = None, high: int | None = None) -> dict[str, Any]:
    """The attributes of "random_range" for `tensor.random_(low, high)` on a tensor of `dtype`.

    `random_()`: both None; `random_(low, None)`: from low up to the dtype's end; `random_(high)`
    and `randint(high)`: low = 0. The values are then cast to the dtype (16-bit floats by way of
    float32). Returns {"bits": 64} alone for the full range of int64: the kind is then "bits64", its
    values read as int64. Raises RuntimeError in PyTorch's words for an empty range, or one that the
    dtype cannot hold, and warns where a float dtype does not hold all its integers.
    """
    if dtype not in _INTEGERS and dtype not in _DIGITS:
        if low is None:
            name = BY_NAME[dtype].scalar_name
            raise NotImplementedError(f"\"random_kernel_cpu\" not implemented for '{name}'")
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    if low is None:
        if high is not None:
            raise TypeError("random_ with an upper bound takes a lower one (0)")
        return _whole_range(dtype)
    if high is None:
        if low == _LOWEST:
            return _full_int64(dtype)
        return _span_from(dtype, low)
    _require_below(low, high, "random_ expects 'from' to be less than 'to'")
    if dtype in _DIGITS:
        low, high = _first_held(dtype, low), _last_held(dtype, high)
        _require_below(
            low, high, "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype"
        )
    _check_held(dtype, low, high - 1)
    return {"span": high - low, "low": low}


def _require_below(low: int, high: int, message: str) -> None:
    if low >= high:
        raise RuntimeError(f"{message}, but got from={low} >= to={high}")


def _whole_range(dtype: str) -> dict[str, Any]:
    if dtype in ("uint16", "uint32", "uint64"):
        name = {"uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64"}[dtype]
        raise RuntimeError(f"\"random_kernel_cpu\" not implemented for '{name}'")
    bits = 64 if dtype in ("int64", "float64") else 32
    span = 2 ** _DIGITS[dtype] + 1 if dtype in _DIGITS else _INTEGERS[dtype][1] + 1
    return {"span": span, "low": 0, "bits": bits}


def _full_int64(dtype: str) -> dict[str, Any]:
    if dtype not in ("int64", "float64", "float32", "bfloat16"):
        raise RuntimeError(
            "random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16"
        )
    return {"bits": 64}


def _span_from(dtype: str, low: int) -> dict[str, Any]:
    if dtype in _DIGITS:
        last = 2 ** _DIGITS[dtype]
        low = _first_held(dtype, low)
        if low >= last:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' "
                f"casted to dtype, but got from={low} > to_inc={last}"
            )
    elif dtype == "uint64":
        raise RuntimeError("to - 1 is out of bounds for uint64")
    else:
        last = _INTEGERS[dtype][1]
    _check_held(dtype, low, last)
    return {"span": last - low + 1, "low": low}


def _as_held(dtype: str, value: int) -> int:
    """An integer as `dtype` holds it (beyond its range: itself, for the range check to refuse)."""
    if abs(value) > _LARGEST.get(dtype, 2**1023):
        return value
    return int(
        rounded_to(np.array([value], np.float32 if dtype != "float64" else np.float64), dtype)[0]
    )


def _first_held(dtype: str, low: int) -> int:
    """`low`, or the next integer that stays above it in `dtype`."""
    after = _as_held(dtype, low + 1)
    if after >= low:
        return low
    return after + (1 << (abs(low + 1).bit_length() - _DIGITS[dtype]))


def _last_held(dtype: str, high: int) -> int:
    """`high`, or the next lower bound whose values stay below it in `dtype`."""
    before = _as_held(dtype, high - 1)
    if before < high:
        return high
    return before - (1 << (abs(high - 1).bit_length() - _DIGITS[dtype]))


def _check_held(dtype: str, low: int, last: int) -> None:
    if dtype in _DIGITS:
        bound = _LARGEST.get(dtype, 2**1023)
        lowest, highest = -bound, bound
    else:
        lowest, highest = _INTEGERS[dtype]
    for value, name in ((low, "from"), (last, "to - 1")):
        if not lowest <= value <= highest:
            raise RuntimeError(f"{name} is out of bounds for {C_NAMES.get(dtype, dtype)}")
        digits = _DIGITS.get(dtype, 64)
        if abs(value) > 2**digits:
            warnings.warn(
                f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision "
                f"limitations {dtype} can support discrete uniform distribution only within this "
                "range.",
                stacklevel=4,
            )


# ---- draws whose number or meaning depends on operands ------------------------------------------


class _Uniforms:
    """Double uniforms taken one at a time from a state, and the state after those taken."""

    def __init__(self, state: Words, expected: int) -> None:
        self.state = state
        self.step = max(64, expected)
        self.buffer: list[float] = []
        self.position = 0

    def next(self) -> float:
        if self.position == len(self.buffer):
            self.state = self.after()
            words, _ = take_words(self.state, 2 * self.step)
            bits = (words[0::2].astype(np.uint64) << np.uint64(32)) | words[1::2]
            self.buffer = ((bits & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53).tolist()
            self.position = 0
        self.position += 1
        return self.buffer[self.position - 1]

    def after(self) -> Words:
        return skip_words(self.state, 2 * self.position)


def draw_poisson(state: Words, n: int, rates: Array) -> tuple[Float64, Words]:
    """A Poisson number per rate: products of uniforms below 10, Hoermann's rejection from 10 on."""
    if rates.size != n:
        raise ValueError(f"{n} Poisson numbers from {rates.size} rates")
    values: list[float] = rates.reshape(-1).astype(np.float64).tolist()
    uniforms = _Uniforms(state, min(1 << 14, 2 * n))
    result = np.empty(n, np.float64)
    for index, rate in enumerate(values):
        if not rate >= 0.0:
            raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
        if rate >= 10.0:
            result[index] = _poisson_by_rejection(rate, uniforms)
        else:
            result[index] = _poisson_by_product(rate, uniforms) if rate > 0.0 else 0.0
    return result, uniforms.after()


def _poisson_by_product(rate: float, uniforms: _Uniforms) -> int:
    floor = math.exp(-rate)
    count = 0
    product = uniforms.next()
    while product > floor:
        count += 1
        product *= uniforms.next()
    return count


def _poisson_by_rejection(rate: float, uniforms: _Uniforms) -> int:
    log_rate = math.log(rate)
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    accept = 0.9277 - 3.6224 / (b - 2)
    while True:
        u = uniforms.next() - 0.5
        v = uniforms.next()
        edge = 0.5 - abs(u)
        if edge == 0.0:
            continue
        count = math.floor((2 * a / edge + b) * u + rate + 0.43)
        if edge >= 0.07 and v <= accept:
            return count
        if count < 0 or (edge < 0.013 and v > edge):
            continue
        log_v = math.log(v) if v > 0.0 else -math.inf
        limit = -rate + count * log_rate - math.lgamma(count + 1.0)
        if log_v + math.log(inverse_alpha) - math.log(a / (edge * edge) + b) <= limit:
            return count


def draw_multinomial(state: Words, n: int, weights: Array) -> tuple[Array, Words]:
    """n category numbers per row of weights, with replacement, by bisection of the running sums."""
    if weights.ndim != 2 or weights.shape[1] == 0:
        raise ValueError(f"multinomial weights are (rows, categories), not {weights.shape}")
    refused = "invalid multinomial distribution (encountering probability entry"
    rows = weights.shape[0]
    result = np.empty((rows, n), np.int64)
    words, after = take_words(state, 2 * n * rows)
    bits = (words[0::2].astype(np.uint64) << np.uint64(32)) | words[1::2]
    uniforms = ((bits & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53).reshape(rows, n)
    for row in range(rows):
        if not (weights[row] >= 0).all():
            raise RuntimeError(f"{refused} < 0)")
        if not np.isfinite(weights[row]).all():
            raise RuntimeError(f"{refused} = infinity or NaN)")
        sums = np.cumsum(weights[row], dtype=weights.dtype)
        if not sums[-1] > 0:
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
        sums = sums / sums[-1]
        sums[-1] = 1
        result[row] = np.searchsorted(sums.astype(np.float64), uniforms[row], side="left")
    return result.reshape(-1), after
