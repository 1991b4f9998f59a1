"""Batch, layer, group, instance, root-mean-square and local response normalisation.

Note: the variance and its derivative
    With m the mean, var = mean((x - m)^2). Differentiated as it stands, m's share of the gradient
    is a reduction that waits for another one. For any constant c, var = mean((x - c)^2) - (m - c)^2
    exactly; with c = m detached the last term is 0 and carries the right derivatives of every
    order, and all reductions of the backward pass read the data at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.shapes import Strides, is_contiguous
from flambeau.functional.neural import (
    ImageOp,
    NamedOp,
    column,
    constant,
    divided,
    floating,
    image_strides,
    mean,
    not_a_tensor,
    record,
    unary,
    widened,
)
from flambeau.functional.options import not_implemented
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.value import Shape, Value
from flambeau.record import recorder
from flambeau.record.events import Event, PureOp, operand_value, together
from flambeau.record.trace import Trace
from flambeau.tensor.tensor import Tensor

LOCAL = recorder.LOCAL
new = object.__new__


def moments(x: Value, axes: Shape) -> tuple[Value, Value, Value]:
    """x minus its mean over axes, the mean, and the biased variance (see the Note)."""
    m = mean(x, axes)
    centred = x - rd.spread(m, x, axes)
    if not m.tracked:
        return centred, m, mean(centred * centred, axes)
    fixed = source.detach(m)
    around = x - rd.spread(fixed, x, axes)
    shift = m - fixed
    return centred, m, mean(around * around, axes) - shift * shift


def _scaled(x: Value, scale: Value | None, shift: Value | None) -> Value:
    """x * scale + shift, both already broadcast."""
    if scale is not None:
        x = x * scale
    return x if shift is None else x + shift


# ---- batch and instance -------------------------------------------------------------------------


def batch_strides(trace: Trace, number: int, shape: Shape) -> Strides | None:
    """Those of images (the tensor of that number), where they do not lie row by row as well, as
    those of one channel or pixel do.
    """
    meta = trace.tensors[number].meta
    dense = is_contiguous(meta.shape, meta.strides)
    return None if dense else image_strides(trace, number, shape)


class EvaluationOp(ImageOp):
    """A batch normalisation by running statistics."""

    __slots__ = ()

    def strides(
        self, trace: Trace, key: tuple[Any, ...], shape: Shape, dtype: dtypes.DType
    ) -> Strides | None:
        """Those of `batch_strides`."""
        return batch_strides(trace, key[1], shape)


class StatisticsOp(Event):
    """A normalisation that overwrites its running statistics: one new tensor, up to two writes.

    key = (op, x, weight, bias, running mean, running variance, [number of batches,] momentum,
    attributes); `function(*operands, *attributes)` gives the result and the new statistics (None
    where there are none).
    """

    __slots__ = ("function", "images")

    repeatable = True

    def __init__(
        self, name: str, function: Callable[..., Any], grad_name: str, *, images: bool = False
    ) -> None:
        super().__init__(name, grad_name)
        self.function = function
        self.images = images  # channels-last images give channels-last results

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        operands = [operand_value(trace, part) for part in key[1:-1]]
        result, *statistics = self.function(*operands, *key[-1])
        grad_mode, trace.grad_mode = trace.grad_mode, False
        try:
            for target, value in zip(key[4:-2], statistics, strict=True):
                if target is not None:
                    trace.write(target, ar.cast(value, trace.tensors[target].meta.dtype))
        finally:
            trace.grad_mode = grad_mode
        strides = batch_strides(trace, key[1], result.shape) if self.images else None
        trace.new_tensor(result, strides=strides, grad_name=self.grad_name)


def _check_channels(x: Value, count: int, **given: Value | None) -> None:
    for name, value in given.items():
        if value is not None and value.shape != (count,):
            if value.size != count:
                raise RuntimeError(f"{name} should contain {count} elements not {value.size}")
            if name.startswith("running"):
                raise RuntimeError(f"TensorAccessor expected 1 dims but tensor has {value.ndim}")
    if not x.dtype.is_floating_point and x.ndim > 1:
        raise not_implemented("batch_norm", x.dtype)
    # Half inputs may come with float32 parameters and statistics; other mixtures are refused.
    for value in given.values():
        wide = value is not None and widened(x).dtype is value.dtype
        if value is not None and value.dtype is not x.dtype and not wide:
            raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")


def _per_channel(parameter: Value | None, x: Value) -> Value | None:
    if parameter is None:
        return None
    shape = tuple(x.shape[1] if a == 1 else 1 for a in range(x.ndim))
    return ar.expand(column(ar.cast(parameter, x.dtype), shape), x.shape)


def _blend(old: Value | None, value: Value, momentum: Value) -> Value | None:
    """(1 - momentum) * old + momentum * value."""
    if old is None:
        return None
    value = source.detach(value) if value.tracked else value
    rest = el.sub(source.constant(1.0, dtypes.float64), ar.cast(momentum, dtypes.float64))
    rest, share = ar.cast(rest, value.dtype), ar.cast(momentum, value.dtype)
    old = ar.cast(old, value.dtype)
    return el.add(el.mul(*ar.broadcast(old, rest)), el.mul(*ar.broadcast(value, share)))


def _batch_norm_training(
    x: Value,
    w: Value | None,
    b: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    momentum: Value,
    eps: float,
) -> tuple[Value, Value | None, Value | None]:
    if x.ndim > 1 and x.shape[0] * math.prod(x.shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size "
            f"torch.Size({list(x.shape)})"
        )
    count = _check_batch_norm(x, w, b, running_mean, running_var)
    axes = (0, *range(2, x.ndim))
    wide = widened(x)
    centred, m, variance = moments(wide, axes)
    scale = el.rsqrt(variance + eps)
    if w is not None:
        scale = scale * ar.cast(column(w, scale.shape), scale.dtype)
    result = _scaled(centred, _per_channel(scale, wide), _per_channel(b, wide))
    unbiased = variance * (count / (count - 1)) if count else variance
    if not count:  # nothing was seen: the running statistics stay
        m = m if running_mean is None else running_mean
        unbiased = variance if running_var is None else running_var
    return (
        ar.cast(result, x.dtype),
        _blend(running_mean, m, momentum),
        _blend(running_var, unbiased, momentum),
    )


def _check_batch_norm(x: Value, w: Value | None, b: Value | None, *running: Value | None) -> int:
    """Checks the operands; returns the number of elements per channel."""
    channels = x.shape[1] if x.ndim > 1 else 0
    mean, variance = running
    _check_channels(x, channels, running_mean=mean, running_var=variance, weight=w, bias=b)
    if x.ndim < 2:
        raise RuntimeError(f"batch_norm: expected at least 2 dimensions, but got {x.ndim}")
    return x.size // max(channels, 1) if channels else 0


def _batch_norm_evaluating(
    x: Value,
    w: Value | None,
    b: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    eps: float,
) -> Value:
    for name, value in (("running_mean", running_mean), ("running_var", running_var)):
        if value is None:
            raise RuntimeError(f"{name} must be defined in evaluation mode")
    _check_batch_norm(x, w, b, running_mean, running_var)
    assert running_mean is not None and running_var is not None
    wide = widened(x)
    scale = el.rsqrt(ar.cast(running_var, wide.dtype) + eps)
    if w is not None:
        scale = scale * ar.cast(column(w, scale.shape), scale.dtype)
    m, spread_scale = _per_channel(running_mean, wide), _per_channel(scale, wide)
    assert m is not None
    return ar.cast(_scaled(wide - m, spread_scale, _per_channel(b, wide)), x.dtype)


def _batch_norm_counting(
    x: Value,
    w: Value,
    b: Value,
    running_mean: Value,
    running_var: Value,
    batches: Value,
    momentum: Value,
    eps: float,
) -> tuple[Value | None, ...]:
    made = _batch_norm_training(x, w, b, running_mean, running_var, momentum, eps)
    return (*made, ar.add(batches, 1))


COUNTING_BATCH_NORM = StatisticsOp(
    "batch_norm", _batch_norm_counting, "NativeBatchNormBackward0", images=True
)
BATCH_NORM = StatisticsOp(
    "batch_norm", _batch_norm_training, "NativeBatchNormBackward0", images=True
)
BATCH_NORM_EVAL = EvaluationOp("batch_norm", _batch_norm_evaluating, "NativeBatchNormBackward0")


def _update(op: StatisticsOp, operands: tuple[Any, ...], attributes: tuple[Any, ...]) -> Any:
    """Records a normalisation; running statistics that NumPy can see are written at once."""
    for target in operands[3:5]:
        storage = None if target is None else target._storage
        if storage is not None and storage.exposed and storage.still_exposed():
            shown = [t._storage for t in operands[3:5] if t is not None and t._storage is not None]
            return recorder.write_exposed(
                [s for s in shown if s.exposed], lambda: _update(op, operands, attributes)
            )
    return record(op, operands, attributes)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel (dimension 1), by its moments in training, else by running ones."""
    if training and isinstance(eps, (int, float)) and eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    return normalised_batch(input, running_mean, running_var, weight, bias, training, momentum, eps)


