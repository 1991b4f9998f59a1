"""Softmax, its logarithm and its relaxed samples, with torch.nn.functional's signatures."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.functional.neural import (
    axis,
    binary,
    column,
    unary,
    widened,
)
from flambeau.functional.options import WHOLE, not_implemented, numpy_names
from flambeau.functional.pointwise import neg
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.tensor.tensor import Tensor


def shifted(x: Value, a: int) -> Value:
    """x minus its maximum along an axis, which is a constant to the derivative (it cancels)."""
    top = source.detach(rd.max_(source.detach(x) if x.tracked else x, axes=(a,)))
    return x - rd.spread(top, x, (a,))


def softmax_value(x: Value, a: int) -> Value:
    """exp(x) / sum(exp(x)); with r = 1 / sum, the derivative is e (r ct - r^2 sum(e ct))."""
    if not x.size:
        return x
    e = el.exp(shifted(x, a))
    return e * rd.spread(el.reciprocal(rd.sum_(e, axes=(a,))), e, (a,))


def log_softmax_value(x: Value, a: int) -> Value:
    """x - log(sum(exp(x)))."""
    if not x.size:
        return x
    s = shifted(x, a)
    return s - rd.spread(el.log(rd.sum_(el.exp(s), axes=(a,))), s, (a,))


def _softmax_op(name: str, function: Callable[[Value, int], Value], grad_name: str) -> PureOp:
    def apply(x: Value, dim: int, dtype: DType | None, negated: bool) -> Value:
        a = axis(dim, x.ndim)
        if dtype is not None:
            x = ar.cast(x, dtype)
        if not x.dtype.is_floating_point and x.size:
            last = "_lastdim" if a == max(x.ndim - 1, 0) else ""
            raise not_implemented(f"{name}{last}_kernel_impl", x.dtype)
        wide = column(widened(x), x.shape or (1,))
        result = function(el.neg(wide) if negated else wide, a)
        return ar.cast(column(result, x.shape), x.dtype)

    return PureOp(name, apply, grad_name)


SOFTMAX = _softmax_op("softmax", softmax_value, "SoftmaxBackward0")
LOG_SOFTMAX = _softmax_op("log_softmax", log_softmax_value, "LogSoftmaxBackward0")


def _implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as "
        "an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """exp(x) / sum(exp(x)) along dim; in `dtype` if given."""
    try:
        if dim is None:
            dim = _implicit_dim("softmax", input.ndim, _stacklevel)
        return unary(SOFTMAX, input, (dim, dtype, False))
    except Exception:
        refuse_misgiven()
        raise


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """log(softmax(x)) along dim; in `dtype` if given."""
    try:
        if dim is None:
            dim = _implicit_dim("log_softmax", input.ndim, _stacklevel)
        return unary(LOG_SOFTMAX, input, (dim, dtype, False))
    except Exception:
        refuse_misgiven()
        raise


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """softmax of -x along dim."""
    try:
        if dim is None:
            dim = _implicit_dim("softmin", input.ndim, _stacklevel)
        if input.dtype.kind in WHOLE:
            return unary(SOFTMAX, neg(input), (dim, dtype, False))
        return unary(SOFTMAX, input, (dim, dtype, True))
    except Exception:
        refuse_misgiven()
        raise


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of the relaxed (or, if hard, the one-hot) categorical distribution of logits."""
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    from flambeau.functional import creation, randomness

    noise = randomness.METHODS["exponential_"](creation.empty_like(logits))
    return binary(GUMBEL, logits, noise, (float(tau), bool(hard), dim))


def _gumbel(logits: Value, noise: Value, tau: float, hard: bool, dim: int) -> Value:
    a = axis(dim, logits.ndim)
    soft = softmax_value((logits - el.log(noise)) / tau, a)
    if not hard:
        return soft
    places = source.iota(size=soft.shape[a])
    places = column(places, tuple(n if i == a else 1 for i, n in enumerate(soft.shape)))
    best = rd.spread(rd.argmax(soft, axes=(a,)), soft, (a,))
    one_hot = ar.cast(el.eq(*ar.broadcast(places, best)), soft.dtype)
    return source.relink(one_hot, soft)


GUMBEL = PureOp("gumbel_softmax", _gumbel, "SoftmaxBackward0")


@numpy_names
def _method_softmax(self: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """Softmax over a dimension: what `torch.softmax` gives."""
    return unary(SOFTMAX, self, (dim, dtype, False))


@numpy_names
def _method_log_softmax(self: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """The logarithm of softmax over a dimension: what `torch.log_softmax` gives."""
    return log_softmax(self, dim, dtype=dtype)


METHODS: dict[str, Callable[..., Any]] = {
    "softmax": _method_softmax,
    "log_softmax": _method_log_softmax,
}

# Names of the torch namespace; torch.nn.functional has them all.
__all__ = ["log_softmax", "softmax"]
