"""torch.masked: reductions and normalisations of the elements that a mask picks.

Everywhere `mask` broadcasts against `input` (None: every element counts); what it leaves out takes
no part. `dtype` is that of the result. A row of which nothing counts gives what the reduction of
nothing gives: 0 as a sum, 1 as a product, the least number as a maximum, NaN as a mean.
Sparse tensors: NotImplementedError. Masked tensors (`torch.masked.MaskedTensor`) do not exist.
"""

from __future__ import annotations

import math
from typing import Any

from flambeau.core.dtypes import DType, bool_, float32, iinfo, int64
from flambeau.tensor.tensor import Tensor

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp",
    "logsumexp", "mean", "median", "norm", "normalize", "prod", "softmax", "softmin", "std", "sum",
    "var",
]  # fmt: skip


def _broadcast(input: Any, mask: Any) -> Any:
    """The mask as booleans of the input's shape; None where every element counts."""
    if not isinstance(input, Tensor):
        raise ValueError(f"masked operations expect a Tensor but got {type(input).__name__}")
    if input.is_sparse or (mask is not None and mask.is_sparse):
        raise NotImplementedError("masked operations of sparse tensors are not supported")
    if mask is None:
        return None
    if mask.dim() > input.dim():
        raise IndexError(
            "_input_mask expected broadcastable mask (got mask dimensionality higher than of the "
            "input)"
        )
    return mask.to(bool_).expand(input.shape)


def _filled(input: Any, mask: Any, value: Any) -> Any:
    """The input with `value` in the place of what does not count."""
    counts = _broadcast(input, mask)
    return input if counts is None else input.masked_fill(~counts, value)


def _axes(input: Any, dim: Any) -> tuple[int, ...]:
    if dim is None or dim == ():
        return tuple(range(input.dim()))
    return (dim,) if isinstance(dim, int) else tuple(dim)


def _summed_dtype(input: Any, dtype: DType | None) -> DType:
    if dtype is not None:
        return dtype
    return input.dtype if input.dtype.kind in "fc" else int64


def _extreme(name: str, dtype: DType, largest: bool) -> Any:
    """The number that no other is less (or greater) than."""
    if dtype.is_floating_point:
        return math.inf if largest else -math.inf
    if dtype is bool_ or dtype.is_complex:
        raise NotImplementedError(f"identity of {name} on {dtype} input")
    limits = iinfo(dtype)
    return limits.max if largest else limits.min


# ---- sums and products ---------------------------------------------------------------------------


