"""Look-ups of rows in a table, with torch.nn.functional's signatures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.core import dtypes
from flambeau.functional.folding import take_along
from flambeau.functional.gathering import refuse_no_rows
from flambeau.functional.moments import vector_norm_of
from flambeau.functional.neural import (
    binary,
    column,
    divided,
    flag,
    in_place,
    not_a_tensor,
    widened,
)
from flambeau.functional.options import WHOLE
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.indexed import put_add, put_reduce, take
from flambeau.ops.randomness import require
from flambeau.ops.value import Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.recorder import record_many
from flambeau.tensor.tensor import Tensor


def _check_indices(index: Value, op: str) -> None:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar "
            "types: Long, Int; but "
            f"got torch.{index.dtype.scalar_name}Tensor instead (while checking arguments for {op})"
        )


def _counts(places: Value, rows: int) -> Value:
    """How often each of `rows` indices occurs."""
    none = ar.full((rows,), 0, dtypes.int64)
    return put_add(none, places, ar.full(places.shape, 1, dtypes.int64), what="embedding")


def _rows(
    weight: Value,
    index: Value,
    padding_idx: int | None,
    by_frequency: bool,
    what: str = "embedding",
) -> Value:
    """weight[index]; rows at padding_idx pass no gradient, others, by_frequency, their share."""
    places = ar.cast(index, dtypes.int64)
    rows = take(weight, places, what=what)
    if not rows.tracked or (padding_idx is None and not by_frequency):
        return rows
    linked, each = rows, (*places.shape, 1)
    if by_frequency:
        often = take(_counts(places, weight.shape[0]), places, what="embedding")
        linked = linked / ar.expand(column(ar.cast(often, rows.dtype), each), rows.shape)
    if padding_idx is not None:
        at = ar.expand(column(ar.eq(places, padding_idx), each), rows.shape)
        linked = el.where(at, ar.zeros_like(rows), linked)
    return source.relink(source.detach(rows), linked)


def _embedding(
    weight: Value, index: Value, padding_idx: int | None, by_frequency: bool = False
) -> Value:
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check_indices(index, "embedding")
    refuse_no_rows(weight, index, 0)
    return _rows(weight, index, padding_idx, by_frequency)


def _renormed(weight: Value, index: Value, max_norm: float, p: float) -> Value:
    """The table with every row that is looked up scaled down to a p-norm of at most max_norm."""
    _check_indices(index, "embedding_renorm_")
    if weight.dtype.kind in WHOLE:
        raise RuntimeError(
            "norm(): input dtype should be either floating point or complex. Got "
            f"{weight.dtype.scalar_name} instead."
        )
    used = ar.gt(_counts(ar.cast(index, dtypes.int64), weight.shape[0]), 0)
    length = vector_norm_of(widened(weight), p, (1,), False)
    scale = el.div(ar.full_like(length, max_norm), length + 1e-7)
    long = ar.logical_and(used, ar.gt(length, max_norm))
    scale = ar.cast(el.where(long, scale, ar.full_like(scale, 1.0)), weight.dtype)
    return weight * ar.expand(column(scale, (weight.shape[0], 1)), weight.shape)


RENORM_ = InplaceOp("embedding_renorm_", _renormed, "EmbeddingRenormBackward0")


def _renorm(weight: Tensor, input: Tensor, max_norm: Any, norm_type: float) -> None:
    if max_norm is not None:
        if not isinstance(max_norm, (int, float)):
            kind = type(max_norm).__name__
            raise TypeError(
                f"embedding_renorm_(): argument 'max_norm' (position 3) must be float, not {kind}"
            )
        with no_grad():
            in_place(RENORM_, weight, (input,), (float(max_norm), float(norm_type)))


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
        _renorm(weight, input, max_norm, norm_type)
        if sparse:
            _refuse("embedding with sparse=True", scale_grad_by_freq=scale_grad_by_freq)
            from flambeau.functional.sparse_lookup import rows_of

            return rows_of(weight, input, padding_idx)
        return binary(EMBEDDING, weight, input, (padding_idx, flag(scale_grad_by_freq)))
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
    by_frequency: bool,
) -> Value:
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check_indices(index, "embedding_bag")
    if weight.dtype.kind != "f":
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have one of the following scalar types: "
            f"Half, BFloat16, Float, Double; but got {weight.dtype.scalar_name} instead (while "
            "checking arguments for embedding_bag)"
        )
    rows = _rows(weight, index, padding_idx, by_frequency, "embedding_bag")  # [.., D]
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
    if mode == "max":
        return _bag_maxima(rows, owner, bags, kept if padding_idx is not None else None)
    total = put_add(ar.full((bags, weight.shape[1]), 0.0, weight.dtype), owner, rows, what="index")
    if mode == "sum":
        return total
    counts = put_add(ar.full((bags,), 0.0, weight.dtype), owner, kept, what="index")
    counts = el.maximum(counts, ar.full_like(counts, 1.0))
    return el.div(total, ar.expand(column(counts, (bags, 1)), total.shape))


def _bag_maxima(rows: Value, owner: Value, bags: int, kept: Value | None) -> Value:
    """[bags, D]: the largest elements of each bag's rows [L, D]; zeros for empty bags."""
    count, width = rows.shape
    if kept is not None:
        at = ar.expand(column(ar.ne(kept, 0), (count, 1)), rows.shape)
        rows = el.where(at, rows, ar.full_like(rows, -math.inf))
    places = ar.add(ar.mul(column(owner, (count, 1)), width), source.iota(size=width))
    lowest = ar.full((bags * width,), -math.inf, rows.dtype)
    flat = view.reshape(rows, shape=(count * width,))
    places = view.reshape(places, shape=(count * width,))
    best = put_reduce(lowest, places, flat, reduce="amax", include_self=True, what="index")
    best = el.where(ar.eq(best, -math.inf), ar.zeros_like(best), best)
    return view.reshape(best, shape=(bags, width))


