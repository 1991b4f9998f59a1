"""What the neural-network functions share: named events, working precision, argument forms."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core import dtypes, errors
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.layout import channels_last_strides, suggests_channels_last
from flambeau.core.shapes import Strides
from flambeau.functional.options import WHOLE, not_implemented
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as rd
from flambeau.ops import source, view
from flambeau.ops.value import Shape, Value
from flambeau.record import recorder
from flambeau.record.events import PureOp
from flambeau.record.trace import Trace
from flambeau.tensor.tensor import Tensor

REDUCTIONS = ("none", "mean", "sum")
HALVES = (dtypes.float16, dtypes.bfloat16)
widened = ar.widened

# The recorder, which knows handles only, as what it is here: it gives tensors.
unary: Callable[..., Tensor] = recorder.unary
binary: Callable[..., Tensor] = recorder.binary
ternary: Callable[..., Tensor] = recorder.ternary
record: Callable[..., Tensor] = recorder.record
in_place: Callable[..., Tensor] = recorder.in_place


class NamedOp(PureOp):
    """A pure op whose grad_fn is named after its operands: `naming(*operands, *attributes)`."""

    __slots__ = ("naming",)

    def __init__(
        self, name: str, function: Callable[..., Any], naming: Callable[..., str], **options: Any
    ) -> None:
        super().__init__(name, function, **options)
        self.naming = naming

    def grad_name_of(self, operands: Sequence[Any], attributes: Sequence[Any]) -> str:
        """What the grad_fn of its results is called."""
        return self.naming(*operands, *attributes)


class ImageOp(PureOp):
    """A pure op on images [N, C, *space]: a channels-last first operand gives such results."""

    __slots__ = ()

    def strides(
        self, trace: Trace, key: tuple[Any, ...], shape: Shape, dtype: DType
    ) -> Strides | None:
        """Those of `image_strides`."""
        return image_strides(trace, key[1], shape)


class LineOp(ImageOp):
    """A pooling of lines [N, C, L], which PyTorch pools as images [N, C, 1, L]; with `derived` only
    for gradients.
    """

    __slots__ = ("derived",)

    def __init__(self, *args: Any, derived: bool = False) -> None:
        super().__init__(*args)
        self.derived = derived

    def strides(
        self, trace: Trace, key: tuple[Any, ...], shape: Shape, dtype: DType
    ) -> Strides | None:
        """Those of the images."""
        meta = trace.tensors[key[1]].meta
        if len(shape) != 3 or (self.derived and not (meta.requires_grad and trace.grad_mode)):
            return None
        (n, c, length), (first, second, step) = meta.shape, meta.strides
        if not suggests_channels_last((n, c, 1, length), (first, second, length * step, step)):
            return None
        return c * shape[2], 1, c


def image_strides(trace: Trace, number: int, shape: Shape) -> Strides | None:
    """How a result of that shape lies in memory, of images (the tensor of that number)."""
    meta = trace.tensors[number].meta
    last = len(shape) > 3 and suggests_channels_last(meta.shape, meta.strides)
    return channels_last_strides(shape) if last else None


# ---- arguments ----------------------------------------------------------------------------------


def not_a_tensor(name: str, given: Any, argument: str = "input", position: int = 1) -> Exception:
    """The TypeError for an operand that is no tensor."""
    return errors.not_a_tensor(name, argument, position, given)


def number(name: str, argument: str, given: Any) -> float:
    """A static number as a float; a TypeError for tensors and others."""
    if isinstance(given, (int, float)) or (
        not isinstance(given, Tensor) and getattr(given, "shape", None) == ()
    ):
        return float(given)
    raise TypeError(f"{name}(): argument '{argument}' must be Number, not {type(given).__name__}")


def flag(given: Any) -> bool:
    """A truth; what is none is refused in PyTorch's words."""
    if given.__class__ is not bool:
        refuse_misgiven()
    return bool(given)


def whole(name: str, argument: str, given: Any) -> int:
    """A static integer; a TypeError for other numbers and for what is none."""
    if isinstance(given, float) or not hasattr(given, "__index__"):
        raise TypeError(f"{name}(): argument '{argument}' must be int, not {type(given).__name__}")
    return int(given)


def hashable(given: Any) -> Any:
    """A list of sizes as a tuple; anything else as it is."""
    return tuple(given) if given.__class__ is list else given


def sizes(given: Any, rank: int, what: str, op: str) -> Shape:
    """One integer or `rank` of them, as a tuple."""
    if type(given) is int and rank > 0:
        return (given,) * rank
    parts = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    for part in parts:
        if isinstance(part, float) or not hasattr(part, "__index__"):
            raise TypeError(
                f"{op}(): argument '{what}' must be tuple of ints, but found element of type "
                f"{type(part).__name__}"
            )
    if len(parts) == 1:
        parts *= rank
    if len(parts) != rank:
        raise RuntimeError(
            f"{op}: {what} must either be a single int, or a tuple of {rank} ints, but got {given}"
        )
    return tuple(int(part) for part in parts)


