"""PyTorch's CPU random streams: pure functions from a generator state to values and the next state.

`draw(kind, state, n, ...)` gives n values, `advance(kind, state, n, ...)` the state afterwards,
`draw_and_advance` both for one price. The values are those of PyTorch 2.13 on x86-64 with AVX2 or
AVX-512, bit for bit.

Note [which PyTorch function draws which kind]. n is the number of elements; no element, no draw.
Values land in the order of memory, not of indices: a dense transposed or channels-last tensor is
filled as it lies.

    rand, uniform_(low, high)        uniform32, uniform64, uniform_float16, uniform_bfloat16
    randn, normal_(mean, std)        normal_float32, _float64, _float16, _bfloat16 with contiguous
                                     = tensor.is_contiguous() (false for channels-last)
    complex randn                    the real kind, 2 n values, std divided by sqrt(2) in double
    normal(mean, std), tensors       mean 0 and std 1, then * std, then + mean in the dtype
    randint, random_                 random_range with `range_attributes(dtype, low, high)`
    randperm                         permutation (dtype by a cast)
    bernoulli_(p)                    bernoulli
    dropout(x, p)                    bernoulli(1 - p), cast to x's dtype, divided by 1 - p, times x;
                                     p = 0, p = 1 or no training: no draw; dropout2d and its like:
                                     one value per (sample, channel)
    bernoulli(t), bernoulli_(t)      uniform64 < t for float64 t, else uniform32 < float32(t)
    exponential_, cauchy_,           the kind of that name, with dtype
    log_normal_, geometric_
    poisson(rates)                   poisson with operand rates
    multinomial(w, k, True)          multinomial with operand w, for k > 1
    multinomial, k = 1 or without    argmax or top-k of w / exponential(rate=1, dtype of w)
    replacement
    nn.init.trunc_normal_            whole draws of normal_, repeated while any value is outside
                                     (of uniform_ pairs where [a, b] holds at most 0.3 of the mass)
    initial_seed, get_state,         initial_seed, state_to_torch_bytes, state_from_torch_bytes
    set_state
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flambeau.core.random_arithmetic import (
    Array,
    Float32,
    Float64,
    fma32,
    fma64,
    in_chunks,
    libm,
    libm_log,
    log32,
    rounded_to,
    sincos32,
)
from flambeau.core.random_discrete import draw_multinomial, draw_poisson, range_attributes
from flambeau.core.random_state import (
    STATE_WORDS,
    Words,
    cached_normal,
    initial_seed,
    seed_state,
    set_cached_normal,
    skip_words,
    state_from_torch_bytes,
    state_to_torch_bytes,
    take_words,
)

__all__ = [
    "KINDS",
    "LARGE_PERMUTATION",
    "STATE_WORDS",
    "advance",
    "draw",
    "draw_and_advance",
    "initial_seed",
    "check_parameters",
    "range_attributes",
    "result_dtype",
    "seed_state",
    "state_from_torch_bytes",
    "state_to_torch_bytes",
]

LARGE_PERMUTATION = 0xFFFFFFFF // 20
FEW_EXCHANGES = 300  # up to so many are made one after another
_NORMAL_BLOCK = 16

Drawn = tuple[Array, Words]
Draw = Callable[..., Drawn]
Advance = Callable[..., Words]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind draws, and how its state moves on without the values being made."""

    draw: Draw
    advance: Advance
    dtype: str  # of the values; "dtype" where the attribute of that name says it


def draw(kind: str, state: Words, n: int, *operands: Array, **attributes: Any) -> Array:
    """n values of `kind` as a 1-d array. See `draw_and_advance`."""
    return draw_and_advance(kind, state, n, *operands, **attributes)[0]


def advance(kind: str, state: Words, n: int, *operands: Array, **attributes: Any) -> Words:
    """The state after drawing n values of `kind`. See `draw_and_advance`."""
    return _kind(kind, state, n).advance(state, n, *operands, **attributes)


