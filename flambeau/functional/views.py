"""Views: the same memory under another layout. Writing through one shows in all.

On a tensor that holds its data, outside autograd, a view is made at once; elsewhere it is an event.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType, supported
from flambeau.core.layout import contiguous_format
from flambeau.core.shapes import (
    Shape,
    Strides,
    contiguous_strides,
    element_count,
    infer_size,
    view_strides,
    wrap_axis,
)
from flambeau.functional.options import numpy_names
from flambeau.ops import arithmetic as ar
from flambeau.ops import view as vw
from flambeau.ops.value import Value
from flambeau.record.entering import PLAIN
from flambeau.record.events import Layout, PureOp, ViewOp
from flambeau.record.meta import Meta, meta_of
from flambeau.record.recorder import LOCAL, alias, at_rest, settle_elsewhere, unary, view_alias
from flambeau.record.restricted import birth
from flambeau.tensor.tensor import Tensor

INCOMPATIBLE = (
    "view size is not compatible with input tensor's size and stride (at least one dimension spans "
    "across two contiguous subspaces). Use .reshape(...) instead."
)


def free(x: Tensor) -> bool:
    """Whether a view of x needs no event: x holds its data and autograd does not watch."""
    storage = x._storage
    if storage is None or x._rec is LOCAL.rec:
        return False
    other = storage.recording
    if other is not None and not other.done:
        settle_elsewhere(x)  # in another thread's recording x would be without the view
    return not x._meta.requires_grad or (not LOCAL.grad_mode and at_rest(storage))


@lru_cache(maxsize=1 << 14)
def shown_meta(
    op: ViewOp, meta: Meta, attributes: tuple[Any, ...], grad_mode: bool
) -> tuple[Meta, int]:
    """The meta of a view of what holds its data, and how many elements after it the view begins."""
    shape, strides, distance = op.layout(meta.shape, meta.strides, 0, *attributes)
    born = birth(meta, grad_mode)
    tracked, silent = meta.requires_grad, meta.silent
    shown = meta_of(meta.dtype, shape, strides, requires_grad=tracked, born=born, silent=silent)
    return shown, distance


# What `shown_meta` has found, by grad mode: for native calls.
SHOWN: dict[bool, dict[Any, tuple[Meta, int]]] = {True: {}, False: {}}
MANY = 1 << 14


def show(op: ViewOp, x: Tensor, attributes: tuple[Any, ...]) -> Tensor:
    """The view that `op` makes of x."""
    if x._storage is not None:
        show_known = PLAIN.show
        if show_known is not None:
            here = LOCAL.__dict__
            table = SHOWN[here["grad_mode"]]
            known: Tensor | None = show_known(x, here["rec"], op, attributes, table)
            if known is not None:
                return known
        if free(x):
            grad_mode = LOCAL.grad_mode
            found = shown_meta(op, x._meta, attributes, grad_mode)
            if show_known is not None:
                if len(SHOWN[grad_mode]) > MANY:
                    SHOWN[grad_mode].clear()
                SHOWN[grad_mode][op, x._meta, attributes] = found
            made: Tensor = view_alias(x, found[0], x._offset + found[1])
            return made
    recorded: Tensor = unary(op, x, attributes)
    return recorded


# ---- arguments -----------------------------------------------------------------------------------


def integer(value: Any, name: str, argument: str) -> int:
    """A Python int from an int, a NumPy integer or a one-element integer tensor."""
    if type(value) is int:
        return value
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name}(): argument '{argument}' must be int, not {type(value).__name__}"
        ) from None


def integers(given: tuple[Any, ...], name: str, argument: str = "size") -> Shape:
    """Sizes or axes given one by one or as one sequence."""
    if len(given) == 1:
        only = given[0]
        if type(only) is tuple:
            given = only
        elif not isinstance(only, (int, Tensor)) and isinstance(only, Sequence):
            given = tuple(only)
    for value in given:
        if type(value) is not int:
            return tuple([integer(v, name, argument) for v in given])
    return given


# ---- slices, selections, new axes ----------------------------------------------------------------


def basic_layout(
    shape: Shape,
    strides: Strides,
    offset: int,
    starts: Shape,
    sizes: Shape,
    steps: Shape,
    kept: Shape,
) -> Layout:
    """Slices on every axis, then the `kept` axes; -1 - a: a new axis in front of source axis a."""
    offset += sum(start * stride for start, stride in zip(starts, strides, strict=True))
    new_shape, new_strides = [], []
    for axis in kept:
        if axis < 0:
            axis = -1 - axis
            new_shape.append(1)
            new_strides.append(shape[axis] * strides[axis] if axis < len(shape) else 1)
        else:
            new_shape.append(sizes[axis])
            new_strides.append(strides[axis] * steps[axis])
    return tuple(new_shape), tuple(new_strides), offset


def basic_value(x: Value, starts: Shape, sizes: Shape, steps: Shape, kept: Shape) -> Value:
    if sizes != x.shape:
        x = vw.slice_(x, starts=starts, sizes=sizes, steps=steps)
    shape = tuple(1 if axis < 0 else sizes[axis] for axis in kept)
    return x if shape == x.shape else vw.reshape(x, shape=shape)


SELECT = ViewOp("select", basic_layout, basic_value)
SLICE = ViewOp("slice", basic_layout, basic_value)
NEW_AXIS = ViewOp("unsqueeze", basic_layout, basic_value)
ALIAS = ViewOp("alias", lambda shape, strides, offset: (shape, strides, offset), lambda x: x)


def _select_layout(shape: Shape, strides: Strides, offset: int, axis: int, index: int) -> Layout:
    return (
        shape[:axis] + shape[axis + 1 :],
        strides[:axis] + strides[axis + 1 :],
        offset + index * strides[axis],
    )


def _select_value(x: Value, axis: int, index: int) -> Value:
    starts = tuple(index if a == axis else 0 for a in range(x.ndim))
    sizes = tuple(1 if a == axis else n for a, n in enumerate(x.shape))
    return vw.reshape(
        vw.slice_(x, starts=starts, sizes=sizes, steps=(1,) * x.ndim),
        shape=x.shape[:axis] + x.shape[axis + 1 :],
    )


def _narrow_layout(
    shape: Shape, strides: Strides, offset: int, axis: int, start: int, size: int, step: int
) -> Layout:
    return (
        shape[:axis] + (size,) + shape[axis + 1 :],
        strides[:axis] + (strides[axis] * step,) + strides[axis + 1 :],
        offset + start * strides[axis],
    )


def _narrow_value(x: Value, axis: int, start: int, size: int, step: int) -> Value:
    if size == x.shape[axis]:
        return x
    starts = tuple(start if a == axis else 0 for a in range(x.ndim))
    sizes = tuple(size if a == axis else n for a, n in enumerate(x.shape))
    steps = tuple(step if a == axis else 1 for a in range(x.ndim))
    return vw.slice_(x, starts=starts, sizes=sizes, steps=steps)


SELECT_ONE = ViewOp("select", _select_layout, _select_value)
NARROW = ViewOp("slice", _narrow_layout, _narrow_value)


@numpy_names
def select(input: Tensor, dim: int, index: Any) -> Tensor:
    """The view at one index of a dimension, without the dimension. IndexError out of range."""
    shape, at = input._meta.shape, integer(index, "select", "index")
    if not shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis = wrap_axis(dim, len(shape))
    if not -shape[axis] <= at < shape[axis]:
        raise IndexError(
            f"select(): index {at} out of range for tensor of size {list(shape)} at dimension "
            f"{axis}"
        )
    return show(SELECT_ONE, input, (axis, at + shape[axis] if at < 0 else at))


@numpy_names
def narrow(input: Tensor, dim: int, start: Any, length: Any) -> Tensor:
    """`length` elements of a dimension from `start` on, as a view. RuntimeError past the end."""
    shape = input._meta.shape
    if not shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    axis = wrap_axis(dim, len(shape))
    if isinstance(start, Tensor) and (start.ndim or start.dtype.kind not in "i"):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    at, size, extent = (
        integer(start, "narrow", "start"),
        integer(length, "narrow", "length"),
        shape[axis],
    )
    if size < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -extent <= at <= extent:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-extent}, {extent}], but got "
            f"{at})"
        )
    if at < 0:
        at += extent
    if at + size > extent:
        raise RuntimeError(f"start ({at}) + length ({size}) exceeds dimension size ({extent}).")
    return show(NARROW, input, (axis, at, size, 1))


@numpy_names
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A view with a new dimension of extent 1 at `dim`."""
    return show(UNSQUEEZE, input, (wrap_axis(dim, len(input._meta.extents) + 1),))