def normalised_batch(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """`batch_norm` for any `eps`, as torch.batch_norm takes it."""
    try:
        if not isinstance(input, Tensor):
            raise not_a_tensor("batch_norm", input)
        if not training:
            return record(BATCH_NORM_EVAL, (input, weight, bias, running_mean, running_var), (eps,))
        operands = (input, weight, bias, running_mean, running_var, momentum)
        result: Tensor = _update(BATCH_NORM, operands, (eps,))
        return result
    except Exception:
        refuse_misgiven()
        raise


def _enter_running(rec: recorder.Recording, running: list[Tensor]) -> bool:
    """Brings running statistics into the recording in one event; whether it did."""
    metas = tuple([t._meta for t in running])
    if len({id(t._storage) for t in running}) != len(running):
        return False  # views of one storage enter one by one
    return recorder.enter_all(rec, running, together(metas))  # type: ignore[arg-type]


def batch_norm_step(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running: list[Tensor],
    momentum: float,
    eps: float,
) -> Tensor | None:
    """Batch normalisation in training that also counts the batch, in one event (hot path).

    `running` are the mean, the variance and the number of batches. None where the case is not the
    common one; nothing has happened then.
    """
    mean, variance, batches = running
    rec = LOCAL.rec
    try:
        if mean._rec is not rec and not _enter_running(rec, running):
            return None
        if not (variance._rec is batches._rec is rec):
            return None
        key = (
            COUNTING_BATCH_NORM,
            x._num if x._rec is rec else recorder.enter(rec, x),
            weight._num if weight._rec is rec else recorder.enter(rec, weight),
            bias._num if bias._rec is rec else recorder.enter(rec, bias),
            mean._num,
            variance._num,
            batches._num,
            float,
            (eps,),
        )
        state = rec.state.next.get(key) or recorder.miss(rec, key)
        out: Tensor = new(Tensor)
        out._meta = state.metas[0]
        out._rec = rec
        out._num = state.number
        scalars = (momentum,)
        rec.state = state
        rec.scalars += scalars
        handles = rec.handles
        handles.append(out)
    except recorder.Flushed:
        return batch_norm_step(x, weight, bias, running, momentum, eps)
    if state.effects:
        recorder.apply_effects(rec, handles, state)
    return out


def _instance_norm_own(
    x: Value,
    w: Value | None,
    b: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    momentum: Value,
    eps: float,
) -> tuple[Value, Value | None, Value | None]:
    count = math.prod(x.shape[2:]) if x.ndim > 2 else 1
    if count <= 1:
        raise ValueError(
            "Expected more than 1 spatial element when training, got input size "
            f"torch.Size({list(x.shape)})"
        )
    _check_batch_norm(x, w, b, running_mean, running_var)
    axes = tuple(range(2, x.ndim))
    wide = widened(x)
    centred, m, variance = moments(wide, axes)
    scale = rd.spread(el.rsqrt(variance + eps), wide, axes)
    result = _scaled(centred * scale, _per_channel(w, wide), _per_channel(b, wide))
    unbiased = variance * (count / (count - 1))
    return (
        ar.cast(result, x.dtype),
        _blend(running_mean, mean(m, (0,)), momentum),
        _blend(running_var, mean(unbiased, (0,)), momentum),
    )


INSTANCE_NORM = StatisticsOp("instance_norm", _instance_norm_own, "ViewBackward0")
INSTANCE_NORM_EVAL = PureOp("instance_norm", _batch_norm_evaluating, "ViewBackward0")


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel of each sample over its spatial axes."""
    try:
        if use_input_stats:
            operands = (input, weight, bias, running_mean, running_var, momentum)
            result: Tensor = _update(INSTANCE_NORM, operands, (eps,))
            return result
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "Expected running_mean and running_var to be defined when use_input_stats is false"
            )
        return record(INSTANCE_NORM_EVAL, (input, weight, bias, running_mean, running_var), (eps,))
    except Exception:
        refuse_misgiven()
        raise


# ---- layer, group, root mean square -------------------------------------------------------------


def _check_normalized(
    x: Value, shape: Shape, w: Value | None, b: Value | None, dimensions: str
) -> tuple[int, ...]:
    """The axes of normalized_shape."""
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least "
            "one element, "
            "but got normalized_shape = []"
        )
    for name, value in (("weight", w), ("bias", b)):
        if value is not None and value.shape != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(value.shape)} and normalized_shape = {list(shape)}"
            )
    if x.shape[x.ndim - len(shape) :] != shape or x.ndim < len(shape):
        wanted = dimensions + ", ".join(map(str, shape))
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [{wanted}], but "
            "got input of "
            f"size{list(x.shape)}"
        )
    return tuple(range(x.ndim - len(shape), x.ndim))


def _mixed(x: Value, *parameters: Value | None) -> None:
    for value in parameters:
        if value is not None and value.dtype not in (x.dtype, widened(x).dtype):
            raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")


def _trailing(parameter: Value | None, x: Value) -> Value | None:
    return None if parameter is None else ar.expand(ar.cast(parameter, x.dtype), x.shape)


def _layer_norm(x: Value, w: Value | None, b: Value | None, shape: Shape, eps: float) -> Value:
    axes = _check_normalized(x, shape, w, b, "*, ")
    _mixed(x, w, b)
    if not x.dtype.is_floating_point:
        raise not_implemented("LayerNormKernelImpl", x.dtype)
    wide = widened(x)
    centred, _, variance = moments(wide, axes)
    scale = rd.spread(el.rsqrt(variance + eps), wide, axes)
    return ar.cast(_scaled(centred * scale, _trailing(w, wide), _trailing(b, wide)), x.dtype)


LAYER_NORM = PureOp("layer_norm", _layer_norm, "NativeLayerNormBackward0")


def _shape_argument(name: str, given: Any) -> Shape:
    if isinstance(given, int):
        raise TypeError(
            f"{name}(): argument 'normalized_shape' (position 2) must be tuple of ints, not int"
        )
    return tuple(given)


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises over the last axes, which have the extents normalized_shape."""
    try:
        if normalized_shape.__class__ is not tuple:
            normalized_shape = _shape_argument("layer_norm", normalized_shape)
        return record(LAYER_NORM, (input, weight, bias), (normalized_shape, eps))
    except Exception:
        refuse_misgiven()
        raise


def _rms_norm(x: Value, w: Value | None, shape: Shape, eps: float | None) -> Value:
    if shape and x.ndim < len(shape):
        raise ValueError(
            f"Input tensor must have at least {len(shape)} dimensions, but got {x.ndim}"
        )
    axes = _check_normalized(x, shape, w, None, "*")
    if not x.dtype.is_floating_point:
        raise not_implemented("rms_norm", x.dtype)
    wide = widened(x)
    least = dtypes.finfo(wide.dtype).eps if eps is None else eps
    scale = rd.spread(el.rsqrt(mean(wide * wide, axes) + least), wide, axes)
    result = wide * scale
    if w is None:
        return ar.cast(result, x.dtype)
    return ar.cast(result * ar.expand(ar.cast(w, result.dtype), result.shape), x.dtype)


RMS_NORM = PureOp("rms_norm", _rms_norm, "MulBackward0")


def rms_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean(x^2) + eps) over the last axes, times weight (eps: the dtype's by default)."""
    try:
        shape = _shape_argument("rms_norm", normalized_shape)
        return record(RMS_NORM, (input, weight), (shape, eps))
    except Exception:
        refuse_misgiven()
        raise


def _group_norm(x: Value, w: Value | None, b: Value | None, groups: int, eps: float) -> Value:
    if x.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {x.ndim}")
    n, c = x.shape[:2]
    inner = math.prod(x.shape[2:])
    if groups < 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {groups}")
    if n * c * inner and n * (c // groups) * inner == 1:
        size = [n * c // groups, groups, *x.shape[2:]]
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {size}"
        )
    if c % groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input "
            "of shape "
            f"{list(x.shape)} and num_groups={groups}"
        )
    for name, value in (("weight", w), ("bias", b)):
        if value is not None and value.shape != (c,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in "
                "input, but got "
                f"{name} of shape {list(value.shape)} and input of shape {list(x.shape)}"
            )
    _mixed(x, w, b)
    if not x.dtype.is_floating_point:
        raise not_implemented("GroupNormKernelImpl", x.dtype)
    wide = view.reshape(widened(x), shape=(n, groups, c // groups * inner))
    centred, _, variance = moments(wide, (2,))
    scale = rd.spread(el.rsqrt(variance + eps), wide, (2,))
    result = view.reshape(centred * scale, shape=x.shape)
    return ar.cast(_scaled(result, _per_channel(w, result), _per_channel(b, result)), x.dtype)


GROUP_NORM = ImageOp("group_norm", _group_norm, "NativeGroupNormBackward0")


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises over groups of channels (dimension 1) and all axes after it."""
    try:
        return record(GROUP_NORM, (input, weight, bias), (int(num_groups), eps))
    except Exception:
        refuse_misgiven()
        raise


def _local_response(x: Value, size: int, alpha: float, beta: float, k: float) -> Value:
    if x.ndim < 3:
        raise ValueError(
            "Expected 3D or higher dimensionality                          "
            f"input (got {x.ndim} dimensions)"
        )
    if not x.size:
        return x
    low = [0] * x.ndim
    high = [0] * x.ndim
    low[1], high[1] = size // 2, (size - 1) // 2
    dtype = floating(x.dtype)
    wide = widened(ar.cast(x, dtype))
    squares = view.pad(
        wide * wide, low=tuple(low), high=tuple(high), interior=(0,) * x.ndim, value=0
    )
    last = (0, *range(2, x.ndim), 1)
    windows = view.windows(
        view.permute(squares, order=last), sizes=(size,), steps=(1,), dilations=(1,)
    )
    total = divided(rd.sum_(windows, axes=(x.ndim,)), size)
    total = view.permute(total, order=(0, x.ndim - 1, *range(1, x.ndim - 1)))
    scale = el.pow_(total * alpha + k, constant(beta, total))
    return ar.cast(wide / scale, dtype)


LOCAL_RESPONSE = NamedOp(
    "local_response_norm", _local_response, lambda x, *rest: "DivBackward0", preserves=True
)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha * mean of the squares of `size` neighbouring channels) ^ beta."""
    try:
        attributes = (int(size), float(alpha), float(beta), float(k))
        return unary(LOCAL_RESPONSE, input, attributes)
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace.
__all__ = ["group_norm", "layer_norm", "rms_norm"]
