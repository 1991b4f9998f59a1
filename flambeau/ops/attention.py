"""Attention as single primitives, so that no scores need be kept.

Note [Attention]
    softmax(q k^T scale) v for q [B, H, L, E], k [B, G, S, E], v [B, G, S, V], where each of the G
    heads of k and v belongs to H / G of q; where `causal`, row i sees the columns up to i. A kernel
    computes some rows of scores at a time, which stay in the nearest cache, and nothing of what a
    causal mask hides. Its gradient, `attention_grad`, makes the scores and their softmax again,
    so that nothing but the operands is kept. Derivatives of higher order are those of the same
    written out in other primitives.

Note [One weight that is 1]
    Where scores are large, a row's largest weight p is 1 and the others 0: the scores' gradient
    p (g - sum(p g)) is 0 then, exactly, as the sum is of the very p and g. A sum taken from the
    result (ct * out) is the same number with another rounding, which scores of 1000 make large;
    and weights made with a sum that was kept, not with that of their own exponentials, are wrong
    where a rounding of the scores is not small beside 1.

Note [Extras]
    Behind the operands stand those that `extras` names, in this order, all without a gradient:

        factor  []            scores are multiplied by it (as by `scale`)
        added   [B, H, L, S]  added to the scores after that
        hidden  [B, H, L, S]  bool: where it holds, -inf is added to a score (so that NaN stays)
        fill    []            where it is given, hidden scores are it instead (without a gradient)
        kept    [B, H, L, S]  bool or float32: the weights are multiplied by it, and by `kept_scale`

    The first three axes of those with four may have extent 1. With `safe`, a row of -inf alone
    gives zeros, not NaN.
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
from flambeau.ops.primitive import ATTENTION, Array, Cotangents, Primitive, lifted
from flambeau.ops.recurrence import pulled_back
from flambeau.ops.value import Shape, Value

INFINITY = math.inf
EXTRAS = ("factor", "added", "hidden", "fill", "kept")


def attributes(
    scale: float,
    causal: bool = False,
    safe: bool = False,
    extras: tuple[str, ...] = (),
    kept_scale: float = 1.0,
) -> dict[str, Any]:
    """What primitives of this family take besides operands."""
    return {
        "causal": causal,
        "scale": scale,
        "safe": safe,
        "extras": extras,
        "kept_scale": kept_scale,
    }


def extras_of(operands: Sequence[Any], attrs: dict[str, Any]) -> dict[str, Any]:
    """The operands of Note [Extras] by name."""
    names = attrs["extras"]
    return dict(zip(names, operands[len(operands) - len(names) :], strict=True))


# ---- written out ---------------------------------------------------------------------------------


def heads_like(x: Value, heads: int) -> Value:
    """[B, G, S, E] with each head as often as it has queries: [B, heads, S, E]."""
    batch, have, *rest = x.shape
    if have == heads:
        return x
    wide = (batch, have, heads // have, *rest)
    split = view.expand(view.reshape(x, shape=(batch, have, 1, *rest)), shape=wide)
    return view.reshape(split, shape=(batch, heads, *rest))


def _per_group(x: Value, groups: int) -> Value:
    """The gradient of what `heads_like` repeats."""
    batch, heads, *rest = x.shape
    if heads == groups:
        return x
    split = view.reshape(x, shape=(batch, groups, heads // groups, *rest))
    return rd.sum_(split, axes=(2,))


def _scores(q: Value, k: Value, more: dict[str, Value], attrs: dict[str, Any]) -> Value:
    """[B, H, L, S], filled where masks hide."""
    scores = dot(q * attrs["scale"], swap_last(heads_like(k, q.shape[1])))
    if "factor" in more:
        scores = scores * more["factor"]
    if "added" in more:
        scores = scores + ar.expand(more["added"], scores.shape)
    if "hidden" in more:
        fill = more["fill"] if "fill" in more else scores - math.inf
        scores = ar.where(ar.expand(more["hidden"], scores.shape), fill, scores)
    if attrs["causal"]:
        scores = el.where(_later(scores), ar.full_like(scores, -math.inf), scores)
    return scores


def _later(scores: Value) -> Value:
    """What a causal mask hides."""
    rows, columns = scores.shape[-2:]
    places = view.reshape(source.iota(size=rows), shape=(rows, 1))
    later = el.gt(*ar.broadcast(source.iota(size=columns), places))
    return ar.expand(view.reshape(later, shape=(1, 1, rows, columns)), scores.shape)


def _top(scores: Value, safe: bool) -> tuple[Value, Value | None]:
    """Each row's maximum, and with `safe` where it is -inf (0 is its maximum then)."""
    top = rd.max_(source.detach(scores) if scores.tracked else scores, axes=(3,))
    if not safe:
        return top, None
    none = ar.eq(top, -math.inf)
    return el.where(none, ar.zeros_like(top), top), none


