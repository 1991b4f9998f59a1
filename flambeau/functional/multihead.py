"""Attention with several heads: projections, masks and the heads' products in a few events."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.functional.attention import is_joint, with_masks
from flambeau.functional.convolution import linear, linear_turned
from flambeau.functional.dropout import dropout
from flambeau.functional.joining import cat
from flambeau.functional.neural import record, widened
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.value import Shape, Value
from flambeau.record import recorder
from flambeau.record.events import PureOp
from flambeau.tensor.tensor import Tensor

# ---- over values ---------------------------------------------------------------------------------


def _heads(x: Value, heads: int, batch_first: bool) -> Value:
    """[L, N, E] (or [N, L, E]) as [N, heads, L, E / heads]."""
    first, second, width = x.shape
    split = view.reshape(x, shape=(first, second, heads, width // heads))
    return view.permute(split, order=(0, 2, 1, 3) if batch_first else (1, 2, 0, 3))


def _joined_heads(x: Value) -> Value:
    """[N, heads, L, D] as [L, N, heads * D]."""
    count, heads, rows, size = x.shape
    turned = view.permute(x, order=(2, 0, 1, 3))
    return view.reshape(turned, shape=(rows, count, heads * size))


def _thirds(packed: Value) -> list[Value]:
    """[.., 3 E] as three [.., E]."""
    size = packed.shape[-1] // 3
    outer = packed.shape[:-1]
    steps = (1,) * packed.ndim
    return [
        view.slice_(
            packed, starts=(*(0,) * len(outer), k * size), sizes=(*outer, size), steps=steps
        )
        for k in range(3)
    ]


def _four_axes(mask: Value | None, padding: Value | None, lead: Shape, columns: int) -> list[Value]:
    """The masks as they are added to scores [N, H, L, S] of such a lead [N, H, L]."""
    count, heads, rows = lead
    found = []
    if mask is not None:
        several = (1, 1) if mask.ndim == 2 else (count, heads)
        found.append(view.reshape(mask, shape=(*several, rows, columns)))
    if padding is not None:
        found.append(view.reshape(padding, shape=(count, 1, 1, columns)))
    return found


def _masked(scores: Value, mask: Value | None, padding: Value | None, causal: bool) -> Value:
    """Scores [N, H, L, S] with -inf (or less) where a mask says so."""
    _, _, rows, columns = scores.shape
    if causal:
        later = el.gt(
            *ar.broadcast(
                source.iota(size=columns), view.reshape(source.iota(size=rows), shape=(rows, 1))
            )
        )
        scores = _masked_by(scores, view.reshape(later, shape=(1, 1, rows, columns)))
    for one in _four_axes(mask, padding, scores.shape[:3], columns):
        scores = _masked_by(scores, one)
    return scores


def _masked_by(scores: Value, mask: Value) -> Value:
    if mask.dtype.kind != "b":
        return scores + ar.expand(ar.cast(mask, scores.dtype), scores.shape)
    hidden = ar.expand(mask, scores.shape)
    return el.where(hidden, ar.full_like(scores, -math.inf), scores)


def _softmax(x: Value, safe: bool) -> Value:
    """softmax along the last axis; with `safe` a row of -inf alone gives zeros instead of NaN."""
    if not x.size:
        return x
    a = x.ndim - 1
    top = rd.max_(source.detach(x) if x.tracked else x, axes=(a,))
    none = ar.eq(top, -math.inf) if safe else None
    if none is not None:
        top = el.where(none, ar.zeros_like(top), top)
    e = el.exp(x - rd.spread(top, x, (a,)))
    total = rd.sum_(e, axes=(a,))
    if none is not None:
        total = el.where(none, ar.full_like(total, 1.0), total)
    return e * rd.spread(el.reciprocal(total), e, (a,))


def _weights(
    q: Value,
    k: Value,
    mask: Value | None,
    padding: Value | None,
    heads: int,
    batch_first: bool,
    causal: bool,
    safe: bool,
) -> Value:
    """The weights [N, H, L, S]."""
    q, k = (_heads(widened(x), heads, batch_first) for x in (q, k))
    scores = dot(q * (1.0 / math.sqrt(q.shape[-1])), swap_last(k))
    return _softmax(_masked(scores, mask, padding, causal), safe)


def _applied(weights: Value, v: Value, batch_first: bool) -> Value:
    values = _heads(widened(v), weights.shape[1], batch_first)
    return ar.cast(_joined_heads(dot(weights, values)), v.dtype)


def _attend(
    parts: list[Value],
    mask: Value | None,
    padding: Value | None,
    heads: int,
    batch_first: bool,
    causal: bool,
    safe: bool,
    average: bool | None,
) -> Any:
    """The heads' results side by side and, unless `average` is None, the weights."""
    q, k, v = parts if len(parts) == 3 else _thirds(parts[0])
    given = [m for m in (mask, padding) if m is not None]
    plain = not any(m.tracked or m.dtype.name not in ("bool", "float32") for m in given)
    if average is None and is_joint(q) and k.size and plain:
        matrices = [_heads(x, heads, batch_first) for x in (q, k, v)]
        masks = _four_axes(mask, padding, matrices[0].shape[:3], matrices[1].shape[2])
        scale = 1.0 / math.sqrt(matrices[0].shape[-1])
        return _joined_heads(with_masks(matrices, masks, causal=causal, scale=scale, safe=safe))
    weights = _weights(q, k, mask, padding, heads, batch_first, causal, safe)
    result = _applied(weights, v, batch_first)
    if average is None:
        return result
    return result, ar.cast(_shown(weights, average), q.dtype)


