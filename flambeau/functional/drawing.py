"""Functions that draw as they go: choices by weights, rrelu in training, fractional max-pooling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.functional import randomness
from flambeau.functional.generators import Generator, default_generator
from flambeau.functional.neural import (
    column,
    float_operand,
    hashable,
    record,
    sizes,
)
from flambeau.functional.options import not_implemented
from flambeau.functional.rearranging import part
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.indexed import take
from flambeau.ops.ordered import argsort
from flambeau.ops.randomness import require
from flambeau.ops.value import Shape, Value
from flambeau.record.events import PureOp, RandomOp
from flambeau.record.recorder import detach, record_many
from flambeau.tensor.tensor import Tensor

# ---- choices by weights --------------------------------------------------------------------------

REFUSED = "probability tensor contains either `inf`, `nan` or element < 0"
NOTHING = "invalid multinomial distribution (sum of probabilities <= 0)"


def _chosen(state: Value, weights: Value, count: int) -> tuple[Value, Value]:
    """The `count` places of each row whose weights over exponential noise are largest."""
    parameters = (("rate", 1.0), ("dtype", weights.dtype.name))
    flat, after = randomness.draw(state, "exponential", weights.size, parameters)
    fine = ar.logical_and(ar.ge(weights, 0), el.lt(weights, ar.full_like(weights, math.inf)))
    weights = require(weights, fine, error=("RuntimeError", REFUSED))
    total = rd.sum_(weights, axes=(weights.ndim - 1,))
    some = el.lt(ar.zeros_like(total), total)
    weights = require(weights, some, error=("RuntimeError", NOTHING))
    scores = el.div(weights, view.reshape(flat, shape=weights.shape))
    axis = weights.ndim - 1
    if count == 1:
        best = rd.argmax(scores, axes=(axis,))
        return view.reshape(best, shape=(*best.shape, 1)), after
    order = argsort(scores, axis=axis, descending=True, first=count)
    return part(order, axis, 0, count), after


CHOOSE = RandomOp("multinomial", _chosen)


def chosen(input: Tensor, count: int, generator: Generator | None) -> Tensor:
    """`count` different places of each row (contiguous), drawn by its weights, which are looked at
    at once.
    """
    state = (default_generator if generator is None else generator)._state
    weights = detach(input) if input._meta.requires_grad else input
    made: Tensor = record(CHOOSE, (state, weights), (count,))
    made._settled()
    return made


# ---- rrelu --------------------------------------------------------------------------------------


def _randomly_sloped(state: Value, x: Value, low: float, high: float) -> tuple[Value, Value]:
    wide = float_operand(x, "rrelu_with_noise_out_cpu")
    negative = el.le(wide, ar.zeros_like(wide))
    mask = view.reshape(source.detach(negative), shape=(x.size,))
    flat, after = randomness.draw(
        state, "uniform_where", x.size, (("low", low), ("high", high)), mask
    )
    slopes = ar.cast(view.reshape(flat, shape=x.shape), wide.dtype)
    return ar.cast(el.where(negative, wide * slopes, wide), x.dtype), after


RANDOM_SLOPES = RandomOp("rrelu_with_noise", _randomly_sloped, "RreluWithNoiseBackward0")


def randomly_sloped(input: Tensor, low: float, high: float, inplace: bool) -> Tensor:
    """x where positive, elsewhere x times a slope drawn uniformly from [low, high)."""
    generator = default_generator._state
    result = record(RANDOM_SLOPES, (generator, input), (low, high))
    if not inplace:
        return result
    from flambeau.functional.inplace import copy_

    written: Tensor = copy_(input, result)
    return written


# ---- fractional max-pooling ---------------------------------------------------------------------

AXES = ("time", "height", "width")


def _starts(samples: Value, n: int, kernel: int, out: int) -> Value:
    """[N, C, out]: where the windows of an axis begin, from samples [N, C] in [0, 1)."""
    last = n - kernel
    shape = (*samples.shape, out)
    if out == 1:
        return ar.full(shape, last, dtypes.int64)
    step = ar.full((), last, samples.dtype)
    step = el.div(step, ar.full((), out - 1, samples.dtype))
    sample = ar.expand(column(samples, (*samples.shape, 1)), shape)
    number = ar.expand(ar.cast(source.iota(size=out), samples.dtype), shape)
    step = ar.expand(step, shape)
    at = el.trunc((number + sample) * step) - el.trunc(sample * step)
    at = ar.cast(at, dtypes.int64)
    return ar.where(ar.expand(ar.eq(source.iota(size=out), out - 1), shape), last, at)


def _check(name: str, x: Value, samples: Value, kernel: Shape, out: Shape) -> None:
    rank = len(kernel)
    first = 1 if x.ndim == rank + 2 else 0
    for a in range(first, x.ndim):
        if x.shape[a] == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but "
                f"got{list(x.shape)} with dimension {a} being empty."
            )
    if x.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but got: {list(x.shape)}"
        )
    called = name if rank == 2 else f"{name}_out"
    for word, n, k, o in zip(AXES[3 - rank :], x.shape[-rank:], kernel, out, strict=True):
        if o + k - 1 > n:
            raise RuntimeError(
                f"{called}(): pool {word} {k} too large relative to input {word} {n}"
            )
    if not x.dtype.is_floating_point:
        raise not_implemented(f"{name}_out_frame", x.dtype)
    batch = x.shape[0] if first else 1
    if samples.shape[0] < batch:
        raise RuntimeError("Expect _random_samples.size(0) no less then input batch size.")
    if samples.shape[1] != x.shape[-rank - 1]:
        raise RuntimeError("Expect _random_samples.size(1) equals to input channel size.")
    if samples.shape[2] != rank:
        raise RuntimeError(
            f"Expect _random_samples.size(2) equals to {rank}; got {samples.shape[2]}."
        )


def _sample(samples: Value, batch: int, place: int) -> Value:
    """[N, C]: number `place` of each channel's samples."""
    shape = (batch, samples.shape[1], 1)
    part = view.slice_(samples, starts=(0, 0, place), sizes=shape, steps=(1, 1, 1))
    return view.reshape(part, shape=shape[:2])