def sum(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The sum over `dim`, one or several dimensions or all; integers and bool give int64."""
    filled = _filled(input, mask, 0)
    result: Tensor = filled.sum(_axes(input, dim), keepdim, dtype=_summed_dtype(input, dtype))
    return result


def prod(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The product over `dim`, one or several dimensions or all; integers and bool give int64."""
    result = _filled(input, mask, 1).to(_summed_dtype(input, dtype))
    axes = sorted((axis % max(input.dim(), 1) for axis in _axes(input, dim)), reverse=True)
    if not axes:
        return result.prod()  # type: ignore[no-any-return]
    for axis in axes:
        result = result.prod(axis, keepdim)
    return result  # type: ignore[no-any-return]


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The sums of what counts from the first element to each."""
    result: Tensor = _filled(input, mask, 0).cumsum(dim, dtype=dtype or input.dtype)
    return result


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The products of what counts from the first element to each."""
    result: Tensor = _filled(input, mask, 1).cumprod(dim, dtype=dtype or input.dtype)
    return result


# ---- extrema -------------------------------------------------------------------------------------


def _extremum(name: str, input: Any, dim: Any, keepdim: bool, dtype: Any, mask: Any) -> Tensor:
    filled = _filled(input, mask, _extreme(name, input.dtype, name == "amin"))
    result: Tensor = getattr(filled, name)(_axes(input, dim), keepdim).to(dtype or input.dtype)
    return result


def amax(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The largest element over `dim`."""
    return _extremum("amax", input, dim, keepdim, dtype, mask)


def amin(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The smallest element over `dim`."""
    return _extremum("amin", input, dim, keepdim, dtype, mask)


def _place(name: str, input: Any, dim: Any, keepdim: bool, dtype: Any, mask: Any) -> Tensor:
    filled = _filled(input, mask, _extreme(name, input.dtype, name == "argmin"))
    result: Tensor = getattr(filled, name)(dim, bool(keepdim)).to(dtype or input.dtype)
    return result


def argmax(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The index of the largest element, in the input's dtype unless another is given."""
    return _place("argmax", input, dim, keepdim, dtype, mask)


def argmin(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The index of the smallest element, in the input's dtype unless another is given."""
    return _place("argmin", input, dim, keepdim, dtype, mask)


# ---- moments -------------------------------------------------------------------------------------


def _count(input: Any, axes: tuple[int, ...], mask: Any) -> Any:
    """How many elements over `axes` count, with those axes as 1."""
    counts = _broadcast(input, mask)
    if counts is None:
        return math.prod(input.shape[axis] for axis in axes) if input.dim() else 1
    return counts.sum(axes, True)


def mean(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The mean over `dim`. ValueError for integers without a dtype."""
    dtype = dtype or input.dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(
            "mean(): Could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {dtype}"
        )
    axes = _axes(input, dim)
    total: Any = sum(input, axes, keepdim=True, dtype=dtype, mask=mask)
    result = total / _count(input, axes, mask)
    return result if keepdim else result.squeeze(axes)  # type: ignore[no-any-return]


def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The variance over `dim`, over the count less `correction` (1; without `unbiased` 0)."""
    assert unbiased is None or correction is None, (
        "Only one of unbiased and correction may be given"
    )
    if correction is None:
        correction = 1.0 if unbiased is None or unbiased else 0.0
    if input.dtype is bool_:
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
            "to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    kind = dtype or (input.dtype if input.dtype.kind in "fc" else float32)
    axes = _axes(input, dim)
    values: Any = input.to(kind)
    count = _count(input, axes, mask)
    apart: Any = values - sum(values, axes, keepdim=True, mask=mask) / count
    squared = (apart * apart.conj()).real if kind.is_complex else apart * apart
    total = sum(squared, axes, keepdim=True, mask=mask)
    left = max(count - correction, 0) if isinstance(count, int) else (count - correction).clamp(0)
    result: Any = total / left
    return result.to(kind) if keepdim else result.to(kind).squeeze(axes)  # type: ignore[no-any-return]


def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The root of `var`."""
    result: Tensor = var(
        input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask
    ).sqrt()
    return result


def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The lower median along `dim`. ValueError for integers where in a row nothing counts."""
    wanted = dtype or input.dtype
    values: Any = input
    counts = _broadcast(input, mask)
    if not input.dtype.is_floating_point:
        if counts is not None and bool((~counts.any(dim)).any()):
            raise ValueError(
                "masked median expects no fully masked out rows if dtype is not floating point"
            )
        values = input.to(float32)
    if counts is not None:
        values = values.masked_fill(~counts, math.nan)
    result: Tensor = values.nanmedian(dim, keepdim)[0].to(wanted)
    return result


def norm(
    input: Tensor,
    ord: float | None = 2.0,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The vector norm of order `ord` over `dim`."""
    from flambeau.linalg import vector_norm

    filled = _filled(input, mask, math.inf if ord == -math.inf else 0)
    result: Tensor = vector_norm(filled, ord, _axes(input, dim), keepdim, dtype=dtype)
    return result


# ---- normalisations ------------------------------------------------------------------------------


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """exp(x) over the sum of those that count along `dim`; 0 where nothing counts in between."""
    filled = _filled(input, mask, _extreme("amax", input.dtype, largest=False))
    result: Tensor = filled.softmax(dim, dtype=dtype or input.dtype)
    return result


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The logarithm of `softmax`."""
    filled = _filled(input, mask, _extreme("amax", input.dtype, largest=False))
    result: Tensor = filled.log_softmax(dim, dtype=dtype or input.dtype)
    return result


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The softmax of -x."""
    filled = _filled(input, mask, _extreme("amin", input.dtype, largest=True))
    result: Tensor = (-filled).softmax(dim, dtype=dtype or input.dtype)
    return result


def normalize(
    input: Tensor,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """x over its norm along `dim`, at least `eps`; 0 where it does not count."""
    from flambeau.functional.pointwise import maximum

    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    least = length.new_full((), eps)
    result: Tensor = _filled(input, mask, 0) / maximum(length, least)
    return result


def logsumexp(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """log(sum(exp(x))) over `dim`."""
    filled = _filled(input, mask, _extreme("logsumexp", input.dtype, largest=False))
    result: Tensor = filled.logsumexp(_axes(input, dim), keepdim).to(dtype or input.dtype)
    return result


def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: Any = None,
    input_mask: Any = None,
    other_mask: Any = None,
) -> Tensor:
    """log(exp(input) + exp(other)), each where its mask holds."""
    least = _extreme("logaddexp", input.dtype, largest=False)
    first: Any = _filled(input, input_mask, least)
    result: Tensor = first.logaddexp(_filled(other, other_mask, least)).to(dtype or input.dtype)
    return result