def _shown(weights: Value, average: bool) -> Value:
    """[N, H, L, S], or its mean over the heads."""
    if not average:
        return weights
    return rd.sum_(weights, axes=(1,)) * (1.0 / weights.shape[1])


def _weights_of(parts: list[Value], mask: Value | None, padding: Value | None, *how: Any) -> Value:
    q, k, _ = parts if len(parts) == 3 else _thirds(parts[0])
    return ar.cast(_weights(q, k, mask, padding, *how), q.dtype)


def _apply_weights(weights: Value, parts: list[Value], batch_first: bool) -> Value:
    v = parts[2] if len(parts) == 3 else _thirds(parts[0])[2]
    return _applied(widened(weights), v, batch_first)


def _mean_of_heads(weights: Value) -> Value:
    return _shown(weights, True)


ATTEND = PureOp("multi_head_attention", _attend, "ViewBackward0")
WEIGHTS = PureOp("multi_head_attention", _weights_of, "SoftmaxBackward0")
APPLY = PureOp("multi_head_attention", _apply_weights, "ViewBackward0")
MEAN = PureOp("mean", _mean_of_heads, "MeanBackward1")


# ---- over tensors --------------------------------------------------------------------------------


def attend(
    parts: list[Tensor],
    heads: int,
    mask: Tensor | None,
    padding: Tensor | None,
    *,
    batch_first: bool,
    causal: bool,
    p: float,
    average: bool | None,
) -> tuple[Tensor, Tensor | None]:
    """(the heads' results [L, N, E], the weights or None).

    `parts` is [packed [L, N, 3 E]] or [q, k, v]; `average` None asks for no weights, True for
    their mean [N, L, S], False for [N, H, L, S]. `p` is the dropout of the weights.
    """
    how = (heads, batch_first, causal, average is None)
    if not p:
        operands = (parts, mask, padding)
        if average is None:
            return record(ATTEND, operands, (*how, None)), None
        result, weights = recorder.record_many(ATTEND, operands, (*how, average))
        return result, weights
    weights = dropout(record(WEIGHTS, (parts, mask, padding), how), p, True)
    result = record(APPLY, (weights, parts), (batch_first,))
    if average is None:
        return result, None
    return result, record(MEAN, (weights,)) if average else weights


def _check_shapes(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    padding: Tensor | None,
    mask: Tensor | None,
    heads: int,
) -> bool:
    """Whether there is a batch dimension; AssertionError for ranks that do not fit."""
    rank = query.dim()
    if rank not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {rank}-D query tensor"
        )
    kind = "batched (3-D)" if rank == 3 else "unbatched (2-D)"
    if key.dim() != rank or value.dim() != rank:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {rank}-D "
            f"but found {key.dim()}-D and {value.dim()}-D tensors respectively"
        )
    if padding is not None and padding.dim() != rank - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {rank - 1}-D "
            f"but found {padding.dim()}-D tensor instead"
        )
    if mask is not None:
        if mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D "
                f"but found {mask.dim()}-D tensor instead"
            )
        if rank == 2 and mask.dim() == 3:
            wanted = (heads, query.shape[0], key.shape[0])
            if tuple(mask.shape) != wanted:
                raise AssertionError(
                    f"Expected `attn_mask` shape to be {wanted} but got {mask.shape}"
                )
    return rank == 3


