"""Values as tensors lie in memory: flat elements and the layouts that show them."""

from __future__ import annotations

from typing import Any

from flambeau.core.shapes import (
    Shape,
    Strides,
    element_count,
    is_contiguous,
    is_dense,
    memory_order,
)
from flambeau.ops import source, view
from flambeau.ops.primitive import VIEW
from flambeau.ops.value import Value
from flambeau.record.meta import Meta


def untracked(value: Value) -> Value:
    return source.detach(value) if value.tracked else value


def flatten(value: Value, shape: Shape, strides: Strides) -> Value:
    """The elements in memory order, for a dense layout."""
    if not is_contiguous(shape, strides):
        value = view.permute(value, order=memory_order(shape, strides))
    return value if value.ndim == 1 else view.reshape(value, shape=(value.size,))


def shown_value(flat: Value, meta: Meta) -> Value:
    """The value that a tensor shows of flat elements."""
    if meta.steps is None and meta.numel == flat.shape[0] and not meta.offset and meta.numel:
        return view.reshape(flat, shape=meta.extents)
    return layout_value(flat, *meta.layout)


def layout_value(flat: Value, shape: Shape, strides: Strides, offset: int) -> Value:
    """The value that a layout shows of flat elements, by the simplest views."""
    size = element_count(shape)
    if size and is_dense(shape, strides):
        if offset or size != flat.shape[0]:
            flat = view.slice_(flat, starts=(offset,), sizes=(size,), steps=(1,))
        if is_contiguous(shape, strides):
            return view.reshape(flat, shape=tuple(shape))
        order = memory_order(shape, strides)
        value = view.reshape(flat, shape=tuple(shape[a] for a in order))
        if order == tuple(range(len(shape))):
            return value
        return view.permute(value, order=tuple(order.index(a) for a in range(len(order))))
    return view.as_strided(flat, shape=tuple(shape), strides=strides, offset=offset)


def with_batch_innermost(value: Value) -> Value:
    """The elements of images as they lie with the batch innermost: see Note [Given with the batch
    innermost] in execute/cpu/layouts.py.
    """
    count = value.shape[0]
    rows = view.reshape(value, shape=(count, value.size // count))
    return view.reshape(view.permute(rows, order=(1, 0)), shape=(value.size,))


def from_batch_innermost(flat: Value, shape: Shape) -> Value:
    """The images of such elements."""
    columns = view.reshape(flat, shape=(flat.size // shape[0], shape[0]))
    return view.reshape(view.permute(columns, order=(1, 0)), shape=shape)


def saved_origin(value: Value, origins: dict[Value, Any]) -> Any:
    """Where a value that a derivative needs was read from, looking through views of it."""
    while value not in origins and value.primitive.family == VIEW and len(value.inputs) == 1:
        value = value.inputs[0]
    return origins.get(value)
