"""Views of parts: splits, diagonals, sliding windows, any strides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.shapes import Shape, Strides, contiguous_strides, storage_extent, wrap_axis
from flambeau.functional.options import axis_name, numpy_names, other_names
from flambeau.functional.views import (
    NARROW,
    basic_layout,
    basic_value,
    free,
    integer,
    integers,
    show,
    unsqueeze,
    view_dtype,
)
from flambeau.ops import view as vw
from flambeau.ops.value import Value
from flambeau.record.events import Event, Layout, ViewOp
from flambeau.record.history import enter_whole
from flambeau.record.meta import Meta, meta_of
from flambeau.record.recorder import LOCAL, record_many, unary, view_alias, view_aliases
from flambeau.record.restricted import birth
from flambeau.record.trace import Trace
from flambeau.tensor.tensor import Tensor


class ViewsOp(Event):
    """Several views at once: the parts of an axis, of the given sizes, with or without the axis."""

    __slots__ = ()

    aliases = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.check_current(key[1])
        tensor = trace.tensors[key[1]]
        value = trace.tracked_value(key[1])
        for output, attributes in enumerate(_part_attributes(tensor.meta.shape, *key[2])):
            layout = basic_layout(*tensor.layout, *attributes)
            shown = basic_value(value, *attributes)
            number = None if self is PARTS else output
            trace.new_view(tensor, *layout, shown, self.grad_name, output=number)


def show_parts(
    op: ViewsOp, x: Tensor, axis: int, sizes: Shape, drop: bool = False
) -> tuple[Tensor, ...]:
    """The parts of an axis as views."""
    if not free(x):
        return tuple(record_many(op, (x,), (axis, sizes, drop)))
    metas, distances = _part_metas(x._meta, axis, sizes, drop, LOCAL.grad_mode, op is not PARTS)
    start = x._offset
    offsets = tuple([start + distance for distance in distances]) if start else distances
    made: tuple[Tensor, ...] = view_aliases(x, metas, offsets)
    return made


@lru_cache(maxsize=1 << 10)
def _part_metas(
    meta: Meta, axis: int, sizes: Shape, drop: bool, grad_mode: bool, several: bool
) -> tuple[tuple[Meta, ...], tuple[int, ...]]:
    """The metas of the parts of what holds its data, and how many elements after it they begin."""
    metas, distances = [], []
    born = birth(meta, grad_mode, several)
    for attributes in _part_attributes(meta.shape, axis, sizes, drop):
        shape, strides, distance = basic_layout(meta.shape, meta.strides, 0, *attributes)
        tracked, silent = meta.requires_grad, meta.silent
        metas.append(meta_of(meta.dtype, shape, strides, 0, tracked, born=born, silent=silent))
        distances.append(distance)
    return tuple(metas), tuple(distances)


def _part_attributes(shape: Shape, axis: int, sizes: Shape, drop: bool) -> list[tuple[Any, ...]]:
    start, parts = 0, []
    kept = tuple(a for a in range(len(shape)) if not (drop and a == axis))
    for size in sizes:
        starts = tuple(start if a == axis else 0 for a in range(len(shape)))
        part = tuple(size if a == axis else n for a, n in enumerate(shape))
        parts.append((starts, part, (1,) * len(shape), kept))
        start += size
    return parts


# ---- parts ---------------------------------------------------------------------------------------

SPLIT = ViewsOp("split")
SPLIT_SIZES = ViewsOp("split_with_sizes")
UNBIND = ViewsOp("unbind")
PARTS = ViewsOp("slice")


def _axis_of_parts(input: Tensor, dim: int, name: str) -> tuple[int, int]:
    shape = input._meta.extents
    if not shape:
        raise RuntimeError(f"{name} expects at least a 1-dimensional tensor")
    axis = wrap_axis(dim, len(shape))
    return axis, shape[axis]


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of a dimension: of one size (the last may be less) or given."""
    try:
        if isinstance(split_size_or_sections, Sequence):
            return split_with_sizes(tensor, split_size_or_sections, dim)
        axis, extent = _axis_of_parts(tensor, dim, "split")
        size = integer(split_size_or_sections, "split", "split_size")
        if size < 0:
            raise RuntimeError(
                f"split expects split_size be non-negative, but got split_size={size}"
            )
        if size == 0 and extent:
            raise RuntimeError(
                "split_size can only be 0 if dimension size is 0, but got dimension size of "
                f"{extent}"
            )
        return show_parts(SPLIT, tensor, axis, _sizes(extent, size))
    except Exception:
        refuse_misgiven()
        raise


