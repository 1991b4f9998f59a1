"""Attention as single primitives, so that no scores need be kept.

Note [Attention]
    softmax(q k^T scale) v for q [B, H, L, E], k [B, H, S, E], v [B, H, S, V]; where `causal`, row i
    sees the columns up to i. A kernel computes some rows of scores at a time, which stay in the
    nearest cache, and nothing of what a causal mask hides. Its gradient, `attention_grad`, makes
    the scores again and needs `attention_saved` for that, which comes from the same kernel as the
    result. Derivatives of higher order are those of the same written out in other primitives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.primitive import ATTENTION, Array, Cotangents, Primitive
from flambeau.ops.recurrence import pulled_back
from flambeau.ops.value import Shape, Value

LOG2_E = math.log2(math.e)


# ---- written out ---------------------------------------------------------------------------------


def _scores(q: Value, k: Value, causal: bool, scale: float) -> Value:
    """[B, H, L, S], -inf where the mask hides."""
    scores = dot(q * scale, swap_last(k))
    if not causal:
        return scores
    rows, columns = scores.shape[-2:]
    places = view.reshape(source.iota(size=rows), shape=(rows, 1))
    later = el.gt(*ar.broadcast(source.iota(size=columns), places))
    hidden = ar.expand(view.reshape(later, shape=(1, 1, rows, columns)), scores.shape)
    return el.where(hidden, ar.full_like(scores, -math.inf), scores)


def _top(scores: Value) -> Value:
    return rd.max_(source.detach(scores) if scores.tracked else scores, axes=(3,))


def _log2_sum(q: Value, k: Value, causal: bool, scale: float) -> Value:
    scores = _scores(q, k, causal, scale)
    top = _top(scores)
    total = rd.sum_(el.exp(scores - rd.spread(top, scores, (3,))), axes=(3,))
    return (top + el.log(total)) * LOG2_E


def written_out(q: Value, k: Value, v: Value, causal: bool, scale: float) -> Value:
    """The result in other primitives."""
    scores = _scores(q, k, causal, scale)
    e = el.exp(scores - rd.spread(_top(scores), scores, (3,)))
    weights = e * rd.spread(el.reciprocal(rd.sum_(e, axes=(3,))), e, (3,))
    return dot(weights, v)


def gradient_written_out(operands: Sequence[Value], causal: bool, scale: float) -> Value:
    """`attention_grad` of its operands in other primitives."""
    ct, q, k, v, out, saved = operands
    scores = _scores(q, k, causal, scale)
    p = el.exp(scores - rd.spread(saved * (1 / LOG2_E), scores, (3,)))
    inner = rd.spread(rd.sum_(ct * out, axes=(3,)), p, (3,))
    ds = p * (dot(ct, swap_last(v)) - inner) * scale
    parts = [dot(ds, k), dot(swap_last(ds), q), dot(swap_last(p), ct)]
    return view.concat(*[view.reshape(x, shape=(x.size,)) for x in parts], axis=0)


def in_other_primitives(v: Value, inputs: Sequence[Value]) -> Value:
    """A value of this family over operands, for who has no kernel for it."""
    causal, scale = v.attrs["causal"], v.attrs["scale"]
    if v.primitive is attention:
        q, k, values = inputs
        return written_out(q, k, values, causal, scale)
    if v.primitive is attention_saved:
        return _log2_sum(inputs[0], inputs[1], causal, scale)
    return gradient_written_out(inputs, causal, scale)


# ---- over arrays ---------------------------------------------------------------------------------


def _turned(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _array_scores(q: Array, k: Array, causal: bool, scale: float) -> Array:
    scores: Array = np.matmul(q * q.dtype.type(scale), _turned(k))
    if causal:
        hidden = np.arange(k.shape[2]) > np.arange(q.shape[2])[:, None]
        scores[..., hidden] = -np.inf
    return scores


# ---- the primitives ------------------------------------------------------------------------------


class Attention(Primitive):
    """softmax(q k^T scale) v [B, H, L, V]; attrs: causal, scale."""

    name, family = "attention", ATTENTION

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        q, k, v = inputs
        assert q.shape[:2] == k.shape[:2] == v.shape[:2] and q.shape[3] == k.shape[3], inputs
        assert k.shape[2] == v.shape[2], inputs
        return (*q.shape[:3], v.shape[3]), q.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        q, k, v = inputs
        saved = attention_saved(q, k, v, **attrs)
        found = attention_grad(ct, q, k, v, out, saved, **attrs)
        parts, start = [], 0
        for x in inputs:
            part = view.slice_(found, starts=(start,), sizes=(x.size,), steps=(1,))
            parts.append(view.reshape(part, shape=x.shape))
            start += x.size
        return parts

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        q, k, v = arrays
        scores = _array_scores(q, k, attrs["causal"], attrs["scale"])
        with np.errstate(invalid="ignore"):
            e = np.exp(scores - scores.max(axis=-1, keepdims=True))
            return np.asarray(np.matmul(e / e.sum(axis=-1, keepdims=True), v))


class AttentionSaved(Primitive):
    """What the gradient needs of each row of `attention`, which has the same operands: the binary
    logarithm of the sum that its softmax divides by [B, H, L].
    """

    name, family = "attention_saved", ATTENTION

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape[:3], inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        def rows(q: Value, k: Value) -> Value:
            return _log2_sum(q, k, attrs["causal"], attrs["scale"])

        return [*pulled_back(rows, ct, inputs[:2]), None]

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        scores = _array_scores(arrays[0], arrays[1], attrs["causal"], attrs["scale"])
        top = scores.max(axis=-1, keepdims=True)
        with np.errstate(invalid="ignore"):
            total = np.exp(scores - top).sum(axis=-1)
            return np.asarray((top[..., 0] + np.log(total)) * scores.dtype.type(LOG2_E))


class AttentionGrad(Primitive):
    """The gradients of q, k and v of `attention`, one after another in one row, from the result's,
    q, k, v, the result and `attention_saved`.
    """

    name, family = "attention_grad", ATTENTION

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return (sum(x.size for x in inputs[1:4]),), inputs[1].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        def rows(*operands: Value) -> Value:
            return gradient_written_out(operands, attrs["causal"], attrs["scale"])

        return pulled_back(rows, ct, inputs)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        ct, q, k, v, out, saved = arrays
        scale = q.dtype.type(attrs["scale"])
        with np.errstate(invalid="ignore"):
            scores = _array_scores(q, k, attrs["causal"], attrs["scale"])
            p = np.exp(scores - saved[..., None] * q.dtype.type(1 / LOG2_E))
            inner = (ct * out).sum(axis=-1, keepdims=True)
            ds = p * (np.matmul(ct, _turned(v)) - inner) * scale
            parts = [np.matmul(ds, k), np.matmul(_turned(ds), q), np.matmul(_turned(p), ct)]
            return np.concatenate([x.reshape(-1) for x in parts])


attention = Attention()
attention_saved = AttentionSaved()
attention_grad = AttentionGrad()
