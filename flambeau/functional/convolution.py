"""Convolutions, their transposes, and the linear maps.

Everything is the primitive `conv` (or `dot`) between pads and reshapes; groups are an axis of its
operands.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.layout import channels_last_strides, suggests_channels_last
from flambeau.core.shapes import Strides
from flambeau.functional.folded_products import linear_copied, turned_copied
from flambeau.functional.linear_algebra import TYPE_NAMES
from flambeau.functional.neural import (
    NamedOp,
    binary,
    column,
    hashable,
    not_a_tensor,
    record,
    sizes,
    ternary,
)
from flambeau.functional.options import WHOLE, not_implemented
from flambeau.functional.pointwise import write_out
from flambeau.ops import arithmetic as ar
from flambeau.ops import view
from flambeau.ops.contraction import conv, dot, unrounded
from flambeau.ops.value import Shape, Value
from flambeau.record.trace import Trace
from flambeau.tensor.tensor import Tensor

# ---- linear -------------------------------------------------------------------------------------


def _check_linear(x: Value, w: Value, b: Value | None) -> None:
    if not w.ndim:
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are {x.ndim}D and 0D"
        )
    if w.ndim > 2:
        raise RuntimeError(f"mat2 must be a matrix, got {w.ndim}-D tensor")
    if b is not None and w.ndim == 1:
        raise RuntimeError("mat2 must be a matrix, got 1-D tensor")
    rows = math.prod(x.shape[:-1])
    if not x.ndim:
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are 0D and {w.ndim}D"
        )
    if x.shape[-1] != w.shape[-1]:
        if w.ndim == 1:
            raise RuntimeError(
                f"size mismatch, got input ({rows}), mat ({rows}x{x.shape[-1]}), vec ({w.shape[0]})"
            )
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{x.shape[-1]} and "
            f"{w.shape[1]}x{w.shape[0]})"
        )
    if x.dtype is not w.dtype:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {x.dtype.scalar_name} and "
            f"{w.dtype.scalar_name}"
        )
    if b is None:
        return
    if b.dtype is not x.dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {b.dtype.scalar_name} and "
            f"{w.dtype.scalar_name}"
        )
    if b.ndim > 1 or b.size not in (1, w.shape[0]):
        raise RuntimeError(
            f"The expanded size of the tensor ({w.shape[0]}) must match the existing size "
            f"({b.shape[-1]}) at non-singleton dimension 1.  Target sizes: "
            f"{[rows, w.shape[0]]}.  Tensor sizes: {list(b.shape)}"
        )


def linear_value(x: Value, w: Value, b: Value | None = None) -> Value:
    """x @ w^T + b over the last axis."""
    _check_linear(x, w, b)
    if x.dtype.kind == "b" and x.size:
        raise not_implemented("addmm_impl_cpu_", x.dtype)
    matrix = w if w.ndim == 2 else column(w, (1, w.shape[0]))
    rows = math.prod(x.shape[:-1])
    flat = x if x.ndim == 2 else view.reshape(x, shape=(rows, x.shape[-1]))
    result = dot(flat, view.permute(matrix, order=(1, 0)))
    if b is not None:  # (half types are rounded behind it)
        wide = unrounded(result)
        result = ar.cast(wide + ar.expand(ar.cast(b, wide.dtype), wide.shape), result.dtype)
    shape = x.shape[:-1] + ((w.shape[0],) if w.ndim == 2 else ())
    return result if result.shape == shape else view.reshape(result, shape=shape)


def _linear_name(x: Value, w: Value, b: Value | None = None) -> str:
    if w.ndim == 1:
        return "MvBackward0"
    if x.ndim == 2:
        return "MmBackward0" if b is None else "AddmmBackward0"
    if b is not None:
        return "ViewBackward0"
    return "SqueezeBackward4" if x.ndim == 1 else "UnsafeViewBackward0"


LINEAR = NamedOp("linear", linear_value, _linear_name, copied=linear_copied)
_LINEAR_TURNED = NamedOp("linear", linear_value, _linear_name, copied=turned_copied)


def linear_turned(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`linear` of [N, L, E], which PyTorch computes of a transposed view."""
    if bias is None:
        return binary(_LINEAR_TURNED, input, weight)
    return ternary(_LINEAR_TURNED, input, weight, bias)


