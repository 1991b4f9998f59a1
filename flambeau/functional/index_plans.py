"""What an index says: the slices, new axes and index tensors that it is made of."""

from __future__ import annotations

import operator
from functools import lru_cache
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import Shape, overlaps_itself
from flambeau.functional import views
from flambeau.record.events import ViewOp
from flambeau.record.meta import Meta
from flambeau.record.places import warn_user
from flambeau.record.recording import LOCAL
from flambeau.tensor.tensor import Tensor, from_array

BAD_INDEX = (
    "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
    "indices "
    "(got {})"
)


A_LIST = (
    "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in "
    "pytorch 2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as "
    "tensor index, x[torch.tensor(seq)], which will result either in an error or a different result"
)


def as_items(index: Any) -> tuple[Any, ...]:
    """The parts of an index; as in PyTorch, a list of more than numbers stands for a tuple."""
    if type(index) is tuple:
        return index
    if (
        isinstance(index, list)
        and len(index) < 32
        and any(
            part is None
            or part is Ellipsis
            or isinstance(part, (slice, list, tuple, Tensor, np.ndarray))
            for part in index
        )
    ):
        warn_user(A_LIST)
        return tuple(index)
    if isinstance(index, tuple):
        return tuple(index)
    return (index,)


def as_index_tensor(part: Any) -> Tensor:
    """A list, range or array of indices (or a mask) as a tensor."""
    if isinstance(part, (list, tuple, range)):
        part = np.array([]) if not len(part) else _array_of(part)
    if part.size == 0 and part.dtype == np.float64:
        part = part.astype(np.int64)
    if part.dtype.kind == "b":
        return from_array(part, dtypes.bool_)
    if part.dtype == np.uint8:
        return from_array(part, dtypes.uint8)
    if part.dtype.kind in "iu":
        return from_array(part.astype(np.int64), dtypes.int64)
    raise IndexError("tensors used as indices must be long, int, byte or bool tensors")


def _array_of(part: Any) -> Any:
    if any(isinstance(p, Tensor) for p in part):
        part = [p.tolist() if isinstance(p, Tensor) else p for p in part]
    if any(isinstance(p, str) for p in part):
        raise TypeError("new(): invalid data type 'str'")
    try:
        return np.array(part)
    except ValueError as error:
        raise ValueError(f"an index list must not be ragged: {error}") from None