def draw_and_advance(
    kind: str, state: Words, n: int, *operands: Array, **attributes: Any
) -> tuple[Array, Words]:
    """n values of `kind` (1-d) and the state after them; the given state is left alone.

    kind, attributes (default) -> values:
      bits32, bits64 -> uint32, uint64: raw outputs; a 64-bit one is two of 32, high word first
      uniform32(low=0, high=1), uniform64, uniform_float16, uniform_bfloat16 -> that float dtype:
        x = 24 random bits over 2**24 (uniform64: 53 over 2**53), then fma(x, high - low, low), low,
        high and their difference in float32 (float64); rounded to 16 bits; high itself becomes low
      normal_float32(mean=0, std=1, contiguous=True), _float64, _float16, _bfloat16: 16 or more
        contiguous: Box-Muller in blocks of 16 and fma(z, std, mean) in float32 (normal_float64: in
        float64), rounded to 16 bits; otherwise both in float64, rounded at the end
      bernoulli(p) -> bool: uniform64 < p
      exponential(rate=1), cauchy(median=0, sigma=1), log_normal(mean=1, std=2), geometric(p), each
        with dtype="float64": made in float64, rounded at the end; geometric numbers are integers
      random_range(span, low=0, bits=None) -> int64: raw % span + low, wrapping; raw has `bits`, by
        default 32 for a span below 2**28, else 64. Cast to 16-bit floats by way of float32
      permutation -> int64: of 0 .. n - 1 (NotImplementedError from 2**32 / 20 elements on)
      poisson, operand rates (n of them, any float dtype) -> float64
      uniform_where(low=0, high=1), operand mask (n bools) -> float64: uniform64 where the mask is
        true, one after the other; 1 elsewhere
      multinomial, operand weights (rows, categories) of float32 or float64 (16-bit floats as
        float32) -> int64: n samples with replacement per row, rows * n values

    bfloat16 values come as float32 arrays. Raises ValueError for an unknown kind, a negative n or a
    state of another shape, RuntimeError in PyTorch's words for parameters that PyTorch refuses.

    >>> values, state = draw_and_advance("uniform32", seed_state(0), 3)
    >>> [round(float(value), 4) for value in values]
    [0.4963, 0.7682, 0.0885]
    """
    return _kind(kind, state, n).draw(state, n, *operands, **attributes)


def result_dtype(kind: str, **attributes: Any) -> str:
    """The name of the dtype of the values of `kind` ("bfloat16" values lie in float32 arrays)."""
    name = KINDS[kind].dtype
    return str(attributes.get("dtype", "float64")) if name == "dtype" else name


def _kind(kind: str, state: Words, n: int) -> Kind:
    if kind not in KINDS:
        raise ValueError(f"no random kind {kind!r}; there are {', '.join(sorted(KINDS))}")
    if n < 0:
        raise ValueError(f"cannot draw {n} values")
    if state.shape != (STATE_WORDS,) or state.dtype != np.uint32:
        raise ValueError(
            f"a generator state is {STATE_WORDS} words of uint32, not {state.dtype}{state.shape}"
        )
    return KINDS[kind]


# ---- raw words and uniforms ----------------------------------------------------------------------


def _bits64(state: Words, n: int) -> tuple[npt.NDArray[np.uint64], Words]:
    words, after = take_words(state, 2 * n)
    return (words[0::2].astype(np.uint64) << np.uint64(32)) | words[1::2], after


def _unit32(words: Words) -> Float32:
    """[0, 1) from the low 24 bits, in the memory of the words."""

    def scaled(part: Words) -> Float32:
        result: Float32 = (part & np.uint32(0xFFFFFF)).astype(np.float32)
        result *= np.float32(2.0**-24)
        return result

    return in_chunks(scaled, words, words.view(np.float32))


def _unit64(state: Words, n: int) -> tuple[Float64, Words]:
    """[0, 1) from the low 53 bits of two words."""
    bits, after = _bits64(state, n)
    bits &= np.uint64(2**53 - 1)
    result = bits.astype(np.float64)
    result *= 2.0**-53
    return result, after


def _check_bounds(low: float, high: float) -> None:
    if not low <= high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )


def _uniform32(
    state: Words, n: int, *, low: float = 0.0, high: float = 1.0
) -> tuple[Float32, Words]:
    _check_bounds(low, high)
    words, after = take_words(state, n)
    values = _unit32(words)
    if low == 0.0 and high == 1.0:
        return values, after
    first, last = np.float32(low), np.float32(high)

    def mapped(part: Float32) -> Float32:
        part = fma32(part, last - first, first)
        return np.where(part == last, first, part)

    return in_chunks(mapped, values, values), after


def _uniform64(
    state: Words, n: int, *, low: float = 0.0, high: float = 1.0
) -> tuple[Float64, Words]:
    _check_bounds(low, high)
    values, after = _unit64(state, n)
    if low == 0.0 and high == 1.0:
        return values, after

    def mapped(part: Float64) -> Float64:
        part = fma64(part, high - low, low)
        return np.where(part == high, low, part)

    return in_chunks(mapped, values, values), after


