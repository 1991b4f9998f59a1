"""What metrics do with batches and states: joining, reducing, one-hot, top k."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.metrics._torch import Tensor, cat, int32, int64, scatter_add, zeros, zeros_like
from flambeau.metrics._torch import dtype as DType

METRIC_EPS = 1e-6


def dim_zero_cat(x: Any) -> Tensor:
    """A list of batches as one tensor, along the first dimension. ValueError for none."""
    if isinstance(x, Tensor):
        return x
    parts = [part.unsqueeze(0) if part.dim() == 0 else part for part in x]
    if not parts:
        raise ValueError("No samples to concatenate")
    return cat(parts, 0)


def dim_zero_sum(x: Tensor) -> Tensor:
    """The sum over the first dimension."""
    return x.sum(dim=0)


def dim_zero_mean(x: Tensor) -> Tensor:
    """The mean over the first dimension."""
    return x.mean(dim=0)


def dim_zero_max(x: Tensor) -> Tensor:
    """The largest over the first dimension."""
    return x.amax(dim=0)


def dim_zero_min(x: Tensor) -> Tensor:
    """The smallest over the first dimension."""
    return x.amin(dim=0)


def mapped(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """`value` with every tensor in its lists, tuples and dictionaries changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return type(value)((key, mapped(part, change)) for key, part in value.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(part, change) for part in value))
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(part, change) for part in value)
    return value


def to_onehot(label_tensor: Tensor, num_classes: int | None = None) -> Tensor:
    """Labels (N, ...) as zeros and ones (N, C, ...). Without num_classes the data is read."""
    count = int(label_tensor.max().item()) + 1 if num_classes is None else num_classes
    shape = (label_tensor.shape[0], count, *label_tensor.shape[1:])
    hot = zeros(shape, dtype=label_tensor.dtype, device=label_tensor.device)
    index = label_tensor.to(int64).unsqueeze(1).expand(shape)
    return hot.scatter(1, index, 1)


def select_topk(prob_tensor: Tensor, topk: int = 1, dim: int = 1) -> Tensor:
    """Ones (int32) at the `topk` largest along a dimension, zeros elsewhere."""
    if topk == 1:
        places = prob_tensor.argmax(dim=dim, keepdim=True)
    else:
        places = prob_tensor.topk(topk, dim=dim).indices
    return zeros_like(prob_tensor, dtype=int32).scatter(dim, places, 1)


def to_categorical(x: Tensor, argmax_dim: int = 1) -> Tensor:
    """The most probable class along a dimension."""
    return x.argmax(dim=argmax_dim)


def counts(index: Tensor, size: int, kept: Tensor | None = None, dtype: DType = int64) -> Tensor:
    """How often each of 0 .. size-1 occurs in a 1-d index where `kept` (default: everywhere).

    Recorded: nothing is read. What is not kept may be any number, the rest must lie within.
    """
    if kept is None:
        ones = zeros_like(index, dtype=dtype) + 1
    else:
        ones = kept.to(dtype)
        index = index * ones
    return scatter_add(zeros(size, dtype=dtype, device=index.device), 0, index.to(int64), ones)