def _unsqueeze_layout(shape: Shape, strides: Strides, offset: int, axis: int) -> Layout:
    step = shape[axis] * strides[axis] if axis < len(shape) else 1
    return shape[:axis] + (1,) + shape[axis:], strides[:axis] + (step,) + strides[axis:], offset


UNSQUEEZE = ViewOp(
    "unsqueeze",
    _unsqueeze_layout,
    lambda x, axis: vw.reshape(x, shape=x.shape[:axis] + (1,) + x.shape[axis:]),
)


def _squeezed(shape: Shape, axes: Shape | None) -> list[int]:
    return [a for a, n in enumerate(shape) if n != 1 or (axes is not None and a not in axes)]


def _squeeze_layout(shape: Shape, strides: Strides, offset: int, axes: Shape | None) -> Layout:
    kept = _squeezed(shape, axes)
    return tuple(shape[a] for a in kept), tuple(strides[a] for a in kept), offset


def _squeeze_value(x: Value, axes: Shape | None) -> Value:
    return vw.reshape(x, shape=tuple(x.shape[a] for a in _squeezed(x.shape, axes)))


SQUEEZE = ViewOp("squeeze", _squeeze_layout, _squeeze_value)
SQUEEZE_ONE = ViewOp("squeeze", _squeeze_layout, _squeeze_value, "SqueezeBackward1")
SQUEEZE_SOME = ViewOp("squeeze", _squeeze_layout, _squeeze_value, "SqueezeBackward2")