@lru_cache(maxsize=256)
def _sizes(extent: int, size: int) -> Shape:
    """The sizes of parts of one size (the last may be less)."""
    if not (size and extent):
        return (extent,)
    return tuple([min(size, extent - start) for start in range(0, extent, size)])


@axis_name
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of a dimension of the given sizes, which must add up to it."""
    axis, extent = _axis_of_parts(input, dim, "split_with_sizes")
    sizes = integers((split_sizes,), "split_with_sizes", "split_sizes")
    if any(size < 0 for size in sizes):
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, but got "
            f"split_sizes={list(sizes)}"
        )
    if sum(sizes) != extent:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {extent} (input tensor's "
            f"size at "
            f"dimension {axis}), but got split_sizes={list(sizes)}"
        )
    return show_parts(SPLIT_SIZES, input, axis, sizes)


@numpy_names
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of consecutive parts of equal size (the last may be smaller)."""
    axis, extent = _axis_of_parts(input, dim, "chunk")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    if not extent:
        return split_with_sizes(input, [0] * chunks, axis)
    return split(input, -(-extent // chunks), axis)


@other_names(
    axis="dim",
    indices="indices_or_sections",
    sections="indices_or_sections",
    tensor_indices_or_sections="indices_or_sections",
)
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of a dimension: a number of nearly equal ones, or cut at indices."""
    if not input._meta.shape:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    axis = wrap_axis(dim, len(input._meta.shape))
    extent = input._meta.shape[axis]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, Sequence):
        cuts = [
            slice(None, integer(i, "tensor_split", "indices")).indices(extent)[1]
            for i in indices_or_sections
        ]
        views = []
        for start, stop in zip([0, *cuts], [*cuts, extent], strict=True):
            views.append(show(NARROW, input, (axis, min(start, extent), max(stop - start, 0), 1)))
        return tuple(views)
    sections = integer(indices_or_sections, "tensor_split", "sections")
    if sections <= 0:
        raise RuntimeError(f"number of sections must be larger than 0, got {sections}")
    least, more = divmod(extent, sections)
    return show_parts(PARTS, input, axis, (least + 1,) * more + (least,) * (sections - more))


@numpy_names
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """A view for each index of a dimension, without the dimension."""
    shape = input._meta.shape
    if not shape:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    axis = wrap_axis(dim, len(shape))
    return show_parts(UNBIND, input, axis, (1,) * shape[axis], True)


# ---- diagonals, windows, any strides -------------------------------------------------------------


def _diagonal_layout(shape: Shape, strides: Strides, offset: int, k: int, a: int, b: int) -> Layout:
    rows, columns = (shape[a], shape[b] - k) if k >= 0 else (shape[a] + k, shape[b])
    size = max(min(rows, columns), 0)
    if size:
        offset += k * strides[b] if k >= 0 else -k * strides[a]
    rest = [axis for axis in range(len(shape)) if axis not in (a, b)]
    return (
        (*[shape[axis] for axis in rest], size),
        (*[strides[axis] for axis in rest], strides[a] + strides[b]),
        offset,
    )


def _diagonal_value(x: Value, k: int, a: int, b: int) -> Value:
    shape, strides, offset = _diagonal_layout(x.shape, contiguous_strides(x.shape), 0, k, a, b)
    return vw.as_strided(
        vw.reshape(x, shape=(x.size,)), shape=shape, strides=strides, offset=offset
    )


DIAGONAL = ViewOp("diagonal", _diagonal_layout, _diagonal_value)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The view of a diagonal of two dimensions, as the last dimension."""
    try:
        rank = len(input._meta.shape)
        a, b = wrap_axis(dim1, rank), wrap_axis(dim2, rank)
        if a == b:
            raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
        return show(DIAGONAL, input, (offset, a, b))
    except Exception:
        refuse_misgiven()
        raise


def _unfold_layout(
    shape: Shape, strides: Strides, offset: int, axis: int, size: int, step: int
) -> Layout:
    if not shape:
        return (size,), (1,), offset
    places = (shape[axis] - size) // step + 1
    return (
        (*shape[:axis], places, *shape[axis + 1 :], size),
        (*strides[:axis], strides[axis] * step, *strides[axis + 1 :], strides[axis]),
        offset,
    )


def _unfold_value(x: Value, axis: int, size: int, step: int) -> Value:
    if not x.shape:
        return (
            vw.reshape(x, shape=(size,))
            if size
            else vw.slice_(vw.reshape(x, shape=(1,)), starts=(0,), sizes=(0,), steps=(1,))
        )
    shape, strides, offset = _unfold_layout(
        x.shape, contiguous_strides(x.shape), 0, axis, size, step
    )
    if not size:
        return vw.as_strided(
            vw.reshape(x, shape=(x.size,)), shape=shape, strides=strides, offset=offset
        )
    last = tuple(a for a in range(x.ndim) if a != axis) + (axis,)
    slid = vw.windows(vw.permute(x, order=last), sizes=(size,), steps=(step,), dilations=(1,))
    rest = iter(range(x.ndim - 1))
    order = tuple(x.ndim - 1 if a == axis else next(rest) for a in range(x.ndim))
    return vw.permute(slid, order=(*order, x.ndim))


UNFOLD = ViewOp("unfold", _unfold_layout, _unfold_value)


def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """The view of a dimension's windows of `size` elements, `step` apart; the window comes last."""
    shape = self._meta.shape
    axis = wrap_axis(dimension, len(shape))
    extent = shape[axis] if shape else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > extent:
        raise RuntimeError(
            f"maximum size for tensor at dimension {axis} is {extent} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return show(UNFOLD, self, (axis, size, step))


class AsStridedOp(Event):
    """Any layout over the storage; attributes: shape, strides, offset from the operand's own."""

    __slots__ = ()
    aliases = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        tensor = trace.tensors[key[1]]
        shape, strides, distance = key[2]
        offset = tensor.meta.offset + distance
        reach = offset + storage_extent(shape, strides)
        if tensor.storage.base is not None and reach > tensor.storage.size:
            trace._widen(tensor.storage, reach)
        if offset < 0:
            raise NotImplementedError(
                "as_strided() in front of a view whose storage's earlier elements are not "
                "part of the recording: apply it to the view's base"
            )
        _check_reach(shape, strides, offset, tensor.storage.size, tensor.meta.dtype)
        trace.new_view(tensor, shape, strides, offset, None, self.grad_name)


def _check_reach(shape: Shape, strides: Strides, offset: int, available: int, dtype: DType) -> None:
    extent = storage_extent(shape, strides)
    if extent and offset + extent > available:
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize "
            f"{dtype.itemsize} requiring a storage size of {(offset + extent) * dtype.itemsize} "
            f"are out of bounds "
            f"for storage of size {available * dtype.itemsize}"
        )


AS_STRIDED = AsStridedOp("as_strided")


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view with any shape, strides and storage offset, in elements."""
    try:
        shape, strides = (
            integers((size,), "as_strided", "size"),
            integers((stride,), "as_strided", "stride"),
        )
        if len(shape) != len(strides):
            raise RuntimeError("mismatch in length of strides and shape")
        if any(s < 0 for s in strides):
            raise RuntimeError(
                f"as_strided: Negative strides are not supported at the moment, got strides: "
                f"{list(strides)}"
            )
        current = input.storage_offset()
        offset = current if storage_offset is None else storage_offset
        if input._storage is not None:
            available = input._storage.nbytes // input.dtype.itemsize
            _check_reach(shape, strides, offset, available, input.dtype)
        if free(input):
            born = birth(input._meta, LOCAL.grad_mode)
            tracked, silent = input.requires_grad, input._meta.silent
            meta = meta_of(input.dtype, shape, strides, 0, tracked, born=born, silent=silent)
            made: Tensor = view_alias(input, meta, offset)
            return made
        if offset < current and input._storage is not None and input._family is None:
            enter_whole(input)
        shown: Tensor = unary(AS_STRIDED, input, (shape, strides, offset - current))
        return shown
    except Exception:
        refuse_misgiven()
        raise


def view_as_real(input: Tensor) -> Tensor:
    """A real copy of a complex tensor with a last dimension of (real, imaginary)."""
    if not input.is_complex():
        raise RuntimeError("view_as_real is only supported for complex tensors")
    if input.requires_grad and LOCAL.grad_mode:
        raise NotImplementedError("view_as_real() of a tensor that requires grad")
    half = dtypes.float32 if input.dtype is dtypes.complex64 else dtypes.float64
    return view_dtype(unsqueeze(input, -1), half)


def split_method(self: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of a dimension, as torch.split gives them."""
    return split(self, split_size, dim)


METHODS: dict[str, Callable[..., Any]] = {
    "split": split_method,
    "split_with_sizes": split_with_sizes,
    "chunk": chunk,
    "tensor_split": tensor_split,
    "unbind": unbind,
    "diagonal": diagonal,
    "unfold": unfold,
    "as_strided": as_strided,
}
