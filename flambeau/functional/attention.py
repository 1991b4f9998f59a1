"""Attention with torch.nn.functional's signature: one event unless there is dropout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.shapes import broadcast_shapes
from flambeau.functional.neural import (
    NamedOp,
    column,
    not_a_tensor,
    record,
    widened,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.attention import attention, attributes
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.value import Shape, Value
from flambeau.tensor.tensor import Tensor

DTYPE_NAMES = {"float32": "float", "float64": "double", "float16": "c10::Half", "int64": "long int"}


def _name(x: Value) -> str:
    return DTYPE_NAMES.get(x.dtype.name, x.dtype.name)


def _check(q: Value, k: Value, v: Value, mask: Value | None, causal: bool) -> None:
    if not q.dtype is k.dtype is v.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{_name(q)} key.dtype: {_name(k)} and value.dtype: {_name(v)} instead."
        )
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise RuntimeError(
            f"Expected query, key, and value to all be  at least 2 dimensional, but got "
            f"query.dim: {q.ndim}, "
            f"key.dim: {k.ndim} and value.dim: {v.ndim} instead."
        )
    if not q.dtype.is_floating_point:
        raise RuntimeError(
            f"scaled_dot_product_attention: expected floating tensors, got {_name(q)}"
        )
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise RuntimeError(
            "scaled_dot_product_attention: query [.., L, E], key [.., S, E] and value [.., S, V] "
            "do not match: "
            f"{list(q.shape)}, {list(k.shape)}, {list(v.shape)}"
        )
    if mask is None:
        return
    if mask.dtype.kind != "b" and mask.dtype not in (q.dtype, dtypes.float32):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            "attn_mask.dtype: "
            f"{_name(mask)} and  query.dtype: {_name(q)} instead."
        )
    if causal:
        raise RuntimeError(
            "scaled_dot_product_attention: explicit attn_mask should not be set when is_causal=True"
        )


def _repeated_heads(x: Value, heads: int) -> Value:
    """Each head of [.., H, S, E] repeated to make `heads` of them (grouped-query attention)."""
    have = x.shape[-3]
    if have == heads:
        return x
    if not have or heads % have:
        raise RuntimeError(
            "scaled_dot_product_attention: enable_gqa needs the number of query heads to be a "
            "multiple of the "
            f"number of key and value heads, but got {heads} and {have}"
        )
    lead, rest = x.shape[:-3], x.shape[-2:]
    split = view.reshape(x, shape=(*lead, have, 1, *rest))
    wide = ar.expand(split, (*lead, have, heads // have, *rest))
    return view.reshape(wide, shape=(*lead, heads, *rest))


def _masked(scores: Value, mask: Value | None, causal: bool) -> Value:
    if causal:
        rows, columns = scores.shape[-2:]
        later = el.le(
            *ar.broadcast(source.iota(size=columns), column(source.iota(size=rows), (rows, 1)))
        )
        mask = later
    if mask is None:
        return scores
    if mask.dtype.kind == "b":
        keep = ar.expand(mask, scores.shape)
        unseen = ar.full_like(scores, -math.inf)
        if causal:
            return el.where(keep, scores, unseen)
        return scores + el.where(keep, ar.zeros_like(scores), unseen)  # (NaN stays)
    return scores + ar.expand(ar.cast(mask, scores.dtype), scores.shape)


def _safe_softmax(x: Value) -> Value:
    """softmax along the last axis; a row of -inf alone gives zeros."""
    if not x.size:
        return x
    a = x.ndim - 1
    top = rd.max_(source.detach(x) if x.tracked else x, axes=(a,))
    none = ar.eq(top, -math.inf)
    top = el.where(none, ar.zeros_like(top), top)
    e = el.exp(x - rd.spread(top, x, (a,)))
    total = rd.sum_(e, axes=(a,))
    total = el.where(none, ar.full_like(total, 1.0), total)
    return e * rd.spread(el.reciprocal(total), e, (a,))


def _weights(
    q: Value,
    k: Value,
    v: Value,
    mask: Value | None,
    causal: bool,
    scale: float | None,
    grouped: bool,
) -> tuple[Value, Value, Any]:
    """The weights [.., L, S] and values [.., S, V] in working precision, and the dtype."""
    _check(q, k, v, mask, causal)
    dtype = q.dtype
    q, k, v = widened(q), widened(k), widened(v)
    if grouped:
        k, v = _repeated_heads(k, q.shape[-3]), _repeated_heads(v, q.shape[-3])
    lead = broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    q, k, v = (ar.expand(x, (*lead, *x.shape[-2:])) for x in (q, k, v))
    factor = 1.0 / math.sqrt(max(q.shape[-1], 1)) if scale is None else scale
    scores = dot(q * factor, swap_last(k))
    return _safe_softmax(_masked(scores, mask, causal)), v, dtype


def is_joint(x: Value) -> bool:
    """Whether attention of queries like these is one primitive."""
    return x.dtype is dtypes.float32 and x.size > 0


def with_masks(
    matrices: Sequence[Value],
    masks: Sequence[Value],
    *,
    causal: bool,
    scale: float,
    safe: bool,
) -> Value:
    """`attention` of q, k and v of four axes with masks that are added to the scores or, where they
    are bool, hide where they hold; they have four axes too, the first three as they broadcast.
    """
    hidden = [m for m in masks if m.dtype.kind == "b"]
    added = [ar.cast(m, matrices[0].dtype) for m in masks if m.dtype.kind != "b"]
    extras = []
    columns = matrices[1].shape[2]
    for name, found, joined in (("added", added, ar.add), ("hidden", hidden, ar.bitwise_or)):
        if found:
            total, *rest = found
            for m in rest:
                total = joined(total, m)
            extras.append((name, ar.expand(total, (*total.shape[:3], columns))))
    attrs = attributes(scale, causal, safe, tuple([name for name, _ in extras]))
    return attention(*matrices, *[m for _, m in extras], **attrs)


def _joint(
    q: Value,
    k: Value,
    v: Value,
    mask: Value | None,
    causal: bool,
    scale: float | None,
    grouped: bool,
) -> Value | None:
    """The result as one primitive, where it is one: of three or four axes."""
    _check(q, k, v, mask, causal)
    if not (is_joint(q) and k.size and v.size and 3 <= q.ndim <= 4):
        return None
    if mask is not None and (mask.tracked or mask.dtype not in (dtypes.bool_, dtypes.float32)):
        return None
    if grouped and (q.ndim != 4 or k.shape[-3] != v.shape[-3] or q.shape[0] != k.shape[0]):
        k, v, grouped = _repeated_heads(k, q.shape[-3]), _repeated_heads(v, q.shape[-3]), False
    if grouped:
        _repeated_heads(k, q.shape[-3])  # which checks the number of heads
        lead = q.shape[:2]
    else:
        lead = broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    if len(lead) > 2 or v.shape[0] not in (1, lead[0]):
        return None
    factor = 1.0 / math.sqrt(max(q.shape[-1], 1)) if scale is None else scale
    of_keys = k.shape[:2] if grouped else lead
    leads = [lead, of_keys, of_keys]
    matrices = [ar.expand(x, (*n, *x.shape[-2:])) for n, x in zip(leads, (q, k, v), strict=True)]
    if len(lead) == 1:
        matrices = [view.reshape(x, shape=(x.shape[0], 1, *x.shape[1:])) for x in matrices]
    masks = [] if mask is None else _four_axes(mask, (*lead, q.shape[-2], k.shape[-2]))
    if masks is None:
        return None
    result = with_masks(matrices, masks, causal=causal, scale=factor, safe=True)
    return view.reshape(result, shape=(*lead, *result.shape[2:]))


def _four_axes(mask: Value, scores: Shape) -> list[Value] | None:
    """A mask of scores [N, L, S] or [B, H, L, S] as a primitive takes it, hiding where True was to
    keep; None if it has more elements than the scores.
    """
    if mask.ndim > len(scores) or broadcast_shapes(mask.shape, scores) != scores:
        return None
    shape = (1,) * (len(scores) - mask.ndim) + mask.shape
    if len(shape) == 3:
        shape = (shape[0], 1, *shape[1:])
    if mask.dtype.kind == "b":
        mask = el.bitwise_not(mask)
    return [view.reshape(mask, shape=shape)]


def _attention(q: Value, k: Value, v: Value, mask: Value | None, *attributes: Any) -> Value:
    joint = _joint(q, k, v, mask, *attributes)
    if joint is not None:
        return joint
    weights, values, dtype = _weights(q, k, v, mask, *attributes)
    return ar.cast(dot(weights, values), dtype)


def _grad_name(q: Value, *rest: Any) -> str:
    if q.ndim == 4:
        return "ScaledDotProductFlashAttentionForCpuBackward0"
    return "UnsafeViewBackward0" if q.ndim > 2 else "MmBackward0"


def _attention_weights(q: Value, k: Value, v: Value, mask: Value | None, *attributes: Any) -> Value:
    weights, _, dtype = _weights(q, k, v, mask, *attributes)
    return ar.cast(weights, dtype)


def _apply_weights(weights: Value, v: Value, grouped: bool) -> Value:
    if grouped:
        v = _repeated_heads(v, weights.shape[-3])
    lead: Shape = broadcast_shapes(weights.shape[:-2], v.shape[:-2])
    left, right = (ar.expand(x, (*lead, *x.shape[-2:])) for x in (weights, v))
    return dot(left, right)


ATTENTION = NamedOp("scaled_dot_product_attention", _attention, _grad_name)
WEIGHTS = NamedOp("scaled_dot_product_attention", _attention_weights, lambda *_: "SoftmaxBackward0")
APPLY = NamedOp("scaled_dot_product_attention", _apply_weights, lambda *_: "UnsafeViewBackward0")


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query key^T scale + mask) value: [.., L, E], [.., S, E], [.., S, V] -> [.., L, V]."""
    try:
        if not isinstance(query, Tensor):
            raise not_a_tensor("scaled_dot_product_attention", query, "query")
        attributes = (bool(is_causal), None if scale is None else float(scale), bool(enable_gqa))
        operands = (query, key, value, attn_mask)
        if not dropout_p:
            return record(ATTENTION, operands, attributes)
        from flambeau.functional.dropout import dropout

        weights = dropout(record(WEIGHTS, operands, attributes), dropout_p, True)
        return record(APPLY, (weights, value), (bool(enable_gqa),))
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace: none; torch.nn.functional has it.
__all__: list[str] = []
