"""Rounding to the grid of an integer format, as training for quantised networks does it."""

from __future__ import annotations

from typing import Any

from flambeau.core import dtypes
from flambeau.functional.options import not_implemented
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import view
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Operand, Value
from flambeau.record.events import PureOp
from flambeau.tensor.recording import record
from flambeau.tensor.tensor import Tensor

KERNELS = "fake_quantize_tensor_cachemask_kernel_type_handling"
KERNELS_OF_CHANNELS = "fake_quantize_channel_cachemask_cpu_type_handling"


def _on_grid(x: Value, scale: Operand, zero: Operand, low: int, high: int, axis: int) -> Value:
    """(limited(zero + round(x / scale)) - zero) * scale; a cotangent passes where nothing was
    limited. Where `zero` is a float, it is added before rounding (PyTorch's order).
    """
    kind = dtypes.float64 if x.dtype is dtypes.float64 else dtypes.float32
    fine = ar.cast(x, kind)
    shape = tuple(x.shape[a] if a == axis else 1 for a in range(x.ndim))

    def spread(operand: Operand) -> Value:
        value = ar.cast(ar.as_value(operand, dtypes.float64), dtypes.float32)
        value = view.reshape(value, shape=shape if axis >= 0 else ())
        return ar.expand(ar.cast(value, kind), x.shape)

    step, start = spread(scale), spread(zero)
    inverse = ar.cast(el.reciprocal(ar.cast(step, dtypes.float32)), kind)
    if isinstance(zero, Value) and zero.dtype.is_floating_point and axis >= 0:
        grid = el.round_(el.add(start, el.mul(fine, inverse)))
    else:
        grid = el.add(start, el.round_(el.mul(fine, inverse)))
    least, most = ar.full_like(grid, low), ar.full_like(grid, high)
    inside = ar.logical_and(el.ge(grid, least), el.le(grid, most))
    limited = el.where(el.ge(grid, least), el.where(el.gt(grid, most), most, grid), least)
    # (Without channels the last product is one of float32, whatever the input's dtype.)
    last = kind if axis >= 0 else dtypes.float32
    product = el.mul(ar.cast(el.sub(limited, start), last), ar.cast(step, last))
    made = ar.cast(product, x.dtype)
    return with_derivative(made, x, lambda ct, _: el.mul(ct, ar.cast(inside, ct.dtype)))


def _per_tensor(x: Value, scale: Operand, zero: Operand, low: int, high: int) -> Value:
    return _on_grid(x, scale, zero, low, high, -1)


TO_NUMBERS = PureOp(
    "fake_quantize_per_tensor_affine", _per_tensor,
    "FakeQuantizePerTensorAffineCachemaskBackward0", preserves=True, kept=1,
)  # fmt: skip
TO_TENSORS = PureOp(
    "fake_quantize_per_tensor_affine", _per_tensor,
    "FakeQuantizePerTensorAffineCachemaskTensorQparamsBackward0", preserves=True, kept=1,
)  # fmt: skip
OF_CHANNELS = PureOp(
    "fake_quantize_per_channel_affine", _on_grid,
    "FakeQuantizePerChannelAffineCachemaskBackward0", preserves=True, kept=1,
)  # fmt: skip


def _checked(kernels: str, input: Tensor, low: int, high: int) -> None:
    if low > high:
        raise RuntimeError("`quant_min` should be less than or         equal to `quant_max`.")
    if not input.dtype.is_floating_point:
        raise not_implemented(kernels, input.dtype)


def fake_quantize_per_tensor_affine(
    input: Tensor, scale: Any, zero_point: Any, quant_min: int, quant_max: int
) -> Tensor:
    """(clamp(zero_point + round(input / scale), quant_min, quant_max) - zero_point) * scale.

    The gradient passes where nothing was clamped. `scale` and `zero_point` are numbers, or tensors
    of one element.
    """
    _checked(KERNELS, input, quant_min, quant_max)
    if isinstance(scale, Tensor) or isinstance(zero_point, Tensor):
        for name, given in (("scale", scale), ("zero_point", zero_point)):
            if isinstance(given, Tensor) and given.requires_grad:
                raise RuntimeError(
                    "The function '_fake_quantize_per_tensor_affine_cachemask_tensor_qparams' is "
                    f"not differentiable with respect to argument '{name}'. This input cannot "
                    "have requires_grad True."
                )
        return record(TO_TENSORS, (input, scale, zero_point), (quant_min, quant_max))
    if not quant_min <= zero_point <= quant_max:
        raise RuntimeError("`zero_point` must be between `quant_min` and `quant_max`.")
    operands = (input, float(scale), int(zero_point))
    return record(TO_NUMBERS, operands, (quant_min, quant_max))


def fake_quantize_per_channel_affine(
    input: Tensor, scale: Tensor, zero_point: Tensor, axis: int, quant_min: int, quant_max: int
) -> Tensor:
    """fake_quantize_per_tensor_affine with a scale and a zero point (int32, or a float dtype) for
    each place along an axis.
    """
    if scale.dtype not in (dtypes.float32, dtypes.bfloat16):
        raise RuntimeError(f"Scale must be Float or BFloat16, found {scale.dtype.scalar_name}")
    if zero_point.dtype not in (dtypes.int32, dtypes.float32, dtypes.float16):
        raise RuntimeError(
            f"Zero-point must be Int32, Float or Half, found {zero_point.dtype.scalar_name}"
        )
    if scale.dim() != 1:
        raise RuntimeError("scale should be a 1-D tensor")
    if zero_point.dim() != 1:
        raise RuntimeError("zero point should be a 1-D tensor")
    if scale.numel() != zero_point.numel():
        raise RuntimeError("scale and zero-point need to have the same dimensions")
    if scale.numel() != input.size(axis):
        raise RuntimeError(
            "dimensions of scale and zero-point are not consistent with input tensor"
        )
    if quant_min > quant_max:
        raise RuntimeError("`quant_min` should be less than or         equal to `quant_max`.")
    whole = not zero_point.dtype.is_floating_point
    if whole and not bool(((zero_point >= quant_min) & (zero_point <= quant_max)).all()):
        raise RuntimeError("`zero_point` must be between `quant_min` and `quant_max`.")
    if not 0 <= axis <= input.dim():
        raise RuntimeError("`axis` must be between 0 and number of dimensions of input")
    _checked(KERNELS_OF_CHANNELS, input, quant_min, quant_max)
    return record(OF_CHANNELS, (input, scale, zero_point), (quant_min, quant_max, axis))
