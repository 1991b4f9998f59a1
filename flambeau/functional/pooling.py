"""Pooling over the last one, two or three axes, with torch.nn.functional's signatures.

Maxima are the window primitives of `flambeau.ops.window`; means are sums over `windows` (a reshape
where windows tile the axis). Adaptive pools whose windows differ in
size gather them into equal blocks first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.functional.neural import (
    column,
    divided,
    hashable,
    not_a_tensor,
    record,
    sizes,
    unary,
    widened,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.indexed import put_set, take
from flambeau.ops.randomness import require
from flambeau.ops.value import Shape, Value
from flambeau.ops.window import max_pool, max_pool_index
from flambeau.record.events import PureOp
from flambeau.record.recorder import record_many
from flambeau.tensor.tensor import Tensor


@dataclass(frozen=True)
class Geometry:
    """Windows over the last axes: sizes, steps, padding, dilations, and the number of positions."""

    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    positions: Shape

    @property
    def window(self) -> dict[str, Shape]:
        return {"sizes": self.kernel, "steps": self.stride, "dilations": self.dilation}

    def high(self, space: Shape) -> Shape:
        """What to add behind each axis so that every window fits."""
        spans = zip(
            self.positions,
            self.stride,
            self.kernel,
            self.dilation,
            self.padding,
            space,
            strict=True,
        )
        return tuple(max((o - 1) * s + d * (k - 1) + 1 - p - n, 0) for o, s, k, d, p, n in spans)


def _by(parts: Shape) -> str:
    return "x".join(map(str, parts))


def _geometry(
    name: str, x: Value, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Geometry:
    """Checked arguments of a pool; RuntimeError in PyTorch's words."""
    rank = int(name[-2])
    k = sizes(kernel, rank, "kernel_size", name)
    s = k if stride is None or stride == () else sizes(stride, rank, "stride", name)
    p, d = sizes(padding, rank, "padding", name), sizes(dilation, rank, "dilation", name)
    if any(n == 0 for n in s):
        raise RuntimeError("stride should not be zero")
    if any(n <= 0 for n in (*k, *s, *d)):
        raise RuntimeError(
            f"{name}: kernel size, stride and dilation should be greater than zero, but got "
            f"kernel_size={k}, "
            f"stride={s}, dilation={d}"
        )
    for one_p, one_k, one_d in zip(p, k, d, strict=True):
        if one_p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {one_p}")
        if one_p > ((one_k - 1) * one_d + 1) // 2:
            if name == "max_pool1d":
                raise RuntimeError(
                    "max_pool1d() padding should be at most half of kernel size, but got "
                    f"padding={one_p} and kernel_size={one_k}"
                )
            raise RuntimeError(
                "pad should be at most half of effective kernel size, but got "
                f"pad={one_p}, kernel_size={one_k} and dilation={one_d}"
            )
    space = x.shape[-rank:]
    out = []
    for n, one_k, one_s, one_p, one_d in zip(space, k, s, p, d, strict=True):
        free = n + 2 * one_p - one_d * (one_k - 1) - 1
        count = (free + (one_s - 1 if ceil_mode else 0)) // one_s + 1
        if ceil_mode and (count - 1) * one_s >= n + one_p:
            count -= 1  # the last window would begin in the padding
        out.append(count)
    positions = tuple(out)
    if any(n < 1 for n in positions):
        if name == "max_pool1d":
            raise RuntimeError(f"max_pool1d() Invalid computed output size: {positions[0]}")
        lead = () if name == "avg_pool1d" and x.ndim == 2 else (x.shape[-rank - 1],)
        before, after = (*lead, *space), (*lead, *positions)
        if name == "avg_pool1d":
            before, after = (*lead, 1, *space), (*lead, 1, *positions)
        raise RuntimeError(
            f"Given input size: ({_by(before)}). Calculated output size: ({_by(after)}). "
            "Output size is too small"
        )
    return Geometry(k, s, p, d, positions)