def check_mask(mask: Tensor | None, name: str, other: Tensor | None, other_name: str) -> None:
    """AssertionError unless bool or floating; a warning where two masks differ in kind."""
    if mask is None:
        return
    if mask.dtype is not dtypes.bool_ and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if other is not None and mask.dtype is not other.dtype:
        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. "
            "Use same type for both instead.",
            stacklevel=4,
        )


def _projected(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weights: tuple[Tensor | None, ...],
    bias: Tensor | None,
    batch_first: bool,
) -> list[Tensor]:
    """[packed] where all three are one tensor and the weight is one, else [q, k, v]."""
    packed, *separate = weights
    product = linear_turned if batch_first else linear
    if packed is not None:
        width = packed.shape[0] // 3
        if query is key and key is value:
            return [product(query, packed, bias)]
        separate = list(packed.split(width))
    else:
        for name, weight in zip("qkv", separate):
            if weight is None:
                raise AssertionError(
                    f"use_separate_proj_weight is True but {name}_proj_weight is None"
                )
        _check_weights(query, key, value, separate)
    biases: Any = (None, None, None) if bias is None else bias.chunk(3)
    given = (query, key, value)
    return [product(x, w, b) for x, w, b in zip(given, separate, biases, strict=True)]  # type: ignore[arg-type]


def _check_weights(query: Tensor, key: Tensor, value: Tensor, weights: list[Any]) -> None:
    """AssertionError where a projection of its own does not fit what it is for."""
    width = query.shape[-1]
    given = {"query": query, "key": key, "value": value}
    for (name, x), weight in zip(given.items(), weights, strict=True):
        wanted = (width, x.shape[-1])
        if tuple(weight.shape) != wanted:
            raise AssertionError(
                f"expecting {name} weights shape of {wanted}, but got {weight.shape}"
            )


def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """`multi_head_attention_forward`, also for [N, L, E] (then the result is a transposed view)."""
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        same = query is key and key is value
        query = query.unsqueeze(1)
        key, value = (query, query) if same else (key.unsqueeze(1), value.unsqueeze(1))
        batch_first = False
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    rows, count = (1, 0) if batch_first else (0, 1)
    _check_sizes(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight, count)
    check_mask(key_padding_mask, "key_padding_mask", attn_mask, "attn_mask")
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. "
            "You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None  # the hint says what the mask is
    else:
        is_causal = False
        check_mask(attn_mask, "attn_mask", None, "")
    if in_proj_weight is None and not use_separate_proj_weight:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    weights: tuple[Tensor | None, ...] = (None if use_separate_proj_weight else in_proj_weight,)
    weights += (q_proj_weight, k_proj_weight, v_proj_weight)
    parts = _projected(query, key, value, weights, in_proj_bias, batch_first)
    length, batch = query.shape[rows], query.shape[count]
    for name, given, other in (("k", bias_k, bias_v), ("v", bias_v, bias_k)):
        if given is not None and other is None:
            raise AssertionError(f"bias_{name} is set but bias_{'vk'[name == 'v']} is None")
    if static_k is None and static_v is None and key.shape[count] != batch:
        raise RuntimeError(_other_batch(key, batch, num_heads, rows))
    if attn_mask is not None:
        _check_mask_shape(attn_mask, (batch * num_heads, length, key.shape[rows]))
    if bias_k is not None or add_zero_attn or static_k is not None or static_v is not None:
        parts, attn_mask, key_padding_mask = _extended(
            _separate(parts), (bias_k, bias_v), (static_k, static_v), add_zero_attn,
            attn_mask, key_padding_mask, num_heads, batch_first,
        )  # fmt: skip
    source_rows = parts[-1].shape[rows]
    if key_padding_mask is not None and tuple(key_padding_mask.shape) != (batch, source_rows):
        _refuse_padding(key_padding_mask, batch, source_rows)
    result, shown = attend(
        parts,
        num_heads,
        attn_mask,
        key_padding_mask,
        batch_first=batch_first,
        causal=is_causal,
        p=dropout_p if training else 0.0,
        average=average_attn_weights if need_weights else None,
    )
    result = linear(result, out_proj_weight, out_proj_bias)
    if batch_first:
        # As in PyTorch, a view: programs see its strides, and a dropout draws in memory order.
        result = result.transpose(0, 1)
    if batched:
        return result, shown
    return result.squeeze(1), None if shown is None else shown.squeeze(0)