def _pooled(name: str) -> Callable[..., tuple[Value, Value]]:
    def apply(x: Value, samples: Value, kernel: Shape, out: Shape) -> tuple[Value, Value]:
        _check(name, x, samples, kernel, out)
        rank, shape = len(kernel), x.shape
        space, channels = shape[-rank:], shape[-rank - 1]
        batch = math.prod(shape[: -rank - 1])
        whole = (batch, channels, *out, *kernel)  # a window at each place of the result
        flat = ar.full((1,) * len(whole), 0, dtypes.int64)
        starts = []
        for a in range(rank):
            # The samples are for width, height in two dimensions; time, height, width in three.
            drawn = _sample(samples, batch, rank - 1 - a if rank == 2 else a)
            start = _starts(drawn, space[a], kernel[a], out[a])
            ones = tuple(out[a] if i == a else 1 for i in range(rank))
            start = view.reshape(start, shape=(batch, channels, *ones))
            starts.append(start)
            begin = view.reshape(start, shape=(*start.shape, *(1,) * rank))
            inner = tuple(kernel[a] if i == a else 1 for i in range(rank))
            within = view.reshape(source.iota(size=kernel[a]), shape=(1,) * (2 + rank) + inner)
            flat = ar.add(ar.mul(flat, space[a]), ar.add(begin, within))
        planes = view.reshape(source.iota(size=batch * channels), shape=(batch, channels))
        planes = ar.mul(planes, math.prod(space))
        elements = view.reshape(x, shape=(x.size,))
        index = ar.add(ar.expand(flat, whole), column(planes, (batch, channels) + (1,) * 2 * rank))
        windows = take(source.detach(elements), index, what="index")
        windows = view.reshape(windows, shape=(*whole[: 2 + rank], math.prod(kernel)))
        inside = rd.argmax(windows, axes=(2 + rank,))
        winner = ar.full((1,) * inside.ndim, 0, dtypes.int64)
        for a in range(rank):
            later = math.prod(kernel[a + 1 :])
            place = ar.binary(el.remainder, ar.binary(el.floor_divide, inside, later), kernel[a])
            winner = ar.add(ar.mul(winner, space[a]), ar.add(starts[a], place))
        at = ar.add(winner, column(planes, (batch, channels) + (1,) * rank))
        result = take(elements, at, what="index")
        final = (*shape[:-rank], *out)
        return view.reshape(result, shape=final), view.reshape(winner, shape=final)

    return apply


def _output_size(name: str, input: Tensor, rank: int, size: Any, ratio: Any) -> Shape:
    if size is None and ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if size is not None:
        return sizes(size, rank, "output_size", name)
    ratios = tuple(ratio) if isinstance(ratio, (tuple, list)) else (ratio,) * rank
    if len(ratios) != rank:
        raise ValueError(
            f"{name} requires output_ratio to either be a single Int or tuple of Ints."
        )
    return tuple(int(n * r) for n, r in zip(input.shape[-rank:], ratios, strict=True))


def _fractional(rank: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    name = f"fractional_max_pool{rank}d"
    op = PureOp(name, _pooled(name), f"FractionalMaxPool{rank}DBackward0")

    def with_indices(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        out = _output_size(name, input, rank, output_size, output_ratio)
        parts = hashable(kernel_size)
        if isinstance(parts, tuple) and len(parts) not in (1, rank):
            raise RuntimeError(f"{name}: kernel_size must either be a single Int or tuple of Ints")
        kernel = sizes(parts, rank, "kernel_size", name)
        if _random_samples is None:
            batch = 1 if input.ndim == rank + 1 else input.shape[0]
            channels = input.size(-rank - 1)
            _random_samples = randomness.rand(batch, channels, rank, dtype=input.dtype)
        values, indices = record_many(op, (input, _random_samples), (kernel, out))
        return values, indices

    def pool(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> Any:
        try:
            both = with_indices(
                input, kernel_size, output_size, output_ratio, return_indices, _random_samples
            )
            return both if return_indices else both[0]
        except Exception:
            refuse_misgiven()
            raise

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = (
        "Maxima over windows whose starts are drawn, so that the result has output_size (or "
        "output_ratio of the input's); also their flat indices if asked (Graham 2014)."
    )
    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = f"{name} and the flat index of each maximum."
    return pool, with_indices


fractional_max_pool2d, fractional_max_pool2d_with_indices = _fractional(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = _fractional(3)

METHODS: dict[str, Callable[..., Any]] = {}

# Names of torch.nn.functional; the torch namespace has none of them.
__all__ = [
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
]
