"""Look-ups of rows in a table, with torch.nn.functional's signatures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.functional.neural import (
    binary,
    column,
    divided,
    not_a_tensor,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.indexed import put_add, take
from flambeau.ops.randomness import require
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.record.recorder import record_many
from flambeau.tensor.tensor import Tensor


def _check_indices(index: Value, op: str) -> None:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar "
            "types: Long, Int; but "
            f"got torch.{index.dtype.scalar_name}Tensor instead (while checking arguments for {op})"
        )


def _rows(weight: Value, index: Value, padding_idx: int | None) -> Value:
    """weight[index]; rows at padding_idx pass no gradient."""
    places = ar.cast(index, dtypes.int64)
    rows = take(weight, places, what="embedding")
    if padding_idx is None or not rows.tracked:
        return rows
    at = ar.expand(column(ar.eq(places, padding_idx), (*places.shape, 1)), rows.shape)
    return source.relink(source.detach(rows), el.where(at, ar.zeros_like(rows), rows))


def _embedding(weight: Value, index: Value, padding_idx: int | None) -> Value:
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check_indices(index, "embedding")
    return _rows(weight, index, padding_idx)


EMBEDDING = PureOp("embedding", _embedding, "EmbeddingBackward0")


def _checked_padding(padding_idx: int | None, count: int) -> int | None:
    if padding_idx is None:
        return None
    if not -count <= padding_idx < count:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx % count if count else padding_idx


def _refuse(op: str, **options: Any) -> None:
    """NotImplementedError for an option that is set."""
    for name, value in options.items():
        if value:
            raise NotImplementedError(f"{op}({name}={value!r}) is not implemented")


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of weight [V, D] at indices [*]: [*, D]; IndexError when run if one is out of range."""
    if not isinstance(input, Tensor):
        raise not_a_tensor("embedding", input, "indices", 2)
    if padding_idx is not None:
        padding_idx = _checked_padding(padding_idx, weight._meta.shape[0])
    if max_norm is not None or scale_grad_by_freq or sparse:
        _refuse(
            "embedding", max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
        )
    return binary(EMBEDDING, weight, input, (padding_idx,))


# ---- bags ---------------------------------------------------------------------------------------


def _bag(
    weight: Value,
    index: Value,
    offsets: Value | None,
    factors: Value | None,
    mode: str,
    padding_idx: int | None,
    with_end: bool,
) -> Value:
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check_indices(index, "embedding_bag")
    rows = _rows(weight, index, padding_idx)  # [.., D]
    kept = ar.full(index.shape, 1.0, weight.dtype)
    if padding_idx is not None:
        kept = ar.cast(ar.ne(index, padding_idx), weight.dtype)
    each = kept if factors is None else kept * factors
    if factors is not None or padding_idx is not None:
        rows = rows * ar.expand(column(each, (*index.shape, 1)), rows.shape)
    if offsets is None:
        return _square_bags(weight, index, rows, kept, mode, padding_idx)
    bags = offsets.shape[0] - (1 if with_end else 0)
    starts = ar.cast(offsets, dtypes.int64)
    if bags != offsets.shape[0]:
        starts = view.slice_(starts, starts=(0,), sizes=(bags,), steps=(1,))
    count = index.shape[0]
    first = view.slice_(starts, starts=(0,), sizes=(min(bags, 1),), steps=(1,))
    starts = require(
        starts,
        ar.eq(first, 0),
        error=(
            "RuntimeError",
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to "
            "start from position 0.",
        ),
    )
    # The bag of place i: the number of starts up to i, less one.
    place = column(source.iota(size=count), (count, 1))
    reached = ar.cast(el.le(*ar.broadcast(starts, place)), dtypes.int64)
    owner = ar.sub(rd.sum_(reached, axes=(1,)), 1)
    total = put_add(ar.full((bags, weight.shape[1]), 0.0, weight.dtype), owner, rows, what="index")
    if mode == "sum":
        return total
    counts = put_add(ar.full((bags,), 0.0, weight.dtype), owner, kept, what="index")
    counts = el.maximum(counts, ar.full_like(counts, 1.0))
    return el.div(total, ar.expand(column(counts, (bags, 1)), total.shape))


def _square_bags(
    weight: Value, index: Value, rows: Value, kept: Value, mode: str, padding_idx: int | None
) -> Value:
    """Bags of equal size: index [B, N], rows [B, N, D]."""
    if mode == "max":
        if padding_idx is not None:
            kept_rows = ar.expand(column(ar.ne(kept, 0), (*index.shape, 1)), rows.shape)
            rows = el.where(kept_rows, rows, ar.full_like(rows, -math.inf))
        best = rd.max_(rows, axes=(1,))
        none = ar.eq(best, -math.inf)
        return el.where(none, ar.zeros_like(best), best) if padding_idx is not None else best
    total = rd.sum_(rows, axes=(1,))
    if mode == "sum":
        return total
    if padding_idx is None:
        return divided(total, max(index.shape[1], 1))
    counts = rd.sum_(kept, axes=(1,))
    counts = el.maximum(counts, ar.full_like(counts, 1.0))
    return el.div(total, ar.expand(column(counts, (index.shape[0], 1)), total.shape))


BAG = PureOp("embedding_bag", _bag, "EmbeddingBagBackward0")


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima of rows: bags are input [B, N], or begin at offsets in input [L]."""
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    _refuse(
        "embedding_bag", max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a "
                "mini-batch of fixed "
                f"length sequences. However, found offsets of type {type(offsets)}"
            )
    elif input.ndim != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}"
        )
    elif offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    elif offsets.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    if per_sample_weights is not None:
        if per_sample_weights.shape != input.shape:
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not "
                "None, then it "
                f"must have the same shape as the input ({list(input.shape)})"
            )
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only "
                "supported for "
                f"mode='sum' (got mode='{mode}'). Please open a feature request on GitHub."
            )
    if mode == "max" and offsets is not None:
        raise NotImplementedError("embedding_bag(mode='max') with offsets is not implemented")
    attributes = (mode, _checked_padding(padding_idx, weight.shape[0]), bool(include_last_offset))
    result: Tensor = record_many(BAG, (weight, input, offsets, per_sample_weights), attributes)[0]
    return result


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace (torch.embedding has another signature and is left out).
__all__: list[str] = []
