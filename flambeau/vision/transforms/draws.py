"""Single numbers from the default generator, as the transforms draw them.

They are the numbers that `rand(1)`, `randint(low, high, (1,))` and `empty(1).uniform_(low, high)`
would give; drawn on the host, since they decide what is computed.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from flambeau.core.random_arithmetic import fma32
from flambeau.core.random_state import KEY_WORDS, LEFT, NEXT, take_words
from flambeau.vision._torch import generators, randperm

_UNIT = 2.0**-24
_LARGE = 1 << 28  # spans from here on take 64 bits


_shown = threading.local()  # .pair: a generator's buffer and the array over it


def _state() -> Any:
    """The default generator's state as an array over its own memory."""
    state = generators.default_generator._state
    storage = state._storage
    buffer, array = getattr(_shown, "pair", (None, None))
    if storage is None or storage.recording is not None or storage.buffer is not buffer:
        array = state._array()
        assert state._storage is not None
        _shown.pair = (state._storage.buffer, array)
    return array


def words(count: int) -> Any:
    """The generator's next `count` raw 32-bit words."""
    state = _state()
    drawn, after = take_words(state, count)
    state[:] = after
    return drawn


def _word() -> int:
    """The next raw word. All but one in 624 only need a look at the state."""
    state = _state()
    place = int(state[NEXT])
    if not 0 < place < KEY_WORDS:
        return int(words(1)[0])
    state[NEXT], state[LEFT] = place + 1, KEY_WORDS - place
    y = int(state[place])  # the tempering of mt19937
    y ^= y >> 11
    y ^= (y << 7) & 0x9D2C5680
    y ^= (y << 15) & 0xEFC60000
    return y ^ (y >> 18)


def unit() -> float:
    """`rand(1)`: a number in [0, 1)."""
    return (_word() & 0xFFFFFF) * _UNIT


def happens(p: float) -> bool:
    """Whether `rand(1) < p`, compared in float32."""
    return unit() < float(np.float32(p))


def spared(p: float) -> bool:
    """Whether `p < rand(1)`, compared in float32."""
    return float(np.float32(p)) < unit()


def uniform(low: float, high: float) -> float:
    """`empty(1).uniform_(low, high)`. RuntimeError for bounds the wrong way round."""
    if not low <= high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    first, last = np.float32(low), np.float32(high)
    value = fma32(np.array([unit()], np.float32), last - first, first)[0]
    return float(first if value == last else value)


def integer(low: int, high: int) -> int:
    """`randint(low, high, (1,))`. RuntimeError for an empty range."""
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    span = high - low
    if span < _LARGE:
        return _word() % span + low
    upper = _word()
    return (upper << 32 | _word()) % span + low


def order(count: int) -> list[int]:
    """`randperm(count)`."""
    places: list[int] = randperm(count).tolist()
    return places


def in_float32(offset: float, scale: float, drawn: float) -> float:
    """offset + drawn * scale, each step rounded to float32."""
    return float(np.float32(offset) + np.float32(drawn) * np.float32(scale))