@numpy_names
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """A view without the dimensions of extent 1 (all, or those of `dim`)."""
    rank = len(input._meta.extents)
    if dim is None:
        return show(SQUEEZE, input, (None,))
    if isinstance(dim, Sequence):
        axes = tuple(wrap_axis(integer(d, "squeeze", "dim"), rank) for d in dim)
        if len(set(axes)) != len(axes):
            raise RuntimeError(
                f"dim {next(a for a in axes if axes.count(a) > 1)} appears multiple times in the "
                "list of dims"
            )
        return show(SQUEEZE_SOME, input, (axes,))
    return show(SQUEEZE_ONE, input, ((wrap_axis(integer(dim, "squeeze", "dim"), rank),),))


# ---- reshape -------------------------------------------------------------------------------------


def _view_layout(shape: Shape, strides: Strides, offset: int, sizes: Shape) -> Layout:
    new_strides = view_strides(shape, strides, sizes)
    if new_strides is None:
        raise RuntimeError(INCOMPATIBLE)
    return sizes, new_strides, offset


def _reshape_value(x: Value, sizes: Shape) -> Value:
    return vw.reshape(x, shape=sizes)


VIEW = ViewOp("view", _view_layout, _reshape_value)
RESHAPE_COPY = PureOp("reshape", _reshape_value, "UnsafeViewBackward0")


@lru_cache(maxsize=8192)
def _reshaping(meta: Meta, sizes: Shape) -> tuple[tuple[Shape], bool]:
    """The attributes of the event, and whether a view will do."""
    wanted = infer_size(sizes, element_count(meta.shape))
    return (wanted,), view_strides(meta.shape, meta.strides, wanted) is not None


def reshape(input: Tensor, *given: Any, shape: Any = None) -> Tensor:
    """The elements in row-major order under another shape: a view if strides allow, else a copy."""
    try:
        sizes = integers(given if shape is None else (shape,), "reshape", "shape")
        attributes, views = _reshaping(input._meta, sizes)
        if views:
            return show(VIEW, input, attributes)
        copied: Tensor = unary(RESHAPE_COPY, input, attributes)
        return copied
    except Exception:
        refuse_misgiven()
        raise


def view(self: Tensor, *shape: Any, dtype: Any = None, size: Any = None) -> Tensor:
    """A view under another shape, or of the bytes as another dtype; or RuntimeError."""
    if dtype is not None or (len(shape) == 1 and isinstance(shape[0], DType)):
        return view_dtype(self, shape[0] if dtype is None else dtype)
    sizes = integers(shape if size is None else (size,), "view", "size")
    attributes, views = _reshaping(self._meta, sizes)
    if not views:
        raise RuntimeError(INCOMPATIBLE)
    return show(VIEW, self, attributes)


