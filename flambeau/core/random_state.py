"""The state of PyTorch's CPU generator (mt19937 and cached normals), and its stream of raw words.

Note [the state array]. A state is a uint32 array of STATE_WORDS words; functions never write to one
that they are given.

    0 .. 623   the Mersenne twister's words
    LEFT       calls until the words are renewed, the renewing call included (1 .. 624)
    NEXT       the word read next (0 .. 624); 0 comes only with LEFT = 1, before the first draw
    SEED       the seed, low and high word
    SEEDED     1
    DOUBLE     1 if a double normal is cached, then its low and high word (0 if none)
    FLOAT      1 if a float normal is cached, then its bits (PyTorch's samplers never fill the slot)

The rest is zero. LEFT + NEXT = 625 after the first draw, so NEXT is NumPy's position (0: 624).
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

STATE_WORDS = 640
KEY_WORDS = 624
LEFT, NEXT, SEED, SEEDED, DOUBLE, FLOAT = 624, 625, 626, 628, 629, 632
TORCH_BYTES = 5056

_MIDDLE = 397
_OWN_BLOCKS = (
    3  # up to so many renewals NumPy operations here are faster than setting up its generator
)
_CHUNK = 1 << 13  # words drawn at a time (as 64 bits each), to stay in the cache

_scratch = threading.local()

_TORCH_STATE: np.dtype[np.void] = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),
        ("seeded", "<i4"),
        ("next", "<u8"),
        ("key", "<u8", (KEY_WORDS,)),
        ("normal_x", "<f8"),
        ("normal_y", "<u8"),  # a double, kept as bits
        ("normal_rho", "<f8"),
        ("normal_is_valid", "<i4"),
        ("gap", "<i4"),
        ("float_normal", "<u4"),  # a float, kept as bits
        ("float_is_valid", "u1"),
        ("tail", "u1", (3,)),
    ]
)


def seed_state(seed: int) -> Words:
    """The state after `torch.manual_seed(seed)`; ValueError outside [-2**63, 2**64)."""
    if not -(2**63) <= seed < 2**64:
        raise ValueError("Overflow when unpacking long long")
    seed &= 2**64 - 1
    state = np.zeros(STATE_WORDS, np.uint32)
    legacy: Any = np.random.RandomState(seed & 0xFFFFFFFF).get_state()
    state[:KEY_WORDS] = legacy[1]
    state[LEFT] = 1
    state[SEED] = seed & 0xFFFFFFFF
    state[SEED + 1] = seed >> 32
    state[SEEDED] = 1
    return state


def initial_seed(state: Words) -> int:
    """The seed that `state` started from (`torch.initial_seed`)."""
    return int(state[SEED]) | int(state[SEED + 1]) << 32


def state_to_torch_bytes(state: Words) -> npt.NDArray[np.uint8]:
    """The 5056 bytes of `torch.get_rng_state()`."""
    record = np.zeros((), _TORCH_STATE)
    record["seed"] = initial_seed(state)
    record["left"] = state[LEFT]
    record["seeded"] = state[SEEDED]
    record["next"] = state[NEXT]
    record["key"] = state[:KEY_WORDS]
    record["normal_is_valid"] = state[DOUBLE]
    record["normal_y"] = int(state[DOUBLE + 1]) | int(state[DOUBLE + 2]) << 32
    record["float_is_valid"] = state[FLOAT]
    record["float_normal"] = state[FLOAT + 1]
    data: npt.NDArray[np.uint8] = np.frombuffer(record.tobytes(), np.uint8).copy()
    return data


def state_from_torch_bytes(data: npt.NDArray[np.uint8]) -> Words:
    """The state in the bytes of `torch.get_rng_state()`.

    Raises TypeError if they are not bytes, RuntimeError if they are not 5056 or no valid mt19937
    state, and NotImplementedError for a position that no sequence of draws leads to.
    """
    if data.dtype != np.uint8:
        raise TypeError("RNG state must be a torch.ByteTensor")
    if data.size != TORCH_BYTES:
        raise RuntimeError(
            f"Expected a CPUGeneratorImplState of size {TORCH_BYTES} but found the input RNG state "
            f"size to be {data.size}"
        )
    record: Any = np.frombuffer(np.ascontiguousarray(data).tobytes(), _TORCH_STATE)[0]
    left, position = int(record["left"]), int(record["next"]) & 0xFFFFFFFF
    if not (record["seeded"] == 1 and 0 < left <= KEY_WORDS and position <= KEY_WORDS):
        raise RuntimeError("Invalid mt19937 state")
    if left + position != KEY_WORDS + 1 and (left, position) != (1, 0):
        raise NotImplementedError(
            f"an mt19937 state with left = {left} and next = {position} (no draws lead there)"
        )
    state = np.zeros(STATE_WORDS, np.uint32)
    state[:KEY_WORDS] = record["key"].astype(np.uint32)
    state[LEFT], state[NEXT], state[SEEDED] = left, position, 1
    seed = int(record["seed"])
    state[SEED], state[SEED + 1] = seed & 0xFFFFFFFF, seed >> 32
    if record["normal_is_valid"]:
        bits = int(record["normal_y"])
        state[DOUBLE], state[DOUBLE + 1], state[DOUBLE + 2] = 1, bits & 0xFFFFFFFF, bits >> 32
    if record["float_is_valid"]:
        state[FLOAT], state[FLOAT + 1] = 1, record["float_normal"]
    return state


def cached_normal(state: Words) -> float | None:
    """The normal that the next scalar draw will return first."""
    if not state[DOUBLE]:
        return None
    return float(state[DOUBLE + 1 : DOUBLE + 3].copy().view(np.float64)[0])


def set_cached_normal(state: Words, value: float | None) -> None:
    """Writes the cached normal into a state that the caller owns."""
    state[DOUBLE] = 0 if value is None else 1
    state[DOUBLE + 1 : DOUBLE + 3] = np.array([value or 0.0]).view(np.uint32)


def take_words(state: Words, count: int) -> tuple[Words, Words]:
    """The next `count` outputs of mt19937 (tempered words), and the state after them."""
    after = state.copy()
    if count == 0:
        return np.empty(0, np.uint32), after
    position = int(state[NEXT]) or KEY_WORDS
    renewals = -(-max(0, position + count - KEY_WORDS) // KEY_WORDS)
    if renewals <= _OWN_BLOCKS:
        words = _take_here(after[:KEY_WORDS], position, count)
        position = position + count - KEY_WORDS * renewals
    else:
        generator = _numpy_generator(after[:KEY_WORDS], position)
        words = np.empty(count, np.uint32)
        for first in range(0, count, _CHUNK):
            part = words[first : first + _CHUNK]
            part[:] = generator.random_raw(part.size)
        position = _read_back(generator, after)
    after[NEXT], after[LEFT] = position, KEY_WORDS + 1 - position
    return words, after


def skip_words(state: Words, count: int) -> Words:
    """The state after `count` outputs."""
    after: Words = state.copy()
    position = int(state[NEXT]) or KEY_WORDS
    if position + count <= (_OWN_BLOCKS + 1) * KEY_WORDS:
        return take_words(state, count)[1]
    generator = _numpy_generator(after[:KEY_WORDS], position)
    while count > 0:
        generator.random_raw(min(count, _CHUNK), output=False)
        count -= _CHUNK
    position = _read_back(generator, after)
    after[NEXT], after[LEFT] = position, KEY_WORDS + 1 - position
    return after


def _take_here(key: Words, position: int, count: int) -> Words:
    """Reads `count` words from `position` on, renewing `key` in place."""
    parts = []
    while count > 0:
        if position == KEY_WORDS:
            _renew(key)
            position = 0
        step = min(count, KEY_WORDS - position)
        parts.append(_tempered(key[position : position + step]))
        position += step
        count -= step
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _renew(key: Words) -> None:
    """The recurrence of mt19937 for all 624 words, in runs that read only words that are ready."""
    following = np.append(key[1:], key[:1])
    mixed = (key & np.uint32(0x80000000)) | (following & np.uint32(0x7FFFFFFF))
    twist = (mixed >> np.uint32(1)) ^ ((following & np.uint32(1)) * np.uint32(0x9908B0DF))
    lag = KEY_WORDS - _MIDDLE
    key[:lag] = key[_MIDDLE:] ^ twist[:lag]
    key[lag : 2 * lag] = key[:lag] ^ twist[lag : 2 * lag]
    key[2 * lag : -1] = key[lag : KEY_WORDS - lag - 1] ^ twist[2 * lag : -1]
    last = (int(mixed[-1]) & 0x80000000) | (int(key[0]) & 0x7FFFFFFF)
    key[-1] = int(key[_MIDDLE - 1]) ^ (last >> 1) ^ ((last & 1) * 0x9908B0DF)


def _tempered(words: Words) -> Words:
    y: Words = words ^ (words >> np.uint32(11))
    y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
    y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
    y ^= y >> np.uint32(18)
    return y


def _numpy_generator(key: Words, position: int) -> np.random.MT19937:
    """This thread's scratch generator of NumPy, set to the given words."""
    generator: np.random.MT19937 | None = getattr(_scratch, "generator", None)
    if generator is None:
        generator = _scratch.generator = np.random.MT19937(0)
    generator.state = {
        "bit_generator": "MT19937",
        "state": {"key": key, "pos": position},
    }
    return generator


def _read_back(generator: np.random.MT19937, state: Words) -> int:
    """Copies the generator's words into `state`; its position (1 .. 624)."""
    inner: Any = generator.state["state"]
    state[:KEY_WORDS] = inner["key"]
    return int(inner["pos"])