def _check_sizes(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    expected: int,
    heads: int,
    separate: bool,
    count: int,
) -> None:
    width = query.shape[-1]
    if width != expected:
        raise AssertionError(f"was expecting embedding dimension of {expected}, but got {width}")
    if width // heads * heads != width:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {heads}")
    if separate:
        if key.shape[:2] != value.shape[:2]:
            outer = [(x.shape[1 - count], x.shape[count]) for x in (key, value)]
            raise AssertionError(
                f"key's sequence and batch dims {outer[0]} do not match value's {outer[1]}"
            )
    elif key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")


def _check_mask_shape(mask: Tensor, wanted: tuple[int, int, int]) -> None:
    expected = wanted[1:] if mask.dim() == 2 else wanted
    if mask.dim() not in (2, 3):
        raise RuntimeError(f"attn_mask's dimension {mask.dim()} is not supported")
    if tuple(mask.shape) != expected:
        raise RuntimeError(
            f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be {expected}."
        )


def _refuse_padding(mask: Tensor, batch: int, rows: int) -> None:
    axis, wanted = (0, batch) if mask.shape[0] != batch else (1, rows)
    raise AssertionError(
        f"Expected key_padded_mask.shape[{axis}] to be {wanted}, but got {mask.shape[axis]}"
    )


def _other_batch(key: Tensor, batch: int, heads: int, rows: int) -> str:
    """PyTorch's words for keys of another batch than the queries'."""
    shape = [key.shape[rows], batch * heads, key.shape[-1] // heads]
    return f"shape '{shape}' is invalid for input of size {key._meta.numel}"


def _separate(parts: list[Tensor]) -> list[Tensor]:
    return parts if len(parts) == 3 else list(parts[0].chunk(3, -1))


def _extended(
    parts: list[Tensor],
    biases: tuple[Tensor | None, Tensor | None],
    statics: tuple[Tensor | None, Tensor | None],
    zero: bool,
    mask: Tensor | None,
    padding: Tensor | None,
    heads: int,
    batch_first: bool,
) -> tuple[list[Tensor], Tensor | None, Tensor | None]:
    """Keys and values with more rows: the learned biases, and a row of zeros."""
    q, *rest = parts
    rows, count = (1, 0) if batch_first else (0, 1)
    more = 0
    if biases[0] is not None and biases[1] is not None:
        if statics[0] is not None:
            raise AssertionError("bias cannot be added to static key.")
        if statics[1] is not None:
            raise AssertionError("bias cannot be added to static value.")
        shape = [1, 1, -1]
        shape[count] = q.shape[count]
        rest = [cat([x, b.expand(shape)], rows) for x, b in zip(rest, biases) if b is not None]
        more += 1
    for place, static in enumerate(statics):
        if static is not None:
            rest[place] = _from_heads(
                static, "static_" + "kv"[place], q.shape[count], q.shape[-1], heads, batch_first
            )
    if zero:
        rest = [cat([x, x.new_zeros(_one_row(x, rows))], rows) for x in rest]
        more += 1
    return [q, *rest], _wider(mask, more), _wider(padding, more)


def _one_row(x: Tensor, rows: int) -> list[int]:
    shape = list(x.shape)
    shape[rows] = 1
    return shape


def _from_heads(
    static: Tensor, name: str, batch: int, width: int, heads: int, batch_first: bool
) -> Tensor:
    """[N * H, S, D] as [S, N, E] (or [N, S, E])."""
    if static.shape[0] != batch * heads:
        raise AssertionError(
            f"expecting {name}.size(0) of {batch * heads}, but got {static.shape[0]}"
        )
    if static.shape[2] != width // heads:
        raise AssertionError(
            f"expecting {name}.size(2) of {width // heads}, but got {static.shape[2]}"
        )
    split = static.reshape(batch, heads, *static.shape[1:])
    turned = split.permute(0, 2, 1, 3) if batch_first else split.permute(2, 0, 1, 3)
    return turned.flatten(2)


def _wider(mask: Tensor | None, more: int) -> Tensor | None:
    """A mask with `more` columns that hide nothing."""
    if mask is None or not more:
        return mask
    return cat([mask, mask.new_zeros((*mask.shape[:-1], more))], -1)


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of [L, N, E] to [S, N, *]: ([L, N, E], the weights [N, L, S] or None).

    A true element of a bool mask hides its position; a float mask is added to the scores.
    """
    return multi_head_attention(**locals())


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace: none; torch.nn.functional has it.
__all__: list[str] = []