def view_dtype(self: Tensor, dtype: DType) -> Tensor:
    """The bytes as another dtype, outside autograd; the last dimension grows or shrinks."""
    self._settled()
    supported(dtype)
    meta, old, new = self._meta, self._meta.dtype.itemsize, dtype.itemsize
    shape, strides, offset = tuple(meta.shape), tuple(meta.strides), self._offset
    words = f"to view {meta.dtype.scalar_name} as {dtype.scalar_name} (different element sizes)"
    if old != new and not shape:
        raise RuntimeError(f"self.dim() cannot be 0 {words}")
    if old > new:
        if strides[-1] != 1:
            raise RuntimeError(f"self.stride(-1) must be 1 {words}, but got {strides[-1]}")
        ratio = old // new
        shape, offset = (*shape[:-1], shape[-1] * ratio), offset * ratio
        strides = (*[s * ratio for s in strides[:-1]], 1)
    elif old < new:
        ratio = new // old
        if shape[-1] % ratio:
            raise RuntimeError(
                f"self.size(-1) must be divisible by {ratio} {words}, but got {shape[-1]}"
            )
        if offset % ratio:
            raise RuntimeError(
                f"self.storage_offset() must be divisible by {ratio} {words}, but got {offset}"
            )
        if strides[-1] != 1:
            raise RuntimeError(f"self.stride(-1) must be 1 {words}, but got {strides[-1]}")
        for axis, stride in enumerate(strides[:-1]):
            if stride % ratio:
                raise RuntimeError(
                    f"self.stride({axis}) must be divisible by {ratio} {words}, but got {stride}"
                )
        shape, offset = (*shape[:-1], shape[-1] // ratio), offset // ratio
        strides = (*[s // ratio for s in strides[:-1]], 1)
    made: Tensor = alias(self, meta_of(dtype, shape, strides), offset)
    return made


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """self.view(other.size())."""
    try:
        return view(self, other._meta.shape)
    except Exception:
        refuse_misgiven()
        raise


def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """self.reshape(other.size())."""
    try:
        return reshape(self, other._meta.shape)
    except Exception:
        refuse_misgiven()
        raise


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim .. end_dim as one; a view where strides allow."""
    try:
        shape = input._meta.extents
        first, last = wrap_axis(start_dim, len(shape)), wrap_axis(end_dim, len(shape))
        if not shape:
            return reshape(input, (1,))
        if first > last:
            raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
        if first == last:
            return input
        return reshape(
            input, (*shape[:first], element_count(shape[first : last + 1]), *shape[last + 1 :])
        )
    except Exception:
        refuse_misgiven()
        raise


@numpy_names
def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """One dimension as several of the given sizes (one may be -1)."""
    shape = input._meta.shape
    axis, parts = wrap_axis(dim, len(shape)), integers((sizes,), "unflatten", "sizes")
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        parts = infer_size(parts, shape[axis])
    except RuntimeError as error:
        if "only one dimension" in str(error):
            raise
        raise RuntimeError(
            f"unflatten: Provided sizes {list(parts)} don't multiply up to the size of dim {axis} "
            f"({shape[axis]}) in the input tensor"
        ) from None
    return view(input, (*shape[:axis], *parts, *shape[axis + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """All elements in row-major order, 1-d; a view of a contiguous tensor."""
    try:
        from flambeau.functional.conversion import contiguous

        return view(contiguous(input, contiguous_format), (-1,))
    except Exception:
        refuse_misgiven()
        raise


# ---- expand --------------------------------------------------------------------------------------


def _expand_layout(shape: Shape, strides: Strides, offset: int, sizes: Shape) -> Layout:
    lead = len(sizes) - len(shape)
    new_shape, new_strides = [0] * len(sizes), [0] * len(sizes)
    for axis in range(len(sizes) - 1, -1, -1):
        wanted = sizes[axis]
        if axis >= lead:
            extent, stride = shape[axis - lead], strides[axis - lead]
        else:
            after = axis + 1 < len(sizes)
            extent, stride = 1, new_shape[axis + 1] * new_strides[axis + 1] if after else 1
        if wanted == -1:
            if axis < lead:
                raise RuntimeError(
                    "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing "
                    f"dimension {axis}"
                )
            wanted = extent
        if extent != wanted:
            if extent != 1:
                raise RuntimeError(
                    f"The expanded size of the tensor ({wanted}) must match the existing size "
                    f"({extent}) at non-singleton dimension {axis}.  Target sizes: {list(sizes)}.  "
                    f"Tensor sizes: {list(shape)}"
                )
            stride = 0
        new_shape[axis], new_strides[axis] = wanted, stride
    return tuple(new_shape), tuple(new_strides), offset


def _expand_value(x: Value, sizes: Shape) -> Value:
    return ar.expand(x, _expand_layout(x.shape, contiguous_strides(x.shape), 0, sizes)[0])


EXPAND = ViewOp("expand", _expand_layout, _expand_value)


def expand(input: Tensor, *sizes: Any, size: Any = None, implicit: bool = False) -> Tensor:
    """A view with dimensions of extent 1 repeated (stride 0); -1 keeps an extent."""
    wanted, shape = (
        integers(sizes if size is None else (size,), "expand", "size"),
        input._meta.shape,
    )
    if len(wanted) < len(shape):
        raise RuntimeError(
            f"expand({_legacy_name(input)}{{{list(shape)}}}, size={list(wanted)}): the number of "
            f"sizes provided "
            f"({len(wanted)}) must be greater or equal to the number of dimensions in the tensor "
            f"({len(shape)})"
        )
    return show(EXPAND, input, (wanted,))


def _legacy_name(input: Tensor) -> str:
    return f"torch.{input.dtype.scalar_name}Tensor"


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """self.expand(other.size())."""
    try:
        return expand(self, other._meta.shape)
    except Exception:
        refuse_misgiven()
        raise


def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """`input` broadcast to a shape, as a view."""
    try:
        return expand(input, size)
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {
    "select": select,
    "narrow": narrow,
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    "reshape": reshape,
    "view": view,
    "view_as": view_as,
    "reshape_as": reshape_as,
    "flatten": flatten,
    "unflatten": unflatten,
    "ravel": ravel,
    "expand": expand,
    "expand_as": expand_as,
    "broadcast_to": broadcast_to,
}