def _total(e: Value, none: Value | None) -> Value:
    total = rd.sum_(e, axes=(3,))
    return total if none is None else el.where(none, ar.full_like(total, 1.0), total)


def _keeping(more: dict[str, Value], attrs: dict[str, Any], like: Value) -> Value | None:
    """What the weights are multiplied by."""
    if "kept" not in more:
        return None
    return ar.expand(ar.cast(more["kept"], like.dtype) * attrs["kept_scale"], like.shape)


def _weights(q: Value, k: Value, more: dict[str, Value], attrs: dict[str, Any]) -> Value:
    """The softmax of the scores."""
    scores = _scores(q, k, more, attrs)
    top, none = _top(scores, attrs["safe"])
    e = el.exp(scores - rd.spread(top, scores, (3,)))
    return e * rd.spread(el.reciprocal(_total(e, none)), e, (3,))


def written_out(operands: Sequence[Value], attrs: dict[str, Any]) -> Value:
    """The result in other primitives."""
    q, k, v = operands[:3]
    more = extras_of(operands, attrs)
    weights = _weights(q, k, more, attrs)
    keep = _keeping(more, attrs, weights)
    return dot(weights if keep is None else weights * keep, heads_like(v, q.shape[1]))


def gradient_written_out(operands: Sequence[Value], attrs: dict[str, Any]) -> Value:
    """`attention_grad` of its operands in other primitives."""
    ct, q, k, v = operands[:4]
    more = extras_of(operands, attrs)
    heads = q.shape[1]
    p = _weights(q, k, more, attrs)
    slopes = dot(ct, swap_last(heads_like(v, heads)))
    kept, keep = p, _keeping(more, attrs, p)
    if keep is not None:
        kept, slopes = p * keep, slopes * keep
    inner = rd.spread(rd.sum_(p * slopes, axes=(3,)), p, (3,))
    ds = p * (slopes - inner) * attrs["scale"]
    if "fill" in more:
        ds = el.where(ar.expand(more["hidden"], ds.shape), ar.zeros_like(ds), ds)
    if "factor" in more:
        ds = ds * more["factor"]
    parts = [
        dot(ds, heads_like(k, heads)),
        _per_group(dot(swap_last(ds), q), k.shape[1]),
        _per_group(dot(swap_last(kept), ct), k.shape[1]),
    ]
    return view.concat(*[view.reshape(x, shape=(x.size,)) for x in parts], axis=0)


def in_other_primitives(v: Value, inputs: Sequence[Value]) -> Value:
    """A value of this family over operands, for who has no kernel for it."""
    if v.primitive is attention:
        return written_out(inputs, v.attrs)
    return gradient_written_out(inputs, v.attrs)


# ---- over arrays ---------------------------------------------------------------------------------