def _uniform_where(
    state: Words, n: int, mask: Array, *, low: float = 0.0, high: float = 1.0
) -> tuple[Float64, Words]:
    drawn, after = _uniform64(state, int(np.count_nonzero(mask)), low=low, high=high)
    result = np.ones(n, np.float64)
    result[mask.ravel()] = drawn
    return result, after


def _uniform16(dtype: str) -> Draw:
    def uniform(state: Words, n: int, *, low: float = 0.0, high: float = 1.0) -> Drawn:
        _check_bounds(low, high)
        words, after = take_words(state, n)
        first, last = np.float32(low), np.float32(high)
        values = rounded_to(fma32(_unit32(words), last - first, first), dtype)
        ends = rounded_to(np.array([low, high], np.float32), dtype)
        return np.where(values == ends[1], ends[0], values), after

    return uniform


# ---- normals -------------------------------------------------------------------------------------


def check_parameters(kind: str, **given: float) -> None:
    """RuntimeError where a distribution has no such parameters, whatever the dtype."""
    if kind == "normal" and not given["std"] >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {given['std']:g}")
    if kind == "log_normal" and not given["std"] > 0.0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={given['std']:g}")
    if kind == "bernoulli" and not 0.0 <= given["p"] <= 1.0:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={given['p']:g}")
    if kind == "exponential" and not given["lambd"] > 0.0:
        raise RuntimeError(
            f"exponential_ expects lambda > 0.0, but found lambda={given['lambd']:g}"
        )
    if kind == "cauchy" and not given["sigma"] > 0.0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={given['sigma']:g}")
    if kind == "geometric" and not 0.0 < given["p"] < 1.0:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={given['p']:g}")


def _box_muller32(uniforms: Float32, mean: float, std: float) -> Float32:
    """Normals in blocks of 16: eight radii from the first half, eight angles from the second."""

    def transform(part: Float32) -> Float32:
        block = part.reshape(-1, _NORMAL_BLOCK)
        radius = np.sqrt(np.float32(-2) * log32(np.float32(1) - block[:, :8]))
        sine, cosine = sincos32(np.float32(2 * math.pi) * block[:, 8:])
        normals = np.concatenate([radius * cosine, radius * sine], axis=1).reshape(-1)
        if mean != 0.0 or std != 1.0:
            return fma32(normals, std, mean)
        normals += np.float32(0)  # as the multiply-add has it: no negative zero
        return normals

    return np.asarray(in_chunks(transform, uniforms, np.empty_like(uniforms)), np.float32)


def _box_muller64(uniforms: Float64, mean: float, std: float) -> Float64:
    block = uniforms.reshape(-1, _NORMAL_BLOCK)
    radius = np.sqrt(-2.0 * libm(math.log, 1.0 - block[:, :8]))
    angle = 2.0 * math.pi * block[:, 8:]
    pair = [radius * libm(math.cos, angle), radius * libm(math.sin, angle)]
    normals = np.concatenate(pair, axis=1).reshape(-1)
    if mean == 0.0 and std == 1.0:
        return normals + 0.0
    return fma64(normals, std, mean)


def _in_blocks(
    uniforms: Array, n: int, transform: Callable[..., Array], mean: float, std: float
) -> Array:
    """n normals of n uniforms, and 16 more for a ragged end: the last 16 are then made anew."""
    whole = n - n % _NORMAL_BLOCK
    if whole == n:
        return transform(uniforms, mean, std)
    kept = transform(uniforms[:whole], mean, std)[: n - _NORMAL_BLOCK]
    return np.concatenate([kept, transform(uniforms[-_NORMAL_BLOCK:], mean, std)])


