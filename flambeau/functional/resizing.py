"""Interpolation of images, with torch.nn.functional's signatures.

An axis is resized by taps: each place of the result is a sum of few elements times weights that
depend on the place alone. Nearest neighbours have one tap, linear interpolation two, cubic four;
with antialiasing as many as the axis shrinks, a banded matrix where those are very many.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.functional.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from flambeau.functional.array_resize import resize_array
from flambeau.functional.neural import ImageOp, column, record, widened
from flambeau.functional.options import checked_call
from flambeau.functional.plain_data import writable
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.contraction import dot
from flambeau.ops.indexed import take
from flambeau.ops.value import Shape, Value
from flambeau.record.options import OPTIONS
from flambeau.tensor.tensor import Tensor, from_fresh

Taps = list[tuple[Value, Value | None]]  # (index into the axis, weight), each [result extent]
Sizes = tuple[int, ...]
Scales = tuple[float, ...]

CUBIC, CUBIC_ANTIALIAS = -0.75, -0.5
MOST_TAPS = 32  # with antialiasing; more are a matrix
SUPPORTS = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}
RANKS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5, "lanczos": 4}


def _step(n: int, o: int, align_corners: bool, factor: float | None) -> float:
    """How far the input's coordinate moves per element of the result."""
    if align_corners:
        return (n - 1) / (o - 1) if o > 1 else 0.0
    return 1.0 / factor if factor is not None and factor > 0 else n / o


def _numbers(count: int, dtype: DType) -> Value:
    return ar.cast(source.iota(size=count), dtype)


def _coordinates(n: int, o: int, align_corners: bool, factor: float | None, dtype: DType) -> Value:
    """The input's coordinate at each element's centre."""
    step = _step(n, o, align_corners, factor)
    if align_corners:
        return _numbers(o, dtype) * step
    return (_numbers(o, dtype) + 0.5) * step - 0.5


def _nearest(n: int, o: int, factor: float | None, dtype: DType, centred: bool) -> Taps:
    number = _numbers(o, dtype)
    at = (number + 0.5 if centred else number) * _step(n, o, False, factor)
    return [(ar.minimum(ar.cast(el.floor(at), dtypes.int64), n - 1), None)]


def _linear(n: int, o: int, align_corners: bool, factor: float | None, dtype: DType) -> Taps:
    if n == o:
        return []
    at = _coordinates(n, o, align_corners, factor, dtype)
    at = el.maximum(at, ar.zeros_like(at))
    low = ar.minimum(ar.cast(el.floor(at), dtypes.int64), n - 1)
    rest = at - ar.cast(low, dtype)
    rest = el.minimum(el.maximum(rest, ar.zeros_like(rest)), ar.full_like(rest, 1.0))
    return [(low, 1.0 - rest), (ar.minimum(ar.add(low, 1), n - 1), rest)]


