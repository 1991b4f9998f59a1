"""Several tensors into one: concatenation, stacks, grids."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType, int64
from flambeau.core.errors import SHARED
from flambeau.core.layout import channels_last_strides, suggests_channels_last
from flambeau.core.notice import warn_once
from flambeau.core.shapes import Strides, broadcast_shapes, wrap_axis
from flambeau.functional.options import checked_call, numpy_names
from flambeau.functional.views import expand, flatten, reshape, unsqueeze
from flambeau.ops import arithmetic as ar
from flambeau.ops import view as vw
from flambeau.ops.value import Shape, Value
from flambeau.record import recorder
from flambeau.record.events import PureOp
from flambeau.record.meta import meta_of
from flambeau.record.recorder import record
from flambeau.record.storage import Storage, allocate
from flambeau.record.trace import Trace
from flambeau.tensor.tensor import Tensor, from_storage


def _cat(parts: list[Value], axis: int) -> Value:
    dtype = ar.promoted_dtype(*parts)
    # PyTorch leaves 1-d tensors without elements out, whatever the rank of the others.
    used = [v for v in parts if v.shape != (0,)] or parts[:1]
    first = used[0]
    # (Nor does it look at the axis where there are no others.)
    axis = 0 if first.shape == (0,) else wrap_axis(axis, first.ndim)
    for number, value in enumerate(parts):
        if value.shape == (0,):
            continue
        if value.ndim != first.ndim:
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {first.ndim} and {value.ndim}"
            )
        for a, (want, have) in enumerate(zip(first.shape, value.shape, strict=True)):
            if a != axis and want != have:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {axis}. Expected size {want} "
                    f"but got size {have} for tensor number {number} in the list."
                )
    if len(used) < len(parts):  # those left out want a gradient still
        nothing = (*first.shape[:axis], 0, *first.shape[axis + 1 :])
        left_out = [v for v in parts if v.shape == (0,) and v.tracked and v is not first]
        used = used + [vw.reshape(_of_nothing(v), shape=nothing) for v in left_out]
    values = [ar.cast(v, dtype) for v in used]
    if len(values) == 1 and first.shape == (0,):
        return _of_nothing(values[0])
    return vw.concat(*values, axis=axis) if len(values) > 1 else values[0]


def _of_nothing(x: Value) -> Value:
    """A vector without elements, whose gradient has no history."""
    return vw.concat(x, ar.full((0,), 0, x.dtype), axis=0) if x.tracked else x


def _stack(parts: list[Value], axis: int) -> Value:
    dtype, shape = ar.promoted_dtype(*parts), parts[0].shape
    for number, value in enumerate(parts):
        if value.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(value.shape)} at entry {number}"
            )
    axis = wrap_axis(axis, len(shape) + 1)
    thick = shape[:axis] + (1,) + shape[axis:]
    return vw.concat(*[vw.reshape(ar.cast(v, dtype), shape=thick) for v in parts], axis=axis)


class CatOp(PureOp):
    """Tensors that all lie in channels_last memory give one that does."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        value = self.function([trace.read(number) for number in key[1]], *key[-1])
        if len(key[1]) == 1:
            value = vw.reshape(value, shape=value.shape)
        strides = self.strides(trace, key, value.shape, value.dtype)
        trace.new_tensor(value, strides=strides, grad_name=self.grad_name)

    def strides(
        self, trace: Trace, key: tuple[Any, ...], shape: Shape, dtype: DType
    ) -> Strides | None:
        """How the result lies in memory."""
        metas = [trace.tensors[number].meta for number in key[1]]
        if all(suggests_channels_last(m.shape, m.strides) for m in metas):
            return channels_last_strides(shape)
        return None