def _pairs(state: Words, n: int) -> tuple[Float64, Words]:
    """n standard normals one by one: a cosine, then its sine (kept in the state if not used)."""
    kept = cached_normal(state) if n > 0 else None
    fresh = n - (kept is not None)
    uniforms, after = _unit64(state, 2 * -(-fresh // 2))
    radius = np.sqrt(-2.0 * libm(math.log1p, -uniforms[1::2]))
    angle = 2.0 * math.pi * uniforms[0::2]
    normals = np.stack(
        [radius * libm(math.cos, angle), radius * libm(math.sin, angle)], axis=1
    ).reshape(-1)
    if n > 0:
        set_cached_normal(after, float(normals[-1]) if fresh % 2 else None)
    normals = normals[:fresh]
    return (normals if kept is None else np.append(kept, normals)), after


def _advance_pairs(state: Words, n: int) -> Words:
    if n == 0:
        return skip_words(state, 0)
    fresh = n - (cached_normal(state) is not None)
    if fresh % 2:
        return _pairs(skip_words(state, 2 * (fresh - 1)), n - fresh + 1)[1]
    after = skip_words(state, 2 * fresh)
    set_cached_normal(after, None)
    return after


def _normal_words(dtype: str, n: int) -> int:
    """Words that n block normals cost: 16-bit formats skip the uniforms that the tail discards."""
    tail = _NORMAL_BLOCK if n % _NORMAL_BLOCK else 0
    if dtype in ("float16", "bfloat16"):
        return n - n % _NORMAL_BLOCK + tail
    return (n + tail) * (2 if dtype == "float64" else 1)


def _normal(dtype: str) -> Kind:
    def draw_normal(
        state: Words, n: int, *, mean: float = 0.0, std: float = 1.0, contiguous: bool = True
    ) -> Drawn:
        check_parameters("normal", std=std)
        if n < _NORMAL_BLOCK or not contiguous:
            values, after = _pairs(state, n)
            return rounded_to(fma64(values, std, mean), dtype), after
        words = _normal_words(dtype, n)
        if dtype == "float64":
            uniforms, after = _unit64(state, words // 2)
            return _in_blocks(uniforms, n, _box_muller64, mean, std), after
        raw, after = take_words(state, words)
        return rounded_to(_in_blocks(_unit32(raw), n, _box_muller32, mean, std), dtype), after

    def advance_normal(
        state: Words, n: int, *, mean: float = 0.0, std: float = 1.0, contiguous: bool = True
    ) -> Words:
        check_parameters("normal", std=std)
        if n < _NORMAL_BLOCK or not contiguous:
            return _advance_pairs(state, n)
        return skip_words(state, _normal_words(dtype, n))

    return Kind(draw_normal, advance_normal, dtype)


def _log_normal(
    state: Words, n: int, *, mean: float = 1.0, std: float = 2.0, dtype: str = "float64"
) -> Drawn:
    check_parameters("log_normal", std=std)
    normals, after = _pairs(state, n)
    return rounded_to(libm(_exp, fma64(normals, std, mean)), dtype), after


def _advance_log_normal(
    state: Words, n: int, *, mean: float = 1.0, std: float = 2.0, dtype: str = "float64"
) -> Words:
    check_parameters("log_normal", std=std)
    return _advance_pairs(state, n)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


# ---- transforms of one double uniform per value --------------------------------------------------


def _bernoulli(state: Words, n: int, *, p: float) -> Drawn:
    check_parameters("bernoulli", p=p)
    uniforms, after = _unit64(state, n)
    return uniforms < p, after


def _exponential(state: Words, n: int, *, rate: float = 1.0, dtype: str = "float64") -> Drawn:
    check_parameters("exponential", lambd=rate)
    uniforms, after = _unit64(state, n)
    return rounded_to(-1.0 / rate * libm(math.log1p, -uniforms), dtype), after


def _cauchy(
    state: Words, n: int, *, median: float = 0.0, sigma: float = 1.0, dtype: str = "float64"
) -> Drawn:
    check_parameters("cauchy", sigma=sigma)
    uniforms, after = _unit64(state, n)
    tangent = libm(math.tan, math.pi * (uniforms - 0.5))
    return rounded_to(fma64(tangent, sigma, median), dtype), after


def _geometric(state: Words, n: int, *, p: float, dtype: str = "float64") -> Drawn:
    check_parameters("geometric", p=p)
    uniforms, after = _unit64(state, n)
    return rounded_to(np.ceil(libm_log(uniforms) / math.log1p(-p)), dtype), after


# ---- integers ------------------------------------------------------------------------------------


def _range_bits(span: int, bits: int | None) -> int:
    if not 0 < span < 2**64 or bits not in (None, 32, 64):
        raise ValueError(f"random_range of span {span} from {bits} raw bits")
    return bits or (32 if span < 1 << 28 else 64)


def _random_range(
    state: Words, n: int, *, span: int, low: int = 0, bits: int | None = None
) -> Drawn:
    if _range_bits(span, bits) == 32:
        words, after = take_words(state, n)
        values = words % np.uint32(span) if span < 2**32 else words
        return values.astype(np.int64) + np.int64(low), after
    raw, after = _bits64(state, n)
    return (raw % np.uint64(span)).view(np.int64) + np.int64(low), after


def _advance_range(
    state: Words, n: int, *, span: int, low: int = 0, bits: int | None = None
) -> Words:
    return skip_words(state, n * _range_bits(span, bits) // 32)


def _check_permutation(n: int) -> None:
    if n >= LARGE_PERMUTATION:
        raise NotImplementedError(
            f"a random permutation of {n} elements, {LARGE_PERMUTATION} or more"
        )


def _permutation(state: Words, n: int) -> Drawn:
    """Fisher and Yates from the front: element i changes places with one of i .. n - 1."""
    _check_permutation(n)
    words, after = take_words(state, max(0, n - 1))
    steps = np.arange(words.size, dtype=np.uint32)
    targets = (words % (np.uint32(n) - steps) + steps).astype(np.int64)
    return (_exchanged_at_once if n > FEW_EXCHANGES else _exchanged)(targets, n), after


def _exchanged(targets: Array, n: int) -> Array:
    """0 .. n - 1 after each place i in turn was exchanged with place targets[i] >= i."""
    order = list(range(n))
    for index, target in enumerate(targets.tolist()):
        order[index], order[target] = order[target], order[index]
    return np.array(order, np.int64)


def _exchanged_at_once(targets: Array, n: int) -> Array:
    """As `_exchanged`, without going through the exchanges in turn.

    Exchange i leaves in place i, for good, what place targets[i] held: what the last exchange
    before i with that target put there, and that is what then lay in place i itself. So each place
    leads to an earlier exchange, that to a place, and so on to one that none had touched.
    """
    count = targets.size
    keys = targets << 32
    keys |= np.arange(count)
    keys.sort()
    places, times = keys >> 32, keys & 0xFFFFFFFF
    same = places[1:] == places[:-1]
    previous = np.full(count, -1, np.int64)  # the exchange before, with the same target
    np.copyto(previous[1:], times[:-1], where=same)
    before = np.empty(count, np.int64)
    before[times] = previous
    ends = np.append(np.flatnonzero(~same), count - 1)
    ended, last = places[ends], times[ends]
    last = np.where(last == ended, previous[ends], last)  # less the exchange of a place with itself
    origin = np.arange(n)
    origin[ended] = np.where(last < 0, ended, last)
    going = ended[origin.take(ended) != ended]  # the places whose origin is not known yet
    while going.size:
        there = origin.take(going)
        further = origin.take(there)
        origin[going] = further
        going = going[further != there]
    order: Array = origin.copy()
    order[:count] = np.where(before < 0, targets, origin.take(before, mode="clip"))
    return order


def _advance_permutation(state: Words, n: int) -> Words:
    _check_permutation(n)
    return skip_words(state, max(0, n - 1))


# ---- the table -----------------------------------------------------------------------------------


def _words_each(words: int) -> Advance:
    """The advance of a kind whose values cost `words` raw words each, whatever the parameters."""

    def skip(state: Words, n: int, **attributes: Any) -> Words:
        return skip_words(state, words * n)

    return skip


def _by_drawing(function: Draw) -> Advance:
    """The advance of a kind whose cost depends on the values drawn."""

    def after(state: Words, n: int, *operands: Array, **attributes: Any) -> Words:
        return function(state, n, *operands, **attributes)[1]

    return after


def _advance_multinomial(state: Words, n: int, weights: Array) -> Words:
    return skip_words(state, 2 * n * weights.shape[0])


KINDS: dict[str, Kind] = {
    "bits32": Kind(take_words, _words_each(1), "uint32"),
    "bits64": Kind(_bits64, _words_each(2), "uint64"),
    "uniform32": Kind(_uniform32, _words_each(1), "float32"),
    "uniform64": Kind(_uniform64, _words_each(2), "float64"),
    "uniform_float16": Kind(_uniform16("float16"), _words_each(1), "float16"),
    "uniform_bfloat16": Kind(_uniform16("bfloat16"), _words_each(1), "bfloat16"),
    "uniform_where": Kind(_uniform_where, _by_drawing(_uniform_where), "float64"),
    "normal_float32": _normal("float32"),
    "normal_float64": _normal("float64"),
    "normal_float16": _normal("float16"),
    "normal_bfloat16": _normal("bfloat16"),
    "bernoulli": Kind(_bernoulli, _words_each(2), "bool"),
    "exponential": Kind(_exponential, _words_each(2), "dtype"),
    "cauchy": Kind(_cauchy, _words_each(2), "dtype"),
    "log_normal": Kind(_log_normal, _advance_log_normal, "dtype"),
    "geometric": Kind(_geometric, _words_each(2), "dtype"),
    "random_range": Kind(_random_range, _advance_range, "int64"),
    "permutation": Kind(_permutation, _advance_permutation, "int64"),
    "poisson": Kind(draw_poisson, _by_drawing(draw_poisson), "float64"),
    "multinomial": Kind(draw_multinomial, _advance_multinomial, "int64"),
}