def axis(dim: int, ndim: int) -> int:
    """A dimension counted from 0; IndexError out of range."""
    extent = max(ndim, 1)
    if not hasattr(dim, "__index__"):
        raise TypeError(f"argument 'dim' must be int, not {type(dim).__name__}")
    if not -extent <= dim < extent:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-extent}, {extent - 1}], but "
            f"got {dim})"
        )
    return dim % extent


def refuse_axis(dim: int, ndim: int) -> None:
    """IndexError for an axis that there is not, also of a tensor without axes."""
    if not ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    axis(dim, ndim)


# ---- precision ----------------------------------------------------------------------------------


def float_operand(x: Value, kernel: str) -> Value:
    """The operand in working precision; NotImplementedError unless floating."""
    if not x.dtype.is_floating_point:
        raise not_implemented(kernel, x.dtype)
    return widened(x)


def floating(dtype: DType) -> DType:
    """The dtype of a result that a Python float takes part in."""
    return dtype if dtype.is_floating_point or dtype.is_complex else dtypes.get_default_dtype()


def mean(x: Value, axes: Shape) -> Value:
    """The mean over axes."""
    count = 1
    for a in axes:
        count *= x.shape[a]
    return divided(rd.sum_(x, axes=axes), count)


def divided(x: Value, count: float) -> Value:
    """x / count by a constant; NaN for 0 / 0."""
    return el.div(x, ar.full_like(x, float(count)))


def column(x: Value, shape: Shape) -> Value:
    """`x` with the extents of `shape`, where some are 1 (a reshape), ready to broadcast."""
    return view.reshape(x, shape=shape)


def constant(value: float, x: Value) -> Value:
    """A constant of the dtype and shape of x."""
    return ar.full(x.shape, value, x.dtype)


def zeros_from(x: Value, shape: Shape) -> Value:
    """Zeros of `shape` that belong to x's history all the same (its gradient is zero)."""
    zeros = ar.full(shape, 0.0, x.dtype)
    if not x.tracked:
        return zeros
    nothing = rd.sum_(x * 0.0, axes=tuple(range(x.ndim)))
    return source.relink(zeros, ar.expand(nothing, shape))


def selected(condition: Value, a: Value, b: Value) -> Value:
    """where() with both branches broadcast."""
    return el.where(*ar.broadcast(condition, a, b))


# ---- losses -------------------------------------------------------------------------------------


def reduced(x: Value, reduction: str) -> Value:
    """A loss's elements reduced: none, mean or sum."""
    if reduction == "none":
        return x
    axes = tuple(range(x.ndim))
    if x.dtype.kind in WHOLE:
        if reduction == "mean":
            raise RuntimeError(
                "mean(): could not infer output dtype. Input dtype must be either a floating point "
                f"or complex dtype. Got: {x.dtype.scalar_name}"
            )
        x = ar.cast(x, dtypes.int64)
    if reduction == "mean":
        return mean(x, axes)
    if reduction == "sum":
        return rd.sum_(x, axes=axes)
    raise ValueError(f"{reduction} is not a valid value for reduction")


def reduced_once(x: Value, reduction: str) -> Value:
    """Elements reduced without a rounding to a half type in between."""
    result = reduced(widened(x), reduction)
    return result if x.dtype.kind in WHOLE else ar.cast(result, x.dtype)


REDUCTION_NAMES = ("MeanBackward0", "SumBackward0")


def named(none: str, mean: str, sum_: str) -> Callable[..., str]:
    """A loss's grad_fn name by its reduction, the first text among the attributes."""
    names = {"none": none, "mean": mean, "sum": sum_}
    return lambda *parts: next(names[part] for part in parts if isinstance(part, str))


def chosen_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """`reduction`, or what the deprecated arguments ask for, with PyTorch's warning."""
    if size_average is None and reduce is None:
        return reduction
    average = True if size_average is None else size_average
    chosen = "none" if reduce is False else ("mean" if average else "sum")
    warnings.warn(
        "size_average and reduce args will be deprecated, please use reduction="
        f"'{chosen}' instead.",
        stacklevel=3,
    )
    return chosen


def warn_of_broadcasting(input: Tensor, target: Tensor) -> None:
    """PyTorch's warning for a target of another size."""
    warnings.warn(
        f"Using a target size ({target.shape}) that is different to the input size "
        f"({input.shape}). "
        "This will likely lead to incorrect results due to broadcasting. "
        "Please ensure they have the same size.",
        stacklevel=3,
    )