class Plan:
    """An index taken apart: the slices of each source axis, the axes kept, and the index tensors.

    `advanced` holds (place among the dimensions that the basic part leaves, tensor): a mask covers
    as many places as it has dimensions.
    """

    __slots__ = ("advanced", "kept", "last", "rank", "shape", "sizes", "starts", "steps", "trivial")

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.starts: list[int] = []
        self.sizes: list[int] = []
        self.steps: list[int] = []
        self.kept: list[int] = []
        self.advanced: list[tuple[int, Tensor]] = []
        self.last = "alias"
        self.trivial = True

    def whole(self, count: int) -> None:
        """Keeps the next `count` source axes as they are."""
        for axis in range(len(self.starts), len(self.starts) + count):
            self.starts.append(0)
            self.sizes.append(self.shape[axis])
            self.steps.append(1)
            self.kept.append(axis)

    def new_axis(self) -> None:
        self.kept.append(-1 - len(self.starts))
        self.last, self.trivial = "unsqueeze", False

    def integer(self, index: int) -> None:
        axis = len(self.starts)
        extent = self.shape[axis]
        if not -extent <= index < extent:
            raise IndexError(
                f"index {index} is out of bounds for dimension {axis} with size {extent}"
            )
        self.starts.append(index + extent if index < 0 else index)
        self.sizes.append(1)
        self.steps.append(1)
        self.last, self.trivial = "select", False

    def slice(self, part: slice) -> None:
        axis = len(self.starts)
        extent = self.shape[axis]
        step = 1 if part.step is None else _bound(part.step)
        if step <= 0:
            raise ValueError("step must be greater than zero")
        start, stop, _ = slice(
            None if part.start is None else _bound(part.start),
            None if part.stop is None else _bound(part.stop),
        ).indices(extent)
        size = max(-(-(stop - start) // step), 0)
        self.starts.append(start)
        self.sizes.append(size)
        self.steps.append(step)
        self.kept.append(axis)
        if size != extent or step != 1:
            self.last, self.trivial = "slice", False

    def tensor(self, index: Tensor) -> None:
        rank = len(index._meta.shape) if is_mask(index) else 1
        if index.dtype is dtypes.uint8:
            warn_user(BYTES_FOR_TRUTHS)
        if rank == 0:  # a 0-d mask indexes a new dimension of extent 1
            self.new_axis()
            self.advanced.append((len(self.kept) - 1, views.reshape(index, (1,))))
            return
        self.advanced.append((len(self.kept), index))
        self.whole(rank)


BYTES_FOR_TRUTHS = (
    "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead."
)


def is_mask(index: Tensor) -> bool:
    return index.dtype.kind == "b" or index.dtype is dtypes.uint8


def _bound(value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            "slice indices must be integers or None or have an __index__ method"
        ) from None


def plan_of(shape: tuple[int, ...], items: tuple[Any, ...]) -> Plan:
    """Takes an index apart. IndexError in PyTorch's words for a wrong one."""
    items = tuple([_normal(part) for part in items])
    used = sum(_axes_used(part) for part in items)
    if used > len(shape):
        if (
            not shape
            and len(items) == 1
            and isinstance(items[0], int)
            and not isinstance(items[0], bool)
        ):
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                "`tensor.item<T>()` "
                "in C++ to convert a 0-dim tensor to a number"
            )
        _check_masks(shape, items)
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
    plan, rest = Plan(shape), len(shape) - used
    for part in items:
        if type(part) is int:
            plan.integer(part)
        elif type(part) is slice:
            plan.slice(part)
        elif part is None:
            plan.new_axis()
        elif part is Ellipsis:
            plan.whole(rest)
            rest = 0
        else:
            plan.tensor(part)
    plan.whole(len(shape) - len(plan.starts))
    return plan


def _normal(part: Any) -> Any:
    """An int, a slice, None, Ellipsis or a tensor with dimensions (a 0-d mask stays a tensor)."""
    kind = type(part)
    if kind is int or kind is slice or part is None or part is Ellipsis:
        return part
    if kind is bool or isinstance(part, np.bool_):
        return from_array(np.asarray(bool(part)), dtypes.bool_)
    if isinstance(part, Tensor):
        if part.dtype.kind not in "bi" or part.dtype in (
            dtypes.uint16,
            dtypes.uint32,
            dtypes.uint64,
        ):
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if part._meta.shape or is_mask(part):
            return part
        if LOCAL.levels and part._storage is None:
            return part  # another place in each slice
        return int(part.item())
    if isinstance(part, (list, tuple, range)):
        return as_index_tensor(part)
    if isinstance(part, np.ndarray):
        if part.shape:
            return as_index_tensor(part)
        return _normal(part.item())
    if isinstance(part, str):
        raise TypeError("new(): invalid data type 'str'")
    try:
        return operator.index(part)
    except TypeError:
        raise IndexError(BAD_INDEX.format(kind.__name__)) from None


def _axes_used(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    if isinstance(part, Tensor) and is_mask(part):
        return len(part._meta.shape)
    return 1


def _check_masks(shape: tuple[int, ...], items: tuple[Any, ...]) -> None:
    for part in items:
        if isinstance(part, Tensor) and is_mask(part) and len(part._meta.shape) > len(shape):
            raise IndexError(f"too many indices for tensor of dimension {len(shape)}")


def check_mask(shape: tuple[int, ...], place: int, mask: Tensor) -> None:
    """IndexError where a mask's extents are not those of the dimensions it stands for."""
    for axis, extent in enumerate(mask._meta.shape):
        if place + axis >= len(shape) or shape[place + axis] != extent:
            raise IndexError(
                f"The shape of the mask {list(mask._meta.shape)} at index {axis} does not match "
                f"the "
                f"shape of the indexed tensor {list(shape)} at index {place + axis}"
            )


# ---- basic indices ---------------------------------------------------------------------------

_OPS = {"select": views.SELECT, "slice": views.SLICE, "unsqueeze": views.NEW_AXIS}


def basic_key(index: Any) -> Any:
    """An index of integers, slices, None and Ellipsis as a tuple that can be looked up; None for
    any other.
    """
    parts = []
    for part in index if type(index) is tuple else (index,):
        kind = type(part)
        if kind is slice:
            first, last, step = part.start, part.stop, part.step
            for bound in (first, last, step):
                if bound is not None and type(bound) is not int:
                    return None
            parts.append((first, last, step))
        elif kind is int or part is None or part is Ellipsis:
            parts.append(part)
        else:
            return None
    return tuple(parts)


@lru_cache(maxsize=1 << 12)
def basic_event(shape: Shape, key: tuple[Any, ...]) -> tuple[ViewOp, tuple[Any, ...]]:
    """The event of a basic index, and its attributes."""
    items = tuple([slice(*part) if type(part) is tuple else part for part in key])
    plan = plan_of(tuple(shape), items)
    if plan.trivial:
        return views.ALIAS, ()
    op: ViewOp = _OPS[plan.last]
    return op, (tuple(plan.starts), tuple(plan.sizes), tuple(plan.steps), tuple(plan.kept))


@lru_cache(maxsize=1 << 13)
@lru_cache(maxsize=1 << 12)
def basic_shown(meta: Meta, key: tuple[Any, ...], grad_mode: bool) -> tuple[Meta, int, bool]:
    """The meta of what a basic index shows of data, how many elements after it that begins, and
    whether its elements have memory each of their own.
    """
    op, attributes = basic_event(meta.extents, key)
    shown, distance = views.shown_meta(op, meta, attributes, grad_mode)
    return shown, distance, not overlaps_itself(shown.shape, shown.strides)


def basic(x: Tensor, plan: Plan) -> Tensor:
    """The view that the basic part of an index shows."""
    if plan.trivial:
        return x if plan.advanced else views.show(views.ALIAS, x, ())
    op: ViewOp = _OPS[plan.last]
    return views.show(
        op, x, (tuple(plan.starts), tuple(plan.sizes), tuple(plan.steps), tuple(plan.kept))
    )
