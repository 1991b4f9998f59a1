"""Single numbers from the default generator, as the transforms draw them.

They are the numbers that `rand(1)`, `randint(low, high, (1,))` and `empty(1).uniform_(low, high)`
would give; drawn on the host, since they decide what is computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import random_streams
from flambeau.core.dtypes import uint32
from flambeau.core.random_state import take_words
from flambeau.vision._torch import from_array, generators, randperm

_UNIT = 2.0**-24
_LARGE = 1 << 28  # spans from here on take 64 bits


def words(count: int) -> Any:
    """The generator's next `count` raw 32-bit words."""
    generator = generators.default_generator
    drawn, after = take_words(generator._state._array(), count)
    generator._state = from_array(after, uint32)
    return drawn


def unit() -> float:
    """`rand(1)`: a number in [0, 1)."""
    return float(int(words(1)[0]) & 0xFFFFFF) * _UNIT


def happens(p: float) -> bool:
    """Whether `rand(1) < p`, compared in float32."""
    return unit() < float(np.float32(p))


def spared(p: float) -> bool:
    """Whether `p < rand(1)`, compared in float32."""
    return float(np.float32(p)) < unit()


def uniform(low: float, high: float) -> float:
    """`empty(1).uniform_(low, high)`."""
    generator = generators.default_generator
    value, after = random_streams.draw_and_advance(
        "uniform32", generator._state._array(), 1, low=float(low), high=float(high)
    )
    generator._state = from_array(after, uint32)
    return float(value[0])


def integer(low: int, high: int) -> int:
    """`randint(low, high, (1,))`. RuntimeError for an empty range."""
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    span = high - low
    if span < _LARGE:
        return int(words(1)[0]) % span + low
    pair = words(2)
    return (int(pair[0]) << 32 | int(pair[1])) % span + low


def order(count: int) -> list[int]:
    """`randperm(count)`."""
    places: list[int] = randperm(count).tolist()
    return places
