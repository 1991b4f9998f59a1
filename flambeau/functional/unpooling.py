"""The partial inverses of max-pooling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.functional.neural import (
    ImageOp,
    column,
    record,
    sizes,
)
from flambeau.functional.options import WHOLE, not_implemented
from flambeau.functional.pooling import (
    by,
    pool_grad_name,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import source, view
from flambeau.ops.indexed import put_set
from flambeau.ops.randomness import require
from flambeau.ops.value import Shape, Value
from flambeau.tensor.tensor import Tensor


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
    if x.dtype.kind in WHOLE:
        raise not_implemented(f"max_unpool{max(len(space), 2)}d", x.dtype)
    lead = x.shape[: x.ndim - len(space)]
    rows, cells, inner = math.prod(lead), math.prod(space), math.prod(x.shape[len(lead) :])
    flat = view.reshape(indices, shape=(rows, inner))
    valid = ar.logical_and(ar.ge(flat, 0), ar.lt(flat, cells))
    message = f"Found an invalid max index (output volumes are of size {by(space)})"
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
    op = ImageOp(name, _max_unpool, pool_grad_name(name))

    def unpool(
        input: Tensor,
        indices: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Any = None,
    ) -> Tensor:
        try:
            k = sizes(kernel_size, rank, "kernel_size", name)
            s = k if stride is None else sizes(stride, rank, "stride", name)
            p = sizes(padding, rank, "padding", name)
            return record(op, (input, indices), _unpool_size(input, k, s, p, output_size))
        except Exception:
            refuse_misgiven()
            raise

    unpool.__name__ = unpool.__qualname__ = name
    unpool.__doc__ = (
        "The partial inverse of max_pool: maxima put back at their indices, zeros elsewhere."
    )
    return unpool


max_unpool1d, max_unpool2d, max_unpool3d = (_max_unpool_function(rank) for rank in (1, 2, 3))

METHODS: dict[str, Callable[..., Any]] = {}

# Names of torch.nn.functional; the torch namespace has none of them.
__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]