def linear(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None
) -> Tensor:
    """input @ weight^T + bias: [.., in] and [out, in] give [.., out]."""
    if not isinstance(input, Tensor):
        raise not_a_tensor("linear", input)
    if out is not None:
        return write_out(linear(input, weight, bias), out)
    try:
        if bias is None:
            return binary(LINEAR, input, weight)
        return ternary(LINEAR, input, weight, bias)
    except AttributeError:
        if not isinstance(weight, Tensor):
            raise not_a_tensor("linear", weight, "weight", 2) from None
        if bias is not None and not isinstance(bias, Tensor):
            raise not_a_tensor("linear", bias, "bias", 3) from None
        raise


def _bilinear(x1: Value, x2: Value, w: Value, b: Value | None) -> Value:
    given = {"input1": x1, "input2": x2, "weight": w} | ({} if b is None else {"bias": b})
    if len({v.dtype for v in given.values()}) > 1:
        said = ", ".join(f"{name}: {TYPE_NAMES[v.dtype.name]}" for name, v in given.items())
        raise RuntimeError(f"All tensors must have the same dtype, got {said}")
    if x1.ndim != x2.ndim:
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {x1.ndim} and {x2.ndim}"
        )
    for place, (n1, n2) in enumerate(zip(x1.shape[:-1], x2.shape[:-1])):
        if n1 != n2:
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {place}: got {n1} and {n2}"
            )
    for place, x in ((1, x1), (2, x2)):
        if x.shape[-1:] != w.shape[place : place + 1]:
            raise RuntimeError(
                f"bilinear(): input{place} size does not match weight size: got {x.shape[-1]} but "
                f"expected {w.shape[place]}"
            )
    rows = math.prod(x1.shape[:-1])
    out, n1, n2 = w.shape
    left = view.reshape(x1, shape=(rows, n1, 1))
    right = view.reshape(x2, shape=(rows, 1, n2))
    pairs = view.reshape(left * right, shape=(rows, n1 * n2))
    matrix = view.permute(view.reshape(w, shape=(out, n1 * n2)), order=(1, 0))
    result = dot(pairs, matrix)
    if b is not None:
        result = result + ar.expand(b, result.shape)
    return view.reshape(result, shape=(*x1.shape[:-1], out))