class StackOp(CatOp):
    """The same; PyTorch joins them along the axis before which they are stacked, and parts it."""

    __slots__ = ()

    def strides(
        self, trace: Trace, key: tuple[Any, ...], shape: Shape, dtype: DType
    ) -> Strides | None:
        """How the result lies in memory."""
        axis = wrap_axis(key[-1][0], len(shape))
        if axis == len(shape) - 1:
            return None
        count, extent = shape[axis : axis + 2]
        joined = (*shape[:axis], count * extent, *shape[axis + 2 :])
        strides = super().strides(trace, key, joined, dtype)
        if strides is None:
            return None
        return (*strides[:axis], strides[axis] * extent, *strides[axis:])


FEW_PARTS = 3  # so few may as well be fused into what reads them

CAT = CatOp("cat", _cat)
STACK = StackOp("stack", _stack)


def _few(tensors: Any) -> bool:
    """Whether they are so few that they are not joined at once."""
    kind = type(tensors)
    return (kind is list or kind is tuple) and 0 < len(tensors) < FEW_PARTS


def checked_tensors(name: str, tensors: Any) -> list[Tensor]:
    """A list of tensors, or PyTorch's TypeError."""
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"
        )
    parts = list(tensors)
    for place, part in enumerate(parts):
        if not isinstance(part, Tensor):
            raise TypeError(
                f"expected Tensor as element {place} in argument 0, but got {type(part).__name__}"
            )
    return parts


def _delivered(result: Tensor, out: Tensor | None) -> Tensor:
    if out is None:
        return result
    from flambeau.functional.pointwise import write_out

    return write_out(result, out)


def settled_arrays(parts: Sequence[Tensor]) -> list[Any] | None:
    """The data of tensors of one dtype that hold them and want no gradient; None for others.

    Such parts (the rows of a batch, a replay memory's states) are joined here and now: recorded,
    each set of places in a data set would be a stream of events of its own, never seen before.
    """
    dtype = parts[0]._meta.dtype
    for part in parts:
        storage, meta = part._storage, part._meta
        if (
            storage is None
            or meta.requires_grad
            or meta.dtype is not dtype
            or not recorder.at_rest(storage)
        ):
            return None
    if recorder.LOCAL.capture is not None:
        return None
    return [part._array() for part in parts]


def joined_at_once(parts: Sequence[Tensor], axis: int, new_axis: bool) -> Tensor | None:
    """The parts stacked (or concatenated) on the host, where they and the axis allow it."""
    first = parts[0]._meta
    rank, shape = len(first.shape), first.shape
    if len(parts) < FEW_PARTS or not -rank - new_axis <= axis < rank + new_axis:
        return None
    for part in parts:
        other = part._meta.shape
        if other != shape and (new_axis or len(other) != rank or 0 in other):
            return None
    arrays = settled_arrays(parts)
    if arrays is None or any(a.ndim > 3 and not a.flags.c_contiguous for a in arrays):
        return None  # the memory format of images shows in the result
    if new_axis:
        axis %= rank + 1
        made = (*shape[:axis], len(parts), *shape[axis:])
    else:
        axis %= rank
        made = (*shape[:axis], sum(a.shape[axis] for a in arrays), *shape[axis + 1 :])
        if any(
            a.shape[:axis] + a.shape[axis + 1 :] != made[:axis] + made[axis + 1 :] for a in arrays
        ):
            return None
    meta = meta_of(first.dtype, made)
    storage = Storage(allocate(meta.numel * first.dtype.itemsize))
    join: Any = np.stack if new_axis else np.concatenate
    join(arrays, axis, out=storage.array(first.dtype).reshape(made))
    return from_storage(storage, meta)


