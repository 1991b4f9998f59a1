"""Dropout: one event draws the mask, scales it and multiplies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import bool_, get_default_dtype, int64
from flambeau.core.shapes import (
    contiguous_strides,
    dense_strides_like,
    element_count,
    elementwise_strides,
    is_contiguous,
    memory_order,
)
from flambeau.functional.creation import zeros
from flambeau.functional.generators import default_generator
from flambeau.functional.options import not_implemented
from flambeau.functional.randomness import draw
from flambeau.ops import arithmetic as ar
from flambeau.ops import view
from flambeau.ops.value import Value
from flambeau.record.events import Event, operand_value, refuse_cast
from flambeau.record.trace import Trace
from flambeau.tensor.recording import record
from flambeau.tensor.tensor import Tensor


class DropoutOp(Event):
    """x times a scaled Bernoulli mask: key = (op, generator, x, (p, axes that share a draw))."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        p, feature, alpha = key[3]
        state, x = trace.read(key[1]), operand_value(trace, key[2])
        shape = x.shape if not feature else x.shape[:2] + (1,) * (x.ndim - 2)
        flat, after = draw(state, "bernoulli", element_count(shape), (("p", 1.0 - p),))
        mode, trace.grad_mode = trace.grad_mode, False
        trace.write(key[1], after)
        trace.grad_mode = mode
        meta = trace.tensors[key[2]].meta
        strides = dense_strides_like(meta.shape, meta.strides)
        noise = (shape, contiguous_strides(shape) if feature else strides)
        lies = elementwise_strides(meta.shape, [(meta.shape, meta.strides), noise])
        if feature or is_contiguous(meta.shape, strides):
            keep = view.reshape(flat, shape=shape)
        else:  # one draw an element, in memory order
            order = memory_order(shape, strides)
            inner = view.reshape(flat, shape=tuple(shape[a] for a in order))
            keep = view.permute(inner, order=tuple(order.index(a) for a in range(len(order))))
        if alpha:
            result = _alpha_dropout(x, keep, p)
        else:
            scale = ar.div(ar.cast(keep, x.dtype), 1.0 - p)
            result = ar.mul(x, scale)
        name = "AddBackward0" if alpha else "MulBackward0"
        trace.new_tensor(result, strides=lies, grad_name=name)


def _alpha_dropout(x: Value, keep: Value, p: float) -> Value:
    alpha = 1.7580993408473766
    a = 1.0 / math.sqrt((alpha * alpha * p + 1) * (1 - p))
    noise = ar.cast(keep, x.dtype)
    b = ar.add(ar.mul(ar.sub(noise, 1.0), alpha * a), alpha * a * p)
    return ar.add(ar.mul(x, ar.mul(noise, a)), b)


DROPOUT = DropoutOp("dropout")


def _checked_probability(p: float) -> float:
    if not 0.0 <= p <= 1.0:
        kind = ValueError if p == p else RuntimeError
        raise kind(f"dropout probability has to be between 0 and 1, but got {p}")
    return float(p)


def _dropout(
    input: Tensor, p: float, training: bool, inplace: bool, feature: bool, alpha: bool
) -> Tensor:
    _checked_probability(p)
    if not training or p == 0.0 or input.numel() == 0:
        input._meta  # noqa: B018 (an error where this is no tensor)
        return input
    if p == 1.0:
        result = input * False
    else:
        if feature and input.ndim < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        if input.dtype.is_complex:
            raise not_implemented("bernoulli_scalar_cpu_", input.dtype)
        if not input.dtype.is_floating_point:  # the noise is of the input's dtype, and is drawn
            as_floats = (default_generator._state, zeros(tuple(input.shape)))
            record(DROPOUT, as_floats, (float(p), feature, alpha))
            wide = int64 if alpha and input.dtype is bool_ else input.dtype
            refuse_cast(get_default_dtype(), wide)
        result = record(DROPOUT, (default_generator._state, input), (float(p), feature, alpha))
    if inplace:
        from flambeau.functional.inplace import copy_

        return copy_(input, result)
    return result


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes elements with probability p and scales the others by 1 / (1 - p), in training."""
    try:
        return _dropout(input, p, training, inplace, False, False)
    except Exception:
        refuse_misgiven()
        raise


def feature_dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels (axis 1) with probability p, in training."""
    return _dropout(input, p, training, inplace, True, False)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps mean and variance of SELU activations."""
    try:
        return _dropout(input, p, training, inplace, False, True)
    except Exception:
        refuse_misgiven()
        raise


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Alpha dropout of whole channels."""
    try:
        return _dropout(input, p, training, inplace, True, True)
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace.
__all__ = [
    "alpha_dropout", "dropout", "feature_alpha_dropout", "feature_dropout",
]  # fmt: skip