def _square_bags(
    weight: Value, index: Value, rows: Value, kept: Value, mode: str, padding_idx: int | None
) -> Value:
    """Bags of equal size: index [B, N], rows [B, N, D]."""
    if mode == "max":
        if padding_idx is not None:
            kept_rows = ar.expand(column(ar.ne(kept, 0), (*index.shape, 1)), rows.shape)
            rows = el.where(kept_rows, rows, ar.full_like(rows, -math.inf))
        if padding_idx is None:  # (places are kept, not the result, which may be overwritten)
            places = rd.argmax(rows, axes=(1,))
            best = take_along(rows, column(places, (rows.shape[0], 1, rows.shape[2])), 1)
            return view.reshape(best, shape=(rows.shape[0], rows.shape[2]))
        best = rd.max_(rows, axes=(1,))
        return el.where(ar.eq(best, -math.inf), ar.zeros_like(best), best)
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
    if sparse and mode == "max":
        raise ValueError("max mode does not support sparse weights")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
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
    _renorm(weight, input, max_norm, norm_type)
    if sparse:
        _refuse("embedding_bag with sparse=True", scale_grad_by_freq=scale_grad_by_freq)
        from flambeau.functional.sparse_lookup import bags_of

        given: dict[str, Any] = {"mode": mode, "per_sample_weights": per_sample_weights}
        given["include_last_offset"] = include_last_offset
        return bags_of(weight, input, offsets, padding_idx, given)
    padding = _checked_padding(padding_idx, weight.shape[0])
    attributes = (mode, padding, bool(include_last_offset), bool(scale_grad_by_freq))
    result: Tensor = record_many(BAG, (weight, input, offsets, per_sample_weights), attributes)[0]
    return result


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace (torch.embedding has another signature and is left out).
__all__: list[str] = []