def _check_rank(name: str, x: Value) -> None:
    rank = int(name[-2])
    if x.ndim in (rank + 1, rank + 2):
        return
    if name == "max_pool1d":
        raise RuntimeError(
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size "
            "for input, "
            f"but got:{list(x.shape)}"
        )
    if "adaptive" in name:
        raise RuntimeError(
            f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but got {list(x.shape)}"
        )
    if name == "avg_pool1d":
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {x.ndim}-dimensional tensor for argument #1 "
            "'self' (while "
            "checking arguments for avg_pool1d)"
        )
    raise RuntimeError(
        f"non-empty {rank + 1}D or {rank + 2}D (batch mode) tensor expected for input"
    )


def _lowest(dtype: DType) -> float:
    """What never wins a maximum."""
    if dtype.is_floating_point:
        return -math.inf
    return int(dtypes.iinfo(dtype).min)


def _padded(x: Value, g: Geometry, fill: float) -> Value:
    rank = len(g.kernel)
    high = g.high(x.shape[-rank:])
    if not any(g.padding) and not any(high):
        return x
    lead = (0,) * (x.ndim - rank)
    return view.pad(x, low=lead + g.padding, high=lead + high, interior=(0,) * x.ndim, value=fill)


# ---- maxima -------------------------------------------------------------------------------------


def _axis_numbers(extent: int, a: int, rank: int) -> Value:
    """0 .. extent - 1 along axis a of `rank` axes."""
    return column(source.iota(size=extent), tuple(extent if i == a else 1 for i in range(rank)))


def _flat_index(inside: Value, starts: list[Value], g: Geometry, space: Shape) -> Value:
    """Row-major places in the input of winners given by their place in the window."""
    rank = len(space)
    flat: Value | None = None
    for a in range(rank):
        later = math.prod(g.kernel[a + 1 :])
        place = ar.binary(el.remainder, ar.binary(el.floor_divide, inside, later), g.kernel[a])
        at = ar.add(starts[a], ar.mul(place, g.dilation[a]))
        # A window of -inf alone is won by padding: take its first element within the input instead.
        if g.padding[a]:
            d = g.dilation[a]
            missing = ar.binary(el.floor_divide, ar.add(ar.neg(at), d - 1), d)
            at = ar.where(ar.lt(at, 0), ar.add(at, ar.mul(missing, d)), at)
        flat = at if flat is None else ar.add(ar.mul(flat, space[a]), at)
    assert flat is not None
    return flat


def _max_pool(name: str, with_indices: bool) -> Callable[[Value, Any, Any, Any, Any, bool], Any]:
    rank = int(name[-2])

    def apply(
        x: Value, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
    ) -> Value | tuple[Value, Value]:
        _check_rank(name, x)
        g = _geometry(name, x, kernel, stride, padding, dilation, bool(ceil_mode))
        if x.dtype.kind in "bc":
            raise NotImplementedError(f"\"max_pool\" not implemented for '{x.dtype.scalar_name}'")
        padded = _padded(x, g, _lowest(x.dtype))
        result = max_pool(padded, **g.window)
        if not with_indices:
            return result
        starts = [
            ar.sub(ar.mul(_axis_numbers(g.positions[a], a, rank), g.stride[a]), g.padding[a])
            for a in range(rank)
        ]
        inside = max_pool_index(padded, **g.window)
        return result, _flat_index(inside, starts, g, x.shape[-rank:])

    return apply


def _pool_grad_name(name: str) -> str:
    rank = name[-2]
    if rank == "1":
        return "SqueezeBackward1"
    return {
        "max_pool": f"MaxPool{rank}DWithIndicesBackward0",
        "avg_pool": f"AvgPool{rank}DBackward0",
        "adaptive_avg_pool": f"AdaptiveAvgPool{rank}DBackward0",
        "adaptive_max_pool": f"AdaptiveMaxPool{rank}DBackward0",
        "max_unpool": f"MaxUnpool{rank}DBackward0",
    }[name[:-2]]


