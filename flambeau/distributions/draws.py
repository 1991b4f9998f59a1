"""Draws that need a loop of acceptance: gamma and binomial, in PyTorch's order of the CPU stream.

Gamma: Marsaglia and Tsang, "A simple method for generating gamma variables" (2000), with their
boost for shapes below one. Binomial: Hoermann, "The generation of binomial random variates" (1993),
algorithm BTRS, and sums of geometric gaps where few successes are expected.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.core import dtypes, random_state
from flambeau.distributions._torch import Tensor, default_generator
from flambeau.functional.options import not_implemented, refuse_found_dtype
from flambeau.tensor.tensor import from_array

_BLOCK = 256


class Stream:
    """Double uniforms and normals taken one at a time from a generator."""

    def __init__(self, generator: Any = None) -> None:
        self.generator = default_generator if generator is None else generator
        self.state = self.generator._state._array().copy()
        self.buffer: list[float] = []
        self.position = 0
        self.cached = random_state.cached_normal(self.state)

    def uniform(self) -> float:
        """A number in [0, 1): 53 bits of two words, the high one first."""
        if self.position == len(self.buffer):
            self._skip()
            words, _ = random_state.take_words(self.state, 2 * _BLOCK)
            bits = (words[0::2].astype(np.uint64) << np.uint64(32)) | words[1::2]
            self.buffer = ((bits & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53).tolist()
        self.position += 1
        return self.buffer[self.position - 1]

    def normal(self) -> float:
        """A normal number: Box-Muller makes two, the second is kept for the next call."""
        if self.cached is not None:
            value, self.cached = self.cached, None
            return value
        first, second = self.uniform(), self.uniform()
        radius = math.sqrt(-2.0 * math.log1p(-second))
        angle = 2.0 * math.pi * first
        self.cached = radius * math.sin(angle)
        return radius * math.cos(angle)

    def _skip(self) -> None:
        self.state = random_state.skip_words(self.state, 2 * self.position)
        self.buffer, self.position = [], 0

    def close(self) -> None:
        """Leaves the generator after what was taken."""
        self._skip()
        random_state.set_cached_normal(self.state, self.cached)
        self.generator._state = from_array(self.state, dtypes.uint32)


def _gamma(shape: float, stream: Stream) -> float:
    scale = 1.0
    if shape < 1.0:
        if shape == 0.0:
            return 0.0
        scale = (1 - stream.uniform()) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = stream.normal()
        y = 1.0 + c * x
        while y <= 0:
            x = stream.normal()
            y = 1.0 + c * x
        v = y * y * y
        u = 1 - stream.uniform()
        square = x * x
        if u < 1.0 - 0.0331 * square * square:
            return scale * d * v
        if math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return scale * d * v


def gamma_numbers(shapes: Any) -> Any:
    """A gamma number (NumPy, float64) of unit rate per shape parameter."""
    stream = Stream()
    flat = np.asarray(shapes, np.float64)
    drawn = [_gamma(shape, stream) for shape in flat.ravel().tolist()]
    stream.close()
    return np.array(drawn, np.float64).reshape(flat.shape)


def _tail(k: float) -> float:
    """What Stirling's formula leaves of log k!."""
    if k < 10:
        return math.lgamma(k + 1) - (
            0.5 * math.log(2 * math.pi) + (k + 0.5) * math.log(k + 1) - (k + 1)
        )
    square = (k + 1) * (k + 1)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)


def _by_gaps(count: float, p: float, stream: Stream) -> float:
    """Successes counted by the geometric gaps between them."""
    log_miss = math.log1p(-p)
    successes, place = 0, 0.0
    while True:
        u = stream.uniform()
        place += math.ceil(math.log(u) / log_miss) if u > 0 else math.inf
        if place > count:
            return float(successes)
        successes += 1


def _by_rejection(count: float, p: float, stream: Stream) -> float:
    deviation = math.sqrt(count * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    c = count * p + 0.5
    accept = 0.92 - 4.2 / b
    odds = p / (1 - p)
    alpha = (2.83 + 5.1 / b) * deviation
    m = math.floor((count + 1) * p)
    while True:
        u = stream.uniform() - 0.5
        v = stream.uniform()
        edge = 0.5 - abs(u)
        if edge == 0.0:
            continue
        k = math.floor((2 * a / edge + b) * u + c)
        if edge >= 0.07 and v <= accept:
            return float(k)
        if k < 0 or k > count:
            continue
        height = math.log(v * alpha / (a / (edge * edge) + b)) if v > 0 else -math.inf
        bound = (
            (m + 0.5) * math.log((m + 1) / (odds * (count - m + 1)))
            + (count + 1) * math.log((count - m + 1) / (count - k + 1))
            + (k + 0.5) * math.log(odds * (count - k + 1) / (k + 1))
            + _tail(m)
            + _tail(count - m)
            - _tail(k)
            - _tail(count - k)
        )
        if height <= bound:
            return float(k)


def _binomial(count: float, p: float, stream: Stream) -> float:
    if math.isnan(count) or math.isnan(p):
        return math.nan
    if count <= 0 or p <= 0:
        return 0.0
    if p >= 1:
        return count
    if p > 0.5:
        return count - _binomial_below_half(count, 1.0 - p, stream)
    return _binomial_below_half(count, p, stream)


def _binomial_below_half(count: float, p: float, stream: Stream) -> float:
    draw = _by_rejection if count * p >= 10.0 else _by_gaps
    return draw(count, p, stream)


def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Numbers of successes; `count` and `prob` have one shape."""
    if generator is not None:
        raise NotImplementedError("binomial(generator=...) is not supported")
    for name, given in (("count", count), ("prob", prob)):
        if not given.dtype.is_floating_point:
            raise ValueError(
                f"binomial only supports floating-point dtypes for {name}, got: "
                f"{given.dtype.scalar_name}"
            )
    refuse_found_dtype(prob, count.dtype)
    if count.dtype in (dtypes.float16, dtypes.bfloat16):
        raise not_implemented("binomial_cpu", count.dtype)
    stream = Stream()
    counts, probs = (x._values().astype(np.float64).ravel().tolist() for x in (count, prob))
    drawn = [_binomial(n, p, stream) for n, p in zip(counts, probs)]
    stream.close()
    values = np.array(drawn, np.float64).reshape(tuple(count.shape))
    return from_array(values, dtypes.float64).to(count.dtype)
