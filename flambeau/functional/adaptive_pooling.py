"""Pooling over windows that divide the last axes into a given number of parts.

Windows that differ in size are gathered into equal blocks first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.functional.neural import (
    column,
    divided,
    hashable,
    unary,
    widened,
    zeros_from,
)
from flambeau.functional.options import WHOLE, not_implemented
from flambeau.functional.pooling import (
    Geometry,
    axis_numbers,
    check_rank,
    flat_index,
    lowest,
    pool_grad_name,
    pooling_op,
    window_sums,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import source, view
from flambeau.ops.indexed import take
from flambeau.ops.value import Shape, Value
from flambeau.ops.window import max_pool, max_pool_index
from flambeau.record.recorder import record_many
from flambeau.tensor.tensor import Tensor


def _outputs(name: str, x: Value, output_size: Any) -> Shape:
    rank = int(name[-2])
    if rank > 1 and (output_size is None or isinstance(output_size, float)):
        raise TypeError(f"object of type '{type(output_size).__name__}' has no len()")
    given = output_size if isinstance(output_size, tuple) else (output_size,) * rank
    if isinstance(output_size, tuple) and rank > 1 and x.ndim <= len(given):
        raise ValueError(f"Input dimension should be at least {len(given) + 1}")
    check_rank(name, x)
    for place, n in enumerate(given):
        if n is not None and not hasattr(n, "__index__"):
            raise TypeError(
                f"{name}(): argument 'output_size' (position 2) must be tuple of ints, but found "
                f"element of type {type(n).__name__} at pos {place}"
            )
    if len(given) != rank:
        if rank == 1:
            raise RuntimeError(
                f"{name}() argument 'output_size' should contain one int (got {len(given)})"
            )
        if "max" in name:
            raise RuntimeError(f"{name}(): internal error: output_size.size() must be {rank}")
        raise RuntimeError(f"{name}: output_size must be {rank}")
    out = tuple(x.shape[a - rank] if n is None else int(n) for a, n in enumerate(given))
    if min(out) >= 0:
        return out
    if "max" in name:
        shape = [*x.shape[:-rank], *(1,) * (rank == 1), *out]
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(out)}: {shape}")
    sizes_text = ", ".join(map(str, (1, *out) if rank == 1 else out))
    raise RuntimeError(
        f"{name.replace('1', '2')}: elements of output_size must be greater than or equal to 0 but "
        f"received {{{sizes_text}}}"
    )


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


def _refuse_whole(name: str, x: Value) -> None:
    """PyTorch's kernels are of floats; that of one dimension is that of two."""
    if x.dtype.kind in WHOLE or (x.dtype.is_complex and name != "adaptive_avg_pool3d"):
        kernel = name.replace("1d", "2d")
        raise not_implemented(kernel + "_cpu" if kernel.endswith("3d") else kernel, x.dtype)


def _adaptive_avg(name: str) -> Callable[[Value, Any], Value]:
    def apply(x: Value, output_size: Any) -> Value:
        out = _outputs(name, x, output_size)
        if x.size or name.endswith("3d"):
            _refuse_whole(name, x)
        rank, space = len(out), x.shape[-len(out) :]
        if not x.size or 0 in out:
            return zeros_from(x, x.shape[:-rank] + out)
        wide, kernel = _blocks(widened(x), out, 0.0)
        total = window_sums(wide, Geometry(kernel, kernel, (0,) * rank, (1,) * rank, out))
        if all(n % o == 0 for n, o in zip(space, out, strict=True)):
            return ar.cast(divided(total, math.prod(kernel)), x.dtype)
        for a in range(rank):
            n, o = space[a], out[a]
            i = axis_numbers(o, a, rank)
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
        _refuse_whole(name, x)
        if 0 in out:
            nothing = zeros_from(x, x.shape[:-rank] + out)
            return (nothing, ar.cast(nothing, dtypes.int64)) if with_indices else nothing
        blocks, kernel = _blocks(x, out, lowest(x.dtype))
        g = Geometry(kernel, kernel, (0,) * rank, (1,) * rank, out)
        result = max_pool(blocks, **g.window)
        if not with_indices:
            return result
        starts = [
            ar.binary(el.floor_divide, ar.mul(axis_numbers(out[a], a, rank), space[a]), out[a])
            for a in range(rank)
        ]
        return result, flat_index(max_pool_index(blocks, **g.window), starts, g, space)

    return apply


def _adaptive_avg_function(rank: int) -> Callable[..., Tensor]:
    name = f"adaptive_avg_pool{rank}d"
    op = pooling_op(rank, name, _adaptive_avg(name), pool_grad_name(name))
    # PyTorch's name for output size 1.
    whole = pooling_op(rank, name, _adaptive_avg(name), "MeanBackward1")

    def pool(input: Tensor, output_size: Any) -> Tensor:
        try:
            size = hashable(output_size)
            one = rank > 1 and size.__class__ in (int, tuple) and size in (1, (1,) * rank)
            return unary(whole if one else op, input, (size,))
        except Exception:
            refuse_misgiven()
            raise

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = "Means over windows that divide the last axes into output_size parts."
    return pool


def _adaptive_max_function(rank: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    name = f"adaptive_max_pool{rank}d"
    plain = pooling_op(rank, name, _adaptive_max(name, False), pool_grad_name(name))
    indexed = pooling_op(rank, name, _adaptive_max(name, True), pool_grad_name(name))

    def pool(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        try:
            if return_indices:
                return tuple(record_many(indexed, (input,), (hashable(output_size),)))
            return unary(plain, input, (hashable(output_size),))
        except Exception:
            refuse_misgiven()
            raise

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

METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace.
__all__ = ["adaptive_avg_pool1d", "adaptive_max_pool1d"]