def _turned(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _array_heads(x: Array, heads: int) -> Array:
    return x if x.shape[1] == heads else np.repeat(x, heads // x.shape[1], axis=1)


def _array_per_group(x: Array, groups: int) -> Array:
    batch, heads, *rest = x.shape
    if heads == groups:
        return x
    return np.asarray(x.reshape(batch, groups, heads // groups, *rest).sum(axis=2))


def _array_scores(q: Array, k: Array, more: dict[str, Array], attrs: dict[str, Any]) -> Array:
    keys = _turned(_array_heads(k, q.shape[1]))
    scores: Array = np.matmul(q * q.dtype.type(attrs["scale"]), keys)
    if "factor" in more:
        scores *= more["factor"]
    if "added" in more:
        scores += more["added"]
    if "hidden" in more:
        hidden = np.broadcast_to(more["hidden"], scores.shape)
        fill = scores.dtype.type(more["fill"]) if "fill" in more else scores - np.inf
        scores = np.where(hidden, fill, scores)
    if attrs["causal"]:
        later = np.arange(k.shape[2]) > np.arange(q.shape[2])[:, None]
        scores[..., later] = -np.inf
    return scores


def _array_weights(scores: Array, safe: bool) -> Array:
    """Their softmax."""
    top = scores.max(axis=-1, keepdims=True)
    none = np.isneginf(top) & safe
    top = np.where(none, top.dtype.type(0), top)
    e = np.exp(scores - top)
    total = e.sum(axis=-1, keepdims=True)
    return np.asarray(e / np.where(none, total.dtype.type(1), total))


def _array_keeping(more: dict[str, Array], attrs: dict[str, Any], dtype: Any) -> Array | None:
    if "kept" not in more:
        return None
    return np.asarray(more["kept"].astype(dtype) * dtype.type(attrs["kept_scale"]))


# ---- the primitives ------------------------------------------------------------------------------


def _as_one_batch(
    size: int, inputs: Sequence[Value], mapped: Sequence[bool], attrs: dict[str, Any], q: int
) -> list[Value] | None:
    """The operands for `size` slices as those of a larger batch; operand `q` is the queries. None
    where the numbers among the extras are another for each slice.
    """
    count = inputs[q].shape[mapped[q]]
    first = len(inputs) - len(attrs["extras"])
    made = []
    for place, (x, has) in enumerate(zip(inputs, mapped, strict=True)):
        if place >= first:
            if attrs["extras"][place - first] in ("factor", "fill"):
                if has:
                    return None
                made.append(x)
                continue
            if not has and x.shape[0] == 1:
                made.append(x)
                continue
        (x,) = lifted(size, (x,), (has,))
        x = ar.expand(x, (size, count, *x.shape[2:]))
        made.append(view.reshape(x, shape=(size * count, *x.shape[2:])))
    return made


class Attention(Primitive):
    """softmax(q k^T scale) v [B, H, L, V]; attrs: those of `attributes`."""

    name, family = "attention", ATTENTION

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        q, k, v = inputs[:3]
        assert q.shape[0] == k.shape[0] == v.shape[0] and q.shape[3] == k.shape[3], inputs
        assert k.shape[1:3] == v.shape[1:3] and not q.shape[1] % k.shape[1], inputs
        full = (*q.shape[:3], k.shape[2])
        for name, x in extras_of(inputs, attrs).items():
            if name in ("factor", "fill"):
                assert x.shape == (), inputs
            else:
                fits = [n in (1, m) for n, m in zip(x.shape[:3], full[:3], strict=True)]
                assert all(fits) and x.shape[3] == full[3], inputs
        return (*q.shape[:3], v.shape[3]), q.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return [*gradients(ct, inputs, attrs), *[None] * len(attrs["extras"])]

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        operands = _as_one_batch(count, inputs, mapped, attrs, 0)
        if operands is None:
            return None
        whole = self(*operands, **attrs)
        return view.reshape(whole, shape=(count, whole.shape[0] // count, *whole.shape[1:]))

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        q, k, v = arrays[:3]
        more = extras_of(arrays, attrs)
        with np.errstate(invalid="ignore", divide="ignore"):
            weights = _array_weights(_array_scores(q, k, more, attrs), attrs["safe"])
            keep = _array_keeping(more, attrs, q.dtype)
            if keep is not None:
                weights = weights * keep
            return np.asarray(np.matmul(weights, _array_heads(v, q.shape[1])))


def gradients(ct: Value, operands: Sequence[Value], attrs: dict[str, Any]) -> list[Value]:
    """The cotangents of q, k and v of `attention` for that of its result."""
    found = attention_grad(ct, *operands, **attrs)
    of = operands[:3]
    return [view.reshape(part, shape=x.shape) for part, x in zip(_cut(found, of), of, strict=True)]


def _cut(row: Value, sizes_of: Sequence[Value]) -> list[Value]:
    """A row's parts, as many elements each as these values have."""
    parts, start = [], 0
    for x in sizes_of:
        parts.append(view.slice_(row, starts=(start,), sizes=(x.size,), steps=(1,)))
        start += x.size
    return parts


class AttentionGrad(Primitive):
    """The gradients of q, k and v of `attention`, one after another in one row, from the result's,
    q, k, v and the extras; see Note [One weight that is 1].
    """

    name, family = "attention_grad", ATTENTION

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return (sum(x.size for x in inputs[1:4]),), inputs[1].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        def rows(*operands: Value) -> Value:
            return gradient_written_out([*operands, *inputs[4:]], attrs)

        return [*pulled_back(rows, ct, inputs[:4]), *[None] * len(attrs["extras"])]

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        operands = _as_one_batch(count, inputs, mapped, attrs, 1)
        if operands is None:
            return None
        parts = _cut(self(*operands, **attrs), operands[1:4])
        rows = [view.reshape(part, shape=(count, part.size // count)) for part in parts]
        return view.concat(*rows, axis=1)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        ct, q, k, v = arrays[:4]
        more, heads, groups = extras_of(arrays, attrs), q.shape[1], k.shape[1]
        with np.errstate(invalid="ignore", divide="ignore"):
            p = _array_weights(_array_scores(q, k, more, attrs), attrs["safe"])
            slopes = np.matmul(ct, _turned(_array_heads(v, heads)))
            kept, keep = p, _array_keeping(more, attrs, q.dtype)
            if keep is not None:
                kept, slopes = p * keep, slopes * keep
            inner = (p * slopes).sum(axis=-1, keepdims=True)
            ds = p * (slopes - inner) * q.dtype.type(attrs["scale"])
            if "fill" in more:
                ds = np.where(more["hidden"], ds.dtype.type(0), ds)
            if "factor" in more:
                ds = ds * more["factor"]
            parts = [
                np.matmul(ds, _array_heads(k, heads)),
                _array_per_group(np.matmul(_turned(ds), q), groups),
                _array_per_group(np.matmul(_turned(kept), ct), groups),
            ]
            return np.concatenate([x.reshape(-1) for x in parts])


attention = Attention()
attention_grad = AttentionGrad()