def _max_pool_function(rank: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    name = f"max_pool{rank}d"
    plain = PureOp(name, _max_pool(name, False), _pool_grad_name(name))
    indexed = PureOp(name, _max_pool(name, True), _pool_grad_name(name))

    def pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        if not isinstance(input, Tensor):
            raise not_a_tensor(name, input)
        attributes = (kernel_size, stride, padding, dilation, ceil_mode)
        for part in attributes:
            if part.__class__ is list:
                attributes = tuple([hashable(part) for part in attributes])
                break
        if return_indices:
            return tuple(record_many(indexed, (input,), attributes))
        return unary(plain, input, attributes)

    def with_indices(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Tensor, Tensor]:
        result: tuple[Tensor, Tensor] = pool(
            input, kernel_size, stride, padding, dilation, ceil_mode, True
        )
        return result

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = (
        "The largest element of each window of the last axes; also its flat index if asked."
    )
    with_indices.__name__ = with_indices.__qualname__ = name + "_with_indices"
    with_indices.__doc__ = f"{name} and the flat index of each maximum."
    return pool, with_indices


max_pool1d, max_pool1d_with_indices = _max_pool_function(1)
max_pool2d, max_pool2d_with_indices = _max_pool_function(2)
max_pool3d, max_pool3d_with_indices = _max_pool_function(3)


# ---- means --------------------------------------------------------------------------------------


def _window_sums(x: Value, g: Geometry) -> Value:
    """Sums over windows of the last axes (zeros outside)."""
    rank = len(g.kernel)
    lead = x.ndim - rank
    padded = _padded(x, g, 0)
    if g.kernel == g.stride:  # the windows tile the axes
        used = tuple(o * k for o, k in zip(g.positions, g.kernel, strict=True))
        if padded.shape[lead:] != used:
            whole = padded.shape[:lead] + used
            padded = view.slice_(padded, starts=(0,) * x.ndim, sizes=whole, steps=(1,) * x.ndim)
        parts = tuple(n for pair in zip(g.positions, g.kernel, strict=True) for n in pair)
        tiles = view.reshape(padded, shape=padded.shape[:lead] + parts)
        return rd.sum_(tiles, axes=tuple(lead + 2 * a + 1 for a in range(rank)))
    windows = view.windows(padded, **g.window)
    return rd.sum_(windows, axes=tuple(range(lead + rank, lead + 2 * rank)))


def _window_counts(g: Geometry, space: Shape, include_pad: bool, dtype: DType) -> Value | int:
    """How many elements each window counts: one number, or one per position."""
    rank = len(space)
    counts: Value | int = 1
    for a in range(rank):
        n, k, s, p = space[a], g.kernel[a], g.stride[a], g.padding[a]
        low, limit = (-p, n + p) if include_pad else (0, n)
        lengths = [min(i * s - p + k, limit) - max(i * s - p, low) for i in range(g.positions[a])]
        if len(set(lengths)) == 1:
            counts = (
                ar.mul(counts, lengths[0]) if isinstance(counts, Value) else counts * lengths[0]
            )
            continue
        start = ar.sub(ar.mul(_axis_numbers(g.positions[a], a, rank), s), p)
        length = ar.sub(ar.minimum(ar.add(start, k), limit), ar.maximum(start, low))
        counts = ar.mul(counts, ar.cast(length, dtype))
    return counts


def _avg_pool(name: str) -> Callable[..., Value]:
    def apply(
        x: Value,
        kernel: Any,
        stride: Any,
        padding: Any,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor: int | None,
    ) -> Value:
        _check_rank(name, x)
        g = _geometry(name, x, kernel, stride, padding, 1, bool(ceil_mode))
        if divisor == 0:
            raise RuntimeError("divisor must be not zero")
        wide = widened(x)
        total = _window_sums(wide, g)
        if divisor is not None:
            counts: Value | int = divisor
        else:
            counts = _window_counts(
                g, x.shape[-len(g.kernel) :], bool(count_include_pad), wide.dtype
            )
        if not x.dtype.is_floating_point:  # as PyTorch: integers truncate
            return ar.binary(el.trunc_divide, total, counts)
        return ar.cast(ar.div(total, counts), x.dtype)

    return apply


AVG_POOL = {
    rank: PureOp(
        f"avg_pool{rank}d", _avg_pool(f"avg_pool{rank}d"), _pool_grad_name(f"avg_pool{rank}d")
    )
    for rank in (1, 2, 3)
}


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of the last axis."""
    parts = (kernel_size, stride, padding)
    return unary(AVG_POOL[1], input, (*map(hashable, parts), ceil_mode, count_include_pad, None))


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of the last two axes (or its sum over divisor_override)."""
    parts = (*map(hashable, (kernel_size, stride, padding)), ceil_mode, count_include_pad)
    return unary(AVG_POOL[2], input, (*parts, divisor_override))


def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of the last three axes (or its sum over divisor_override)."""
    parts = (*map(hashable, (kernel_size, stride, padding)), ceil_mode, count_include_pad)
    return unary(AVG_POOL[3], input, (*parts, divisor_override))


def _lp_pool(name: str) -> Callable[..., Value]:
    def apply(x: Value, p: float, kernel: Any, stride: Any, ceil_mode: bool) -> Value:
        g = _geometry(name, x, kernel, stride, 0, 1, bool(ceil_mode))
        rank = len(g.kernel)
        powers = x * x if p == 2 else (x if p == 1 else ar.apply(el.pow_, (x, p), x.dtype))
        counts = _window_counts(g, x.shape[-rank:], True, x.dtype)
        mean = ar.div(_window_sums(powers, g), counts)
        zero = ar.zeros_like(mean)
        signed = el.sign(mean) * el.where(el.le(mean, zero), zero, el.abs_(mean))
        return ar.apply(el.pow_, (signed * math.prod(g.kernel), 1.0 / p), x.dtype)

    return apply


LP_POOL = {
    rank: PureOp(f"lp_pool{rank}d", _lp_pool(f"lp_pool{rank}d"), "PowBackward0")
    for rank in (1, 2, 3)
}


def _lp_pool_function(rank: int) -> Callable[..., Tensor]:
    op = LP_POOL[rank]

    def pool(
        input: Tensor,
        norm_type: float,
        kernel_size: Any,
        stride: Any = None,
        ceil_mode: bool = False,
    ) -> Tensor:
        attributes = (float(norm_type), hashable(kernel_size), hashable(stride), ceil_mode)
        return unary(op, input, attributes)

    pool.__name__ = pool.__qualname__ = op.name
    pool.__doc__ = "The norm_type-norm (of sums, not absolute values) of each window."
    return pool


lp_pool1d, lp_pool2d, lp_pool3d = (_lp_pool_function(rank) for rank in (1, 2, 3))


# ---- adaptive -----------------------------------------------------------------------------------


def _outputs(name: str, x: Value, output_size: Any) -> Shape:
    rank = int(name[-2])
    _check_rank(name, x)
    given = output_size if isinstance(output_size, tuple) else (output_size,) * rank
    if len(given) != rank:
        raise RuntimeError(f"{name}: output_size must be {rank} integers, but got {list(given)}")
    return tuple(x.shape[a - rank] if n is None else int(n) for a, n in enumerate(given))


def _blocks(x: Value, out: Shape, fill: float) -> tuple[Value, Shape]:
    """Windows of unequal size gathered into equal blocks along the last axes, filled up."""
    rank = len(out)
    lead = x.ndim - rank
    lengths = []
    for a in range(rank):
        n, o = x.shape[lead + a], out[a]
        bounds = [((i * n) // o, -((-(i + 1) * n) // o)) for i in range(o)]
        length = max(high - low for low, high in bounds)
        lengths.append(length)
        if o * length == n:
            continue
        i = column(source.iota(size=o), (o, 1))
        low = ar.binary(el.floor_divide, ar.mul(i, n), o)
        high = ar.neg(ar.binary(el.floor_divide, ar.neg(ar.mul(ar.add(i, 1), n)), o))
        at, end = ar.broadcast(ar.add(low, source.iota(size=length)), high)
        valid = view.reshape(el.lt(at, end), shape=(o * length,))
        index = view.reshape(ar.minimum(at, n - 1), shape=(o * length,))
        order = (lead + a, *(b for b in range(x.ndim) if b != lead + a))
        rows = take(view.permute(x, order=order), index, what="index")
        valid = ar.expand(column(valid, (o * length,) + (1,) * (x.ndim - 1)), rows.shape)
        rows = el.where(valid, rows, ar.full(rows.shape, fill, x.dtype))
        x = view.permute(rows, order=tuple(order.index(b) for b in range(x.ndim)))
    return x, tuple(lengths)


def _adaptive_avg(name: str) -> Callable[[Value, Any], Value]:
    def apply(x: Value, output_size: Any) -> Value:
        out = _outputs(name, x, output_size)
        rank, space = len(out), x.shape[-len(out) :]
        if not x.size or 0 in out:
            return ar.full(x.shape[:-rank] + out, 0.0, x.dtype)
        wide, kernel = _blocks(widened(x), out, 0.0)
        total = _window_sums(wide, Geometry(kernel, kernel, (0,) * rank, (1,) * rank, out))
        if all(n % o == 0 for n, o in zip(space, out, strict=True)):
            return ar.cast(divided(total, math.prod(kernel)), x.dtype)
        for a in range(rank):
            n, o = space[a], out[a]
            i = _axis_numbers(o, a, rank)
            low = ar.binary(el.floor_divide, ar.mul(i, n), o)
            high = ar.neg(ar.binary(el.floor_divide, ar.neg(ar.mul(ar.add(i, 1), n)), o))
            total = ar.div(total, ar.cast(ar.sub(high, low), total.dtype))
        return ar.cast(total, x.dtype)

    return apply


def _adaptive_max(name: str, with_indices: bool) -> Callable[[Value, Any], Any]:
    def apply(x: Value, output_size: Any) -> Value | tuple[Value, Value]:
        out = _outputs(name, x, output_size)
        rank, space = len(out), x.shape[-len(out) :]
        if 0 in space:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions"
            )
        blocks, kernel = _blocks(x, out, _lowest(x.dtype))
        g = Geometry(kernel, kernel, (0,) * rank, (1,) * rank, out)
        result = max_pool(blocks, **g.window)
        if not with_indices:
            return result
        starts = [
            ar.binary(el.floor_divide, ar.mul(_axis_numbers(out[a], a, rank), space[a]), out[a])
            for a in range(rank)
        ]
        return result, _flat_index(max_pool_index(blocks, **g.window), starts, g, space)

    return apply


def _adaptive_avg_function(rank: int) -> Callable[..., Tensor]:
    name = f"adaptive_avg_pool{rank}d"
    op = PureOp(name, _adaptive_avg(name), _pool_grad_name(name))
    whole = PureOp(name, _adaptive_avg(name), "MeanBackward1")  # PyTorch's name for output size 1

    def pool(input: Tensor, output_size: Any) -> Tensor:
        size = hashable(output_size)
        one = rank > 1 and size in (1, (1,) * rank)
        return unary(whole if one else op, input, (size,))

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = "Means over windows that divide the last axes into output_size parts."
    return pool


def _adaptive_max_function(rank: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    name = f"adaptive_max_pool{rank}d"
    plain = PureOp(name, _adaptive_max(name, False), _pool_grad_name(name))
    indexed = PureOp(name, _adaptive_max(name, True), _pool_grad_name(name))

    def pool(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        if return_indices:
            return tuple(record_many(indexed, (input,), (hashable(output_size),)))
        return unary(plain, input, (hashable(output_size),))

    def with_indices(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        return pool(input, output_size, True)

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = "Maxima over windows that divide the last axes into output_size parts."
    with_indices.__name__ = with_indices.__qualname__ = name + "_with_indices"
    with_indices.__doc__ = f"{name} and the flat index of each maximum."
    return pool, with_indices


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (
    _adaptive_avg_function(rank) for rank in (1, 2, 3)
)
adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _adaptive_max_function(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _adaptive_max_function(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _adaptive_max_function(3)


# ---- max_unpool ---------------------------------------------------------------------------------


def _max_unpool(x: Value, indices: Value, *space: int) -> Value:
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(
            f"elements in indices should be type int64 but got: {indices.dtype.scalar_name}"
        )
    if indices.shape != x.shape:
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({list(x.shape)}) but got indices tensor with shape: {list(indices.shape)}"
        )
    lead = x.shape[: x.ndim - len(space)]
    rows, cells, inner = math.prod(lead), math.prod(space), math.prod(x.shape[len(lead) :])
    flat = view.reshape(indices, shape=(rows, inner))
    valid = ar.logical_and(ar.ge(flat, 0), ar.lt(flat, cells))
    message = f"Found an invalid max index (output volumes are of size {_by(space)})"
    flat = require(flat, valid, error=("RuntimeError", message))
    places = ar.add(flat, ar.mul(column(source.iota(size=rows), (rows, 1)), cells))
    zeros = ar.full((rows * cells,), 0, x.dtype)
    values = view.reshape(x, shape=(rows * inner,))
    result = put_set(zeros, view.reshape(places, shape=(rows * inner,)), values, what="index")
    return view.reshape(result, shape=(*lead, *space))


def _unpool_size(input: Tensor, k: Shape, s: Shape, p: Shape, output_size: Any) -> Shape:
    """The spatial size that max_unpool restores, within a stride of the default one."""
    rank = len(k)
    space = input.shape[-rank:]
    default = tuple((n - 1) * s[a] + k[a] - 2 * p[a] for a, n in enumerate(space))
    if output_size is None:
        return default
    given = tuple(output_size)
    if len(given) == rank + 2:
        given = given[2:]
    if len(given) != rank:
        raise ValueError(
            "output_size should be a sequence containing "
            f"{rank} or {rank + 2} elements, but it has a length of '{len(given)}'"
        )
    for a in range(rank):
        low, high = default[a] - s[a], default[a] + s[a]
        if not low < given[a] < high:
            raise ValueError(
                f'invalid output_size "{given}" (dim {a} must be between {low} and {high})'
            )
    return tuple(int(n) for n in given)


def _max_unpool_function(rank: int) -> Callable[..., Tensor]:
    name = f"max_unpool{rank}d"
    op = PureOp(name, _max_unpool, _pool_grad_name(name))

    def unpool(
        input: Tensor,
        indices: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Any = None,
    ) -> Tensor:
        k = sizes(kernel_size, rank, "kernel_size", name)
        s = k if stride is None else sizes(stride, rank, "stride", name)
        p = sizes(padding, rank, "padding", name)
        return record(op, (input, indices), _unpool_size(input, k, s, p, output_size))

    unpool.__name__ = unpool.__qualname__ = name
    unpool.__doc__ = (
        "The partial inverse of max_pool: maxima put back at their indices, zeros elsewhere."
    )
    return unpool


max_unpool1d, max_unpool2d, max_unpool3d = (_max_unpool_function(rank) for rank in (1, 2, 3))


def fractional_max_pool2d(*arguments: Any, **options: Any) -> Any:
    """Not implemented (it needs random windows)."""
    raise NotImplementedError("fractional_max_pool2d is not implemented")


def fractional_max_pool3d(*arguments: Any, **options: Any) -> Any:
    """Not implemented (it needs random windows)."""
    raise NotImplementedError("fractional_max_pool3d is not implemented")


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace.
__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_max_pool1d",
    "avg_pool1d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]