def cubic_weights(t: Value, a: float = CUBIC) -> list[Value]:
    """The weights of the elements at -1, 0, 1, 2 for a coordinate t in [0, 1) (Keys 1981)."""

    def near(x: Value) -> Value:
        return (x * (a + 2) - (a + 3)) * x * x + 1.0

    def far(x: Value) -> Value:
        return ((x * a - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]


def _cubic(n: int, o: int, align_corners: bool, factor: float | None, dtype: DType) -> Taps:
    at = _coordinates(n, o, align_corners, factor, dtype)
    low = el.floor(at)
    place = ar.cast(low, dtypes.int64)
    return [
        (ar.maximum(ar.minimum(ar.add(place, k - 1), n - 1), 0), weight)
        for k, weight in enumerate(cubic_weights(at - low))
    ]


def _tapped(x: Value, a: int, taps: Taps) -> Value:
    """Axis `a` resized by taps; summed up in the result's own order of memory."""
    order = (a, *(b for b in range(x.ndim) if b != a))
    back = tuple(order.index(b) for b in range(x.ndim))
    front = view.permute(x, order=order)
    total: Value | None = None
    for index, weight in taps:
        rows = view.permute(take(front, index, what="index"), order=back)
        if weight is not None:
            shape = tuple(weight.size if b == a else 1 for b in range(x.ndim))
            rows = rows * ar.expand(column(weight, shape), rows.shape)
        total = rows if total is None else total + rows
    assert total is not None
    return total


# ---- antialiasing -------------------------------------------------------------------------------


def _filter(mode: str, x: Value) -> Value:
    """A resampling filter at distances x from its centre; zero outside its support."""
    x = el.abs_(x)
    zero = ar.zeros_like(x)
    if mode == "bilinear":
        return el.maximum(1.0 - x, zero)
    if mode == "bicubic":
        a = CUBIC_ANTIALIAS
        near = ((x * (a + 2) - (a + 3)) * x) * x + 1.0
        far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
        return el.where(ar.lt(x, 1.0), near, el.where(ar.lt(x, 2.0), far, zero))
    safe = el.where(ar.eq(x, 0), ar.full_like(x, 1.0), x * math.pi)
    value = el.sin(safe) / safe * (el.sin(safe / 3.0) / (safe / 3.0))
    inside = el.where(ar.lt(x, 3.0), value, zero)
    return el.where(ar.eq(x, 0), ar.full_like(x, 1.0), inside)


def _antialias(
    n: int, o: int, mode: str, step: float, dtype: DType
) -> tuple[Value, Value, Callable[[Value, Value], Value]]:
    """[o] each: the first element that a result is made of, and that behind its last; and the
    weights of those at places [.., o] (0 outside), where the results' first elements are given.
    """
    reach = SUPPORTS[mode] * max(step, 1.0)
    centre = (_numbers(o, dtype) + 0.5) * step
    first = ar.maximum(ar.cast(el.trunc(centre - reach + 0.5), dtypes.int64), 0)
    last = ar.minimum(ar.cast(el.trunc(centre + reach + 0.5), dtypes.int64), n)

    def weights(place: Value, inside: Value) -> Value:
        distance = ar.sub(ar.cast(place, dtype), centre) + 0.5
        found = _filter(mode, distance * (1.0 / step if step >= 1.0 else 1.0))
        found = el.where(inside, found, ar.zeros_like(found))
        total = column(rd.sum_(found, axes=(0,)), (1, o))
        return found / ar.expand(total, found.shape)

    return first, last, weights


def _antialias_taps(n: int, o: int, mode: str, step: float, dtype: DType) -> tuple[Value, Value]:
    """[t, o] each: the elements that a result is made of, and their weights, which sum to 1. One of
    fewer elements has the first one again, of weight 0.
    """
    first, last, weights = _antialias(n, o, mode, step, dtype)
    count = _tap_count(mode, step)
    place = ar.add(column(source.iota(size=count), (count, 1)), first)
    inside = ar.lt(place, last)
    return el.where(inside, place, ar.expand(first, (count, o))), weights(place, inside)


def _tap_count(mode: str, step: float) -> int:
    """The most elements that a result is made of."""
    return 2 * math.ceil(SUPPORTS[mode] * max(step, 1.0)) + 1


def _antialias_matrix(n: int, o: int, mode: str, step: float, dtype: DType) -> Value:
    """[n, o]: the weight of input element i in result element j; columns sum to 1."""
    first, last, weights = _antialias(n, o, mode, step, dtype)
    place = column(source.iota(size=n), (n, 1))
    return weights(place, ar.logical_and(ar.ge(place, first), ar.lt(place, last)))


def _row(x: Value, number: int) -> Value:
    """A row of a matrix."""
    o = x.shape[1]
    row = view.slice_(x, starts=(number, 0), sizes=(1, o), steps=(1, 1))
    return view.reshape(row, shape=(o,))


def _antialiased(
    x: Value, a: int, o: int, mode: str, step: float, dtype: DType, rounded: Any = lambda w: w
) -> Value:
    """Axis `a` with weights of a dtype (`rounded`, and then in that of x): by taps where these are
    few, else by a matrix.
    """
    n = x.shape[a]
    if _tap_count(mode, step) > MOST_TAPS:
        return _mixed(x, a, ar.cast(rounded(_antialias_matrix(n, o, mode, step, dtype)), x.dtype))
    places, weights = _antialias_taps(n, o, mode, step, dtype)
    weights = ar.cast(rounded(weights), x.dtype)
    return _tapped(x, a, [(_row(places, t), _row(weights, t)) for t in range(places.shape[0])])


def _mixed(x: Value, a: int, matrix: Value) -> Value:
    """Axis `a` multiplied by a matrix [n, o]."""
    n, o = matrix.shape
    order = (*(b for b in range(x.ndim) if b != a), a)
    last = view.permute(x, order=order)
    product = dot(view.reshape(last, shape=(last.size // n, n)), matrix)
    product = view.reshape(product, shape=(*last.shape[:-1], o))
    return view.permute(product, order=tuple(order.index(b) for b in range(x.ndim)))


# ---- bytes --------------------------------------------------------------------------------------


def _tap_matrix(n: int, taps: Taps) -> Value:
    """[n, o]: taps as a matrix; those that the edge holds back are added up."""
    total: Value | None = None
    for index, weight in taps:
        assert weight is not None
        shape = (n, weight.size)
        here = ar.eq(column(source.iota(size=n), (n, 1)), index)
        wide = ar.expand(weight, shape)
        part = el.where(here, wide, ar.zeros_like(wide))
        total = part if total is None else total + part
    assert total is not None
    return total


def _sixteen_bits(*weights: Value) -> list[Value]:
    """Weights (float64) as PyTorch has them for bytes: integers below 2^15 over a power of two."""
    most = rd.max_(weights[0], axes=tuple(range(weights[0].ndim)))
    for other in weights[1:]:
        most = el.maximum(most, rd.max_(other, axes=tuple(range(other.ndim))))
    powers = el.shift_left(ar.full((22,), 1, dtypes.int64), source.iota(size=22))
    twice = ar.cast(powers, most.dtype) * 2.0
    fits = ar.lt(el.floor(twice * ar.expand(most, (22,)) + 0.5), 1 << 15)
    scale = ar.add(rd.sum_(el.where(fits, powers, ar.zeros_like(powers)), axes=(0,)), 1)
    scale = ar.cast(scale, most.dtype)
    rounded = []
    for weight in weights:
        wide = ar.expand(scale, weight.shape)
        half = el.where(ar.lt(weight, 0), ar.full_like(weight, -0.5), ar.full_like(weight, 0.5))
        rounded.append(el.trunc(weight * wide + half) / wide)
    return rounded


def _as_bytes(x: Value) -> Value:
    """A float result as bytes: rounded and limited."""
    x = el.floor(x + 0.5)
    x = el.minimum(el.maximum(x, ar.zeros_like(x)), ar.full_like(x, 255.0))
    return ar.cast(x, dtypes.uint8)


def _resized_bytes(
    x: Value, mode: str, out: Shape, factors: Scales | None, align_corners: bool, antialias: bool
) -> Value:
    """Both axes with weights of few bits, rounded after each; all sums are exact."""
    for a in (3, 2):
        n, o = x.shape[a], out[a - 2]
        if n == o:
            continue
        factor = None if factors is None else factors[a - 2]
        few = not antialias or n <= o or (mode == "bilinear" and n <= 3 * o)
        whole = dtypes.float32 if few else dtypes.float64  # (sums of up to 24 bits, or more)
        wide = ar.cast(x, whole)
        if antialias:
            step = _step(n, o, align_corners, factor)
            x = _as_bytes(
                _antialiased(wide, a, o, mode, step, dtypes.float64, lambda w: _sixteen_bits(w)[0])
            )
            continue
        if mode == "bicubic":
            matrix = _tap_matrix(n, _cubic(n, o, align_corners, factor, dtypes.float64))
        else:
            taps = _linear(n, o, align_corners, factor, dtypes.float64)
            weights = _sixteen_bits(*(weight for _, weight in taps if weight is not None))
            small: Taps = [
                (at, ar.cast(w, whole)) for (at, _), w in zip(taps, weights, strict=True)
            ]
            x = _as_bytes(_tapped(wide, a, small))
            continue
        x = _as_bytes(_mixed(wide, a, ar.cast(_sixteen_bits(matrix)[0], whole)))
    return x


# ---- the event ----------------------------------------------------------------------------------


def _output(x: Value, size: Sizes | None, factors: Scales | None) -> Shape:
    space = x.shape[2:]
    if size is None:
        assert factors is not None
        size = tuple(int(n * f) for n, f in zip(space, factors, strict=True))
    if min(*space, *size, 1) <= 0:
        lead = {3: "W", 4: "H, W", 5: "D, H, W"}[x.ndim]
        parts = [
            f"({', '.join(f'{c}: {n}' for c, n in zip(lead.split(', '), part, strict=True))})"
            for part in (space, size)
        ]
        raise RuntimeError(
            "Input and output sizes should be greater than 0, but got input "
            f"{parts[0]} output {parts[1]}"
        )
    if not math.prod(x.shape[1:]) and x.size == 0:
        raise RuntimeError(
            f"Non-empty {x.ndim}D data tensor expected but got a tensor with sizes {list(x.shape)}"
        )
    return size


def _resized(
    x: Value,
    mode: str,
    size: Sizes | None,
    factors: Scales | None,
    align_corners: bool,
    antialias: bool,
) -> Value:
    out = _output(x, size, factors)
    bytes_too = mode.startswith("nearest") or x.ndim == 4
    if not x.dtype.is_floating_point and not (x.dtype is dtypes.uint8 and bytes_too):
        raise NotImplementedError(
            f"\"{_kernel(mode, x.ndim)}\" not implemented for '{x.dtype.scalar_name}'"
        )
    if x.dtype is dtypes.uint8 and x.ndim == 4 and not mode.startswith("nearest"):
        return _resized_bytes(x, mode, out, factors, align_corners, antialias)
    whole = dtypes.float32 if x.dtype is dtypes.uint8 else widened(x).dtype
    result = x if mode.startswith("nearest") else ar.cast(x, whole)
    for a in range(x.ndim - 1, 1, -1):  # the last axis first
        n, o = x.shape[a], out[a - 2]
        factor = None if factors is None else factors[a - 2]
        if mode.startswith("nearest"):
            if n * (o // n) == o and (factor is None or factor == o / n):
                result = _repeated(result, a, o // n)
            else:
                result = _tapped(result, a, _nearest(n, o, factor, whole, mode != "nearest"))
            continue
        if antialias:
            step = _step(n, o, align_corners, factor)
            if n != o or step != 1.0:
                result = _antialiased(result, a, o, mode, step, whole)
        else:
            taps = (_cubic if mode == "bicubic" else _linear)(n, o, align_corners, factor, whole)
            result = _tapped(result, a, taps) if taps else result
    return ar.cast(result, x.dtype)


def _repeated(x: Value, a: int, count: int) -> Value:
    """Each element of axis `a` `count` times: nearest neighbours at a whole factor."""
    if count == 1:
        return x
    split = view.reshape(x, shape=(*x.shape[: a + 1], 1, *x.shape[a + 1 :]))
    wide = ar.expand(split, (*x.shape[: a + 1], count, *x.shape[a + 1 :]))
    return view.reshape(wide, shape=(*x.shape[:a], x.shape[a] * count, *x.shape[a + 1 :]))


def _kernel(mode: str, ndim: int) -> str:
    if mode.startswith("nearest"):
        return f"compute_indices_weights_{mode.split('-')[0]}"
    return f"compute_indices_weights_{'cubic' if mode == 'bicubic' else 'linear'}"


def _grad_name(mode: str, ndim: int, antialias: bool) -> str:
    rank = ndim - 2
    word = {"nearest": "Nearest", "nearest-exact": "NearestExact", "lanczos": "Lanczos"}.get(
        mode, "Bicubic" if mode == "bicubic" else ("", "Linear", "Bilinear", "Trilinear")[rank]
    )
    return f"Upsample{word}{rank}D{'Aa' if antialias else ''}Backward0"


EVENTS = {
    (mode, ndim, antialias): ImageOp(
        f"upsample_{mode}{ndim - 2}d", _resized, _grad_name(mode, ndim, antialias)
    )
    for mode in ("nearest", "nearest-exact", *RANKS)
    for ndim in (3, 4, 5)
    for antialias in (False, True)
}
AREA: dict[int, Callable[..., Tensor]] = {
    3: adaptive_avg_pool1d,
    4: adaptive_avg_pool2d,
    5: adaptive_avg_pool3d,
}


def _for_each(given: Any, input: Tensor, what: str) -> list[Any] | None:
    """One number per axis of space."""
    rank = input.ndim - 2
    if given is None:
        return None
    if not isinstance(given, (tuple, list)):
        return [given] * rank
    if len(given) == rank:
        return list(given)
    space = list(input.shape[2:])
    if what == "size":
        raise ValueError(
            "Input and output must have the same number of spatial dimensions, but got input with "
            f"spatial dimensions of {space} and output size of {given}. Please provide input "
            "tensor in (N, C, d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) format."
        )
    raise ValueError(
        "Input and scale_factor must have the same number of spatial dimensions, but got input "
        f"with spatial dimensions of {space} and scale_factor of shape {given}. Please provide "
        "input tensor in (N, C, d1, d2, ...,dK) format and scale_factor in (s1, s2, ...,sK) format."
    )


def _sizes_and_scales(
    input: Tensor, size: Any, scale_factor: Any, recompute: bool
) -> tuple[Sizes | None, Scales | None]:
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    sizes = _for_each(size, input, "size")
    factors = _for_each(scale_factor, input, "scale_factor")
    if sizes is not None:
        if not all(hasattr(n, "__index__") for n in sizes):
            raise TypeError(
                "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, "
                f"int, int], but got size with types {[type(n) for n in sizes]}"
            )
        if recompute and scale_factor is None:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return tuple(int(n) for n in sizes), None
    assert factors is not None
    scales = tuple(float(f) for f in factors)
    if recompute:
        return tuple(int(n * f) for n, f in zip(input.shape[2:], scales, strict=True)), None
    return None, scales


def _check_mode(input: Tensor, mode: str, align_corners: bool, antialias: bool) -> None:
    ndim = input.ndim
    if antialias and not (mode in SUPPORTS and ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )
    if mode == "lanczos" and ndim == 4:
        if align_corners:
            raise ValueError("Lanczos mode does not support align_corners=True")
        if not antialias:
            raise ValueError("Lanczos mode requires antialias=True")
    if mode in ("nearest", "nearest-exact", "area") and ndim in (3, 4, 5):
        return
    if mode in RANKS and RANKS[mode] == ndim:
        return
    if mode in ("linear", "bilinear", "trilinear") and ndim in (3, 4, 5):
        raise NotImplementedError(f"Got {ndim}D input, but {mode} mode needs {RANKS[mode]}D input")
    raise NotImplementedError(
        f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {ndim}D) for the modes: "
        "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact "
        f"(got {mode})"
    )


@checked_call
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Images [N, C, *space] resized to `size`, or by `scale_factor` (one number, or one per axis).

    Raises ValueError for contradictory arguments, NotImplementedError for a mode of another rank.
    """
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear "
            "| bicubic | trilinear"
        )
    recompute = bool(recompute_scale_factor) or (mode == "area" and size is None)
    sizes, scales = _sizes_and_scales(input, size, scale_factor, recompute)
    _check_mode(input, mode, bool(align_corners), antialias)
    if mode == "area":
        return AREA[input.ndim](input, sizes)
    if antialias and scales is None and not align_corners:
        made = _resized_at_once(input, sizes, mode)
        if made is not None:
            return made
    attributes = (mode, sizes, scales, bool(align_corners), bool(antialias))
    return record(EVENTS[mode, input.ndim, bool(antialias)], (input,), attributes)


def _resized_at_once(input: Tensor, size: Any, mode: str) -> Tensor | None:
    """Images that hold their data and need no gradient, resized without a program: each size would
    be another. None where that is not so.
    """
    dtype = input.dtype
    known = (dtype is dtypes.uint8 or dtype is dtypes.float32) and mode in ("bilinear", "bicubic")
    if not known or min(*size, *input.shape) <= 0 or input._meta.steps is not None:
        return None
    if OPTIONS.watch_nan or not writable(input):
        return None
    return from_fresh(resize_array(input._array(), list(size), mode), dtype)


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` under its older name."""
    _warn("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with the nearest neighbours, under an older name."""
    _warn("upsample_nearest")
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Linear `interpolate` with aligned corners, under an older name."""
    _warn("upsample_bilinear")
    return interpolate(input, size, scale_factor, "bilinear", True)


def _warn(name: str) -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=3,
    )


# Names of torch.nn.functional; the torch namespace has none of them.
__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]