BILINEAR = NamedOp(
    "bilinear", _bilinear, lambda x1, x2, w, b: "AddBackward0" if b is not None else "ViewBackward0"
)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[.., o] = sum over i, j of input1[.., i] weight[o, i, j] input2[.., j], plus bias."""
    try:
        return record(BILINEAR, (input1, input2, weight, bias))
    except Exception:
        refuse_misgiven()
        raise


# ---- convolution --------------------------------------------------------------------------------


def _matching(given: Any, rank: int, what: str) -> Shape:
    """One integer or one per spatial axis."""
    parts = given if isinstance(given, (tuple, list)) else (given,)
    if len(parts) not in (1, rank):
        raise RuntimeError(
            f"expected {what} to be a single integer value or a list of {rank} values to match the "
            f"convolution dimensions, but got {what}={list(parts)}"
        )
    return sizes(given, rank, what, f"conv{rank}d")


def _check_operands(name: str, x: Value, w: Value, b: Value | None, rank: int) -> None:
    if x.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, but got "
            "input of "
            f"size: {list(x.shape)}"
        )
    if w.ndim != rank + 2:
        raise RuntimeError(
            f"Expected {w.ndim}-dimensional input for {w.ndim}-dimensional weight "
            f"{list(w.shape)}, but got {x.ndim}-dimensional input of size {list(x.shape)} instead"
        )
    if b is not None and b.dtype is not x.dtype and "transpose" not in name:
        given, wanted = TYPE_NAMES[x.dtype.name], TYPE_NAMES[b.dtype.name]
        raise RuntimeError(f"Input type ({given}) and bias type ({wanted}) should be the same")
    if w.dtype is not x.dtype:
        raise RuntimeError(
            f"expected scalar type {x.dtype.scalar_name} but found {w.dtype.scalar_name}"
        )


def _check_numbers(
    stride: Shape, padding: Shape, dilation: Shape, groups: Any, output_padding: Shape = ()
) -> None:
    if isinstance(groups, float) or not hasattr(groups, "__index__"):
        raise TypeError(f"argument 'groups' must be int, not {type(groups).__name__}")
    if min(stride) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(padding) < 0:
        raise RuntimeError("negative padding is not supported")
    if min(output_padding, default=0) < 0:
        raise RuntimeError("negative output_padding is not supported")
    if min(dilation) < 0:
        raise RuntimeError("dilation should be greater than zero")
    if not min(dilation):
        raise RuntimeError(f"dilation should be greater than zero, but got {list(dilation)}")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")


def refuse_window(what: str, mark: str, given: Shape, least: int = 1) -> None:
    """RuntimeError unless all extents of a window are at least 1 (or 0)."""
    if min(given) >= least:
        return
    whole = (1, *given) if len(given) == 1 else given
    axes = ("depth", "height", "width")[-len(whole) :]
    said = " ".join(f"{mark}_{a}: {n}" for a, n in zip(axes, whole, strict=True))
    must = "should be greater than zero" if least else "should be non-negative"
    raise RuntimeError(f"{what} {must}, but got {said}")


def _check_channels(x: Value, w: Value, b: Value | None, groups: int, transposed: bool) -> None:
    """The channel counts of a batched convolution; w as PyTorch has it."""
    channels = w.shape[0] if transposed else w.shape[1] * groups
    if w.shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            f"got weight of size {list(w.shape)} instead"
        )
    if w.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size [{list(w.shape)}] instead"
        )
    if 0 in w.shape[2:]:
        refuse_window("kernel size", "kernel", w.shape[2:])
    if x.shape[1] != channels:
        given = f"transposed={int(transposed)}" if transposed else f"groups={groups}"
        raise RuntimeError(
            f"Given {given}, weight of size {list(w.shape)}, expected input{list(x.shape)} to have "
            f"{channels} channels, but got {x.shape[1]} channels instead"
        )
    out = w.shape[1] * groups if transposed else w.shape[0]
    if b is not None and b.shape != (out,):
        given = "transposed=1, weight" if transposed else "weight"
        raise RuntimeError(
            f"Given {given} of size {list(w.shape)}, expected bias to be 1-dimensional with {out} "
            f"elements, but got bias of size {list(b.shape)} instead"
        )


def _paddings(padding: Any, kernel: Shape, stride: Shape, dilation: Shape) -> tuple[Shape, Shape]:
    """What to add before and after each spatial axis."""
    rank = len(kernel)
    if not isinstance(padding, str):
        both = _matching(padding, rank, "padding")
        return both, both
    if padding == "valid":
        return (0,) * rank, (0,) * rank
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = tuple(d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    low = tuple(t // 2 for t in total)
    return low, tuple(t - n for t, n in zip(total, low, strict=True))


def pad_space(x: Value, low: Shape, high: Shape, interior: Shape | None = None) -> Value:
    """Zeros around (and between) the last axes."""
    interior = interior or (0,) * len(low)
    if not (any(low) or any(high) or any(interior)):
        return x
    lead = (0,) * (x.ndim - len(low))
    return view.pad(x, low=lead + low, high=lead + high, interior=lead + interior, value=0)


def _with_bias(y: Value, b: Value | None, groups: int) -> Value:
    """y [N, G, O, *S] plus a bias [G O]."""
    if b is None:
        return y
    shape = (1, groups, y.shape[2]) + (1,) * (y.ndim - 3)
    return y + ar.expand(column(b, shape), y.shape)


def _by(parts: Shape) -> str:
    return "(" + " x ".join(map(str, parts)) + ")"


def convolution_value(
    x: Value,
    w: Value,
    b: Value | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    rank: int,
) -> Value:
    """x [N, G C, *S] (or unbatched), w [G O, C, *K], b [G O] -> [N, G O, *OS]."""
    name = f"conv{rank}d"
    steps = _matching(stride, w.ndim - 2, "stride")
    _check_operands(name, x, w, b, rank)
    dilations = _matching(dilation, rank, "dilation")
    kernel = w.shape[2:]
    low, high = _paddings(padding, kernel, steps, dilations)
    _check_numbers(steps, low, dilations, groups)
    if x.dtype.kind in WHOLE and x.dtype is not dtypes.int64 and max(dilations) > 1:
        raise not_implemented("slow_conv_dilated<>", x.dtype)
    batched = x if x.ndim == rank + 2 else view.reshape(x, shape=(1, *x.shape))
    _check_channels(batched, w, b, groups, False)
    padded = tuple(n + a + c for n, a, c in zip(batched.shape[2:], low, high, strict=True))
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True))
    if any(r > n for r, n in zip(reach, padded, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: {_by(padded)}. Kernel size: {_by(reach)}. "
            "Kernel size can't be greater than actual input size"
        )
    n, c = batched.shape[:2]
    o = w.shape[0] // groups
    grouped = view.reshape(batched, shape=(n, groups, c // groups, *batched.shape[2:]))
    weights = view.reshape(w, shape=(groups, o, *w.shape[1:]))
    grouped = pad_space(grouped, low, high)
    y = _with_bias(conv(grouped, weights, strides=steps, dilations=dilations), b, groups)
    lead: Shape = (n,) if x.ndim == rank + 2 else ()
    return view.reshape(y, shape=(*lead, groups * o, *y.shape[3:]))


def transposed_value(
    x: Value,
    w: Value,
    b: Value | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    rank: int,
) -> Value:
    """The adjoint of a convolution: x [N, G O, *S] (or unbatched), w [G O, C, *K]."""
    name = f"conv_transpose{rank}d"
    if x.dtype.kind in WHOLE and x.dtype is not dtypes.int64 and x.ndim == w.ndim:
        raise not_implemented(f"slow_conv_transpose{max(rank, 2)}d_out_cpu", x.dtype)
    _check_operands(name, x, w, b, rank)
    steps, pads = _matching(stride, rank, "stride"), _matching(padding, rank, "padding")
    extra = _matching(output_padding, rank, "output_padding")
    dilations = _matching(dilation, rank, "dilation")
    _check_numbers(steps, pads, dilations, groups, extra)
    batched = x if x.ndim == rank + 2 else view.reshape(x, shape=(1, *x.shape))
    if not w.shape[1]:
        raise RuntimeError(
            f"non-empty {max(rank, 2)}D or {max(rank, 2) + 2}D weight tensor expected, but got: "
            f"{list(w.shape)}"
        )
    _check_channels(batched, w, b, groups, True)
    if any(e >= s and e >= d for e, s, d in zip(extra, steps, dilations, strict=True)):
        raise RuntimeError(_output_padding_error(extra, steps, dilations))
    reach = tuple(d * (k - 1) for d, k in zip(dilations, w.shape[2:], strict=True))
    low = tuple(r - p for r, p in zip(reach, pads, strict=True))
    high = tuple(r - p + e for r, p, e in zip(reach, pads, extra, strict=True))
    n, c = batched.shape[:2]
    o = w.shape[1]
    space = tuple(
        (i - 1) * s - 2 * p + r + e + 1
        for i, s, p, r, e in zip(batched.shape[2:], steps, pads, reach, extra, strict=True)
    )
    if any(extent < 1 for extent in space):
        raise RuntimeError(
            f"Given input size per channel: {_by(batched.shape[2:])}. Calculated output size per "
            "channel: "
            f"{_by(space)}. Output size is too small"
        )
    grouped = view.reshape(batched, shape=(n, groups, c // groups, *batched.shape[2:]))
    spread = pad_space(grouped, low, high, tuple(s - 1 for s in steps))
    weights = view.reshape(w, shape=(groups, c // groups, *w.shape[1:]))
    axes = tuple(range(3, 3 + rank))
    kernel = view.permute(view.flip(weights, axes=axes), order=(0, 2, 1, *axes))
    y = _with_bias(conv(spread, kernel, strides=(1,) * rank, dilations=dilations), b, groups)
    lead: Shape = (n,) if x.ndim == rank + 2 else ()
    return view.reshape(y, shape=(*lead, groups * o, *y.shape[3:]))


def _output_padding_error(extra: Shape, steps: Shape, dilations: Shape) -> str:
    names = ("time", "height", "width")[-len(extra) :] if len(extra) > 1 else ("width",)
    parts = [
        f"{what}_{n}: {value}"
        for what, values in (("output_padding", extra), ("stride", steps), ("dilation", dilations))
        for n, value in zip(names, values, strict=True)
    ]
    return "output padding must be smaller than either stride or dilation, but got " + " ".join(
        parts
    )


class ConvolutionOp(NamedOp):
    """Channels-last images or weights give channels-last results."""

    __slots__ = ()

    def strides(
        self, trace: Trace, key: tuple[Any, ...], shape: Shape, dtype: DType
    ) -> Strides | None:
        """How the result lies in memory."""
        for number in key[1:3]:
            meta = trace.tensors[number].meta
            if len(shape) == 5 and meta.dtype is dtypes.float64:
                continue  # PyTorch has no such kernel
            if len(shape) > 3 and suggests_channels_last(meta.shape, meta.strides):
                return channels_last_strides(shape)
        return None


def _convolution_op(rank: int, transposed: bool) -> NamedOp:
    function: Callable[..., Value] = transposed_value if transposed else convolution_value

    def apply(x: Value, w: Value, b: Value | None, *attributes: Any) -> Value:
        try:
            return function(x, w, b, *attributes, rank)
        except Exception:
            refuse_misgiven()
            raise

    def name(x: Value, *rest: Any) -> str:
        return "ConvolutionBackward0" if x.ndim == rank + 2 else "SqueezeBackward1"

    return ConvolutionOp(f"conv_transpose{rank}d" if transposed else f"conv{rank}d", apply, name)


CONV = {rank: _convolution_op(rank, False) for rank in (1, 2, 3)}
CONV_TRANSPOSE = {rank: _convolution_op(rank, True) for rank in (1, 2, 3)}
CONV2D = CONV[2]


def _convolve(
    op: NamedOp, input: Tensor, weight: Tensor, bias: Tensor | None, attributes: tuple[Any, ...]
) -> Tensor:
    if not isinstance(input, Tensor):
        raise not_a_tensor(op.name, input)
    for part in attributes:
        if part.__class__ is list:
            attributes = tuple([hashable(part) for part in attributes])
            break
    if bias is None:
        return record(op, (input, weight, None), attributes)
    return ternary(op, input, weight, bias, attributes)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of [N, C, L] (or [C, L]) with [O, C / groups, K]."""
    try:
        return _convolve(CONV[1], input, weight, bias, (stride, padding, dilation, groups))
    except Exception:
        refuse_misgiven()
        raise


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of [N, C, H, W] (or [C, H, W]) with [O, C / groups, KH, KW]."""
    try:
        return _convolve(CONV2D, input, weight, bias, (stride, padding, dilation, groups))
    except Exception:
        refuse_misgiven()
        raise


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of [N, C, D, H, W] (or [C, D, H, W]) with [O, C / groups, KD, KH, KW]."""
    try:
        return _convolve(CONV[3], input, weight, bias, (stride, padding, dilation, groups))
    except Exception:
        refuse_misgiven()
        raise


def _transposed(rank: int) -> Callable[..., Tensor]:
    op = CONV_TRANSPOSE[rank]

    def apply(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        try:
            attributes = (stride, padding, output_padding, groups, dilation)
            result: Tensor = _convolve(op, input, weight, bias, attributes)
            return result
        except Exception:
            refuse_misgiven()
            raise

    apply.__name__ = apply.__qualname__ = op.name
    apply.__doc__ = (
        f"The adjoint of conv{rank}d, upsampling by the stride; weight [C, O / groups, *K]."
    )
    return apply


conv_transpose1d, conv_transpose2d, conv_transpose3d = (
    _transposed(1),
    _transposed(2),
    _transposed(3),
)


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace; torch.nn.functional has linear besides.
__all__ = [
    "bilinear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]