@numpy_names
def cat(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors one after another along an existing dimension, promoted to a common dtype."""
    if out is None and _few(tensors) and type(dim) is int:
        made: Tensor | None = recorder.known(CAT, (tensors,), (dim,))
        if made is not None:
            return made
    parts = checked_tensors("cat", tensors)
    if not parts:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    if any(not part._meta.shape for part in parts):
        place = next(i for i, part in enumerate(parts) if not part._meta.shape)
        raise RuntimeError(f"zero-dimensional tensor (at position {place}) cannot be concatenated")
    if out is not None:
        from flambeau.functional.gathering import refuse_shared

        refuse_shared(out, *parts)
        # A part that is `out` itself shares its memory, however empty, once that is resized.
        if any(p is out for p in parts) and any(p._meta.numel for p in parts):
            raise RuntimeError(SHARED)
    elif type(dim) is int:
        joined = joined_at_once(parts, dim, new_axis=False)
        if joined is not None:
            return joined
    return _delivered(record(CAT, (parts,), (dim,)), out)


concat = concatenate = cat


@numpy_names
def stack(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Tensors of one shape along a new dimension."""
    if out is None and _few(tensors) and type(dim) is int:
        made: Tensor | None = recorder.known(STACK, (tensors,), (dim,))
        if made is not None:
            return made
    parts = checked_tensors("stack", tensors)
    if not parts:
        raise RuntimeError("stack expects a non-empty TensorList")
    if out is not None:
        from flambeau.functional.gathering import refuse_shared

        refuse_shared(out, *parts)
    elif type(dim) is int:
        joined = joined_at_once(parts, dim, new_axis=True)
        if joined is not None:
            return joined
    return _delivered(record(STACK, (parts,), (dim,)), out)


def _nonempty(name: str, tensors: Any) -> list[Tensor]:
    parts = checked_tensors(name, tensors)
    if not parts:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return parts


def hstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """cat along the second dimension (the first of 1-d tensors)."""
    parts = [atleast_1d(part) for part in _nonempty("hstack", tensors)]
    return cat(parts, 0 if len(parts[0]._meta.shape) == 1 else 1, out=out)


def vstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """cat of at least 2-d tensors along the first dimension."""
    return cat([atleast_2d(part) for part in _nonempty("vstack", tensors)], 0, out=out)


row_stack = vstack


def dstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """cat of at least 3-d tensors along the third dimension."""
    return cat([atleast_3d(part) for part in _nonempty("dstack", tensors)], 2, out=out)


def column_stack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """hstack in which vectors are columns."""
    parts = _nonempty("column_stack", tensors)
    columns = [reshape(p, (p.numel(), 1)) if len(p._meta.shape) < 2 else p for p in parts]
    return cat(columns, 1, out=out)


def _each(function: Callable[[Tensor], Tensor], tensors: tuple[Any, ...]) -> Any:
    if len(tensors) == 1:
        if isinstance(tensors[0], Tensor):
            return function(tensors[0])
        tensors = tuple(tensors[0])
    return tuple(function(part) for part in tensors)


def atleast_1d(*tensors: Any) -> Any:
    """Each tensor with at least one dimension (a view)."""
    try:
        return _each(lambda x: x if x._meta.shape else reshape(x, (1,)), tensors)
    except Exception:
        refuse_misgiven()
        raise


def atleast_2d(*tensors: Any) -> Any:
    """Each tensor with at least two dimensions (a view); new ones come first."""

    try:

        def apply(x: Tensor) -> Tensor:
            rank = len(x._meta.shape)
            return x if rank >= 2 else unsqueeze(x, 0) if rank else reshape(x, (1, 1))

        return _each(apply, tensors)
    except Exception:
        refuse_misgiven()
        raise


def atleast_3d(*tensors: Any) -> Any:
    """Each tensor with at least three dimensions (a view); a vector lies along the second."""

    try:

        def apply(x: Tensor) -> Tensor:
            rank = len(x._meta.shape)
            if rank == 0:
                return reshape(x, (1, 1, 1))
            if rank == 1:
                return unsqueeze(unsqueeze(x, 0), -1)
            return unsqueeze(x, -1) if rank == 2 else x

        return _each(apply, tensors)
    except Exception:
        refuse_misgiven()
        raise


@checked_call
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Views of the tensors, broadcast to their common shape."""
    try:
        if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
            tensors = tuple(tensors[0])
        shape = broadcast_shapes(*[tuple(part._meta.shape) for part in tensors])
        return tuple(expand(part, shape) for part in tensors)
    except Exception:
        refuse_misgiven()
        raise


@checked_call
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinate grids (views) of vectors; 'ij' by default, 'xy' swaps the first two dimensions."""
    try:
        if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
            tensors = tuple(tensors[0])
        if indexing not in (None, "ij", "xy"):
            raise RuntimeError(
                'torch.meshgrid: indexing must be one of "xy" or "ij", but received: '
                + str(indexing)
            )
        if not tensors:
            raise RuntimeError("meshgrid expects a non-empty TensorList")
        for part in tensors:
            if len(part._meta.shape) > 1:
                raise RuntimeError(
                    "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: "
                    f"{len(part._meta.shape)}D tensor"
                )
            if part.dtype is not tensors[0].dtype:
                raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
        if indexing is None:
            warn_once(
                "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
                "argument."
            )
        swap = indexing == "xy" and len(tensors) > 1
        if swap:
            tensors = (tensors[1], tensors[0], *tensors[2:])
        shape = tuple(part.numel() for part in tensors)
        grids = [
            expand(
                reshape(part, tuple(shape[a] if a == axis else 1 for a in range(len(shape)))), shape
            )
            for axis, part in enumerate(tensors)
        ]
        if swap:
            grids[0], grids[1] = grids[1], grids[0]
        return tuple(grids)
    except Exception:
        refuse_misgiven()
        raise


def cartesian_prod(*tensors: Any) -> Tensor:
    """All tuples of one element of each vector, one per row."""
    try:
        if len(tensors) == 1:
            return reshape(tensors[0], (-1,))
        for part in tensors:
            if len(part._meta.shape) != 1:
                raise RuntimeError(
                    "Expect a 1D vector, but got shape " + str(list(part._meta.shape))
                )
        return stack([flatten(grid) for grid in meshgrid(*tensors, indexing="ij")], 1)
    except Exception:
        refuse_misgiven()
        raise


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of r elements of a vector, one per row."""
    try:
        from flambeau.functional.from_data import tensor
        from flambeau.functional.indexing import index_select

        if len(input._meta.shape) != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(input._meta.shape)}")
        if r < 0:
            raise RuntimeError(f"Expect a non-negative number, but got {r}")
        pick = (
            itertools.combinations_with_replacement if with_replacement else itertools.combinations
        )
        if not r:
            from flambeau.functional.creation import empty

            return empty(0, dtype=input.dtype)
        rows = list(pick(range(input.numel()), r))
        places = tensor([place for row in rows for place in row], dtype=int64)
        return reshape(index_select(input, 0, places), (len(rows), r))
    except Exception:
        refuse_misgiven()
        raise


def _block_diag(parts: list[Value]) -> Value:
    dtype = ar.promoted_dtype(*parts)
    parts = [vw.reshape(part, shape=(1,) * (2 - part.ndim) + part.shape) for part in parts]
    rows = sum(part.shape[0] for part in parts)
    at, bands = 0, []
    for part in parts:
        width = part.shape[1]
        before = at
        at += width
        bands.append((part, before))
    made = [
        vw.pad(
            ar.cast(part, dtype),
            low=(0, before),
            high=(0, at - before - part.shape[1]),
            interior=(0, 0),
            value=0,
        )
        for part, before in bands
    ]
    result = vw.concat(*made, axis=0) if len(made) > 1 else made[0]
    assert result.shape == (rows, at)
    return result


BLOCK_DIAG = PureOp("block_diag", _block_diag)


def block_diag(*tensors: Any) -> Tensor:
    """A matrix of zeros with the given matrices (vectors are rows) along its diagonal."""
    try:
        for part in tensors:
            if len(part._meta.shape) > 2:
                raise RuntimeError(
                    "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input "
                    f"{tensors.index(part)} has {len(part._meta.shape)} dimensions"
                )
        if not tensors:
            from flambeau.functional.creation import empty

            return empty(1, 0)
        made: Tensor = record(BLOCK_DIAG, (list(tensors),))
        return made
    except Exception:
        refuse_misgiven()
        raise
