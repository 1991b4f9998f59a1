"""Tensor[...] and its assignment, with PyTorch's rules; index_put.

The basic part of an index (integers, slices, None, ...) is a view; masks become index tensors on
the host; index tensors gather through `take` over the rows of the indexed dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.shapes import broadcast_shapes, element_count
from flambeau.functional import gathering, masking, plain_data, views
from flambeau.functional.gathering import (
    bounded,
    gather,
    index_add,
    index_copy,
    index_fill,
    index_select,
    put,
    scatter,
    scatter_add,
    scatter_reduce,
    take,
    take_along_dim,
)
from flambeau.functional.index_plans import (
    as_items,
    basic,
    basic_event,
    basic_key,
    basic_shown,
    check_mask,
    is_mask,
    plan_of,
)
from flambeau.functional.masking import (
    argwhere,
    masked_fill,
    masked_scatter,
    masked_select,
    nonzero,
)
from flambeau.functional.options import refuse_overflow
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import indexed
from flambeau.ops import view as vw
from flambeau.ops.value import Value
from flambeau.record import mapping
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.recorder import LOCAL, in_place, record
from flambeau.tensor.tensor import Tensor, from_array, from_fresh

# The names of the torch namespace.
__all__ = [
    "argwhere",
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_put_",
    "index_select",
    "masked_fill",
    "masked_scatter",
    "masked_select",
    "nonzero",
    "put",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "take",
    "take_along_dim",
]

NUMBERS = (bool, int, float, complex, np.number, np.bool_)


def getitem(self: Tensor, index: Any) -> Tensor:
    """self[index]: a view for basic indices, a copy where index tensors or masks take part."""
    shape = self._meta.extents
    if type(index) is int and shape:
        extent = shape[0]
        if not -extent <= index < extent:
            raise IndexError(f"index {index} is out of bounds for dimension 0 with size {extent}")
        return views.show(views.SELECT_ONE, self, (0, index + extent if index < 0 else index))
    if type(index) is slice and shape and index.step is None:
        start, stop, _ = index.indices(shape[0])
        size = stop - start if stop > start else 0
        if size != shape[0]:
            return views.show(views.NARROW, self, (0, start, size, 1))
    if type(index) is Tensor and index._meta.dtype is dtypes.int64 and index._meta.shape and shape:
        rows: Tensor = record(INDEX, (self, [index]), ((0,),))
        return rows
    if type(index) is tuple:
        key = basic_key(index)
        if key is not None:
            op, attributes = basic_event(shape, key)
            return views.show(op, self, attributes)
    chooses = isinstance(index, Tensor) and index._meta.dtype.kind == "b" and index._meta.shape
    if chooses and masking.chosen_at_once(self, index):
        check_mask(shape, 0, index)
        return from_fresh(self._array()[index._values()], self._meta.dtype)
    plan = plan_of(shape, as_items(index))
    shown = basic(self, plan)
    if not plan.advanced:
        return shown
    places, tensors = index_tensors(shown._meta.extents, plan.advanced)
    made: Tensor = record(INDEX, (shown, tensors), (places,))
    return made


def index_tensors(
    shape: tuple[int, ...], advanced: list[tuple[int, Tensor]]
) -> tuple[tuple[int, ...], list[Tensor]]:
    """The indexed dimensions and an integer tensor for each; masks are read on the host."""
    places: list[int] = []
    tensors: list[Tensor] = []
    for place, index in advanced:
        if not is_mask(index):
            places.append(place)
            tensors.append(index)
            continue
        check_mask(shape, place, index)
        if LOCAL.levels:
            mapping.refuse(index, mapping.MASK)
        for axis, hits in enumerate(np.nonzero(np.asarray(index._values()))):
            places.append(place + axis)
            tensors.append(from_array(hits.astype(np.int64), dtypes.int64))
    return tuple(places), tensors


# ---- gathering and writing by index tensors ------------------------------------------------------


def common_shape(tensors: list[Value]) -> tuple[int, ...]:
    try:
        return broadcast_shapes(*[v.shape for v in tensors])
    except RuntimeError:
        shapes = ", ".join(str(list(v.shape)) for v in tensors)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from None


def row_order(rank: int, places: tuple[int, ...]) -> tuple[int, ...]:
    """The indexed dimensions in front of the others."""
    return (*places, *[a for a in range(rank) if a not in places])


def rows_of(x: Value, places: tuple[int, ...]) -> Value:
    """x with its indexed dimensions in front and flat: the rows that an index picks from."""
    order = row_order(x.ndim, places)
    if order != tuple(range(x.ndim)):
        x = vw.permute(x, order=order)
    if len(places) == 1:
        return x
    count = element_count(x.shape[: len(places)])
    return vw.reshape(x, shape=(count, *x.shape[len(places) :]))


def row_numbers(x: Value, tensors: list[Value], places: tuple[int, ...]) -> Value:
    """The flat row number of each element of the broadcast index tensors."""
    shape = common_shape(tensors)
    if element_count(shape) and any(not x.shape[p] for p in places):
        raise IndexError("index is out of bounds for dimension with size 0")
    if any(not n for a, n in enumerate(x.shape) if a not in places):
        return ar.full(shape, 0, dtypes.int64)  # (nothing is picked: PyTorch does not look)
    numbers = [ar.expand(ar.cast(v, dtypes.int64), shape) for v in tensors]
    if len(places) == 1 or not element_count(shape):
        return numbers[0]
    total: Value | None = None
    for which, (number, place) in enumerate(zip(numbers, places, strict=True)):
        number = bounded(number, x.shape[place], f"index {which}")
        total = number if total is None else total * x.shape[place] + number
    assert total is not None
    return total


def result_place(places: tuple[int, ...]) -> int:
    """Where the index's dimensions go: to the first indexed of neighbours, else in front."""
    together = all(b == a + 1 for a, b in pairwise(places))
    return places[0] if together else 0


def _index(x: Value, tensors: list[Value], places: tuple[int, ...]) -> Value:
    numbers = row_numbers(x, tensors, places)
    taken = indexed.take(rows_of(x, places), numbers, what="index")
    lead, at = numbers.ndim, result_place(places)
    if at == 0:
        return taken
    order = (*range(lead, lead + at), *range(lead), *range(lead + at, taken.ndim))
    return vw.permute(taken, order=order)


def _index_put(
    x: Value, tensors: list[Value], rows: Value, places: tuple[int, ...], accumulate: bool
) -> Value:
    numbers, flat = row_numbers(x, tensors, places), rows_of(x, places)
    lead, at = numbers.ndim, result_place(places)
    rest = flat.shape[1:]
    wanted = rest[:at] + numbers.shape + rest[at:]
    if rows.ndim > len(wanted) or any(
        n not in (1, m) for n, m in zip(rows.shape[::-1], wanted[::-1])
    ):
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(rows.shape)} cannot be broadcast to "
            f"indexing "
            f"result of shape {list(wanted)}"
        )
    _same_kind(x.dtype, rows.dtype)
    rows = ar.expand(rows, wanted)
    if at:
        rows = vw.permute(
            rows, order=(*range(at, at + lead), *range(at), *range(at + lead, rows.ndim))
        )
    write = indexed.put_add if accumulate else indexed.put_set
    order = row_order(x.ndim, places)
    result = vw.reshape(
        write(flat, numbers, rows, what="index"), shape=tuple(x.shape[a] for a in order)
    )
    return vw.permute(result, order=tuple(order.index(a) for a in range(x.ndim)))


def _index_put_cast(
    x: Value, tensors: list[Value], rows: Value, places: tuple[int, ...], accumulate: bool
) -> Value:
    """Assignment of a number, or of one value to a mask, converts it to the target's dtype."""
    return _index_put(x, tensors, ar.cast(rows, x.dtype), places, accumulate)


def _where_put(x: Value, mask: Value, value: Value) -> Value:
    """x with `value` (broadcast against x) where a mask of x's first dimensions holds."""
    mask = vw.reshape(ar.to_bool(mask), shape=mask.shape + (1,) * (x.ndim - mask.ndim))
    return el.where(ar.expand(mask, x.shape), ar.expand(ar.cast(value, x.dtype), x.shape), x)


INDEX = PureOp("index", _index)
INDEX_PUT = PureOp("index_put", _index_put)
INDEX_PUT_ = InplaceOp("index_put_", _index_put, "IndexPutBackward0", apart=True)
# By whether one value fills a mask: PyTorch reads that before it writes.
ASSIGN, ASSIGN_MASKED = (
    {
        one: InplaceOp("index_put_", function, "IndexPutBackward0", apart=None if one else True)
        for one in (False, True)
    }
    for function in (_index_put_cast, _where_put)
)


# ---- assignment ----------------------------------------------------------------------------------


def setitem(self: Tensor, index: Any, value: Any) -> None:
    """self[index] = value: a number or a tensor, broadcast and converted."""
    kind = type(index)
    if kind is Tensor:
        if plain_data.fill_chosen(self, index, value):
            return
    else:
        key = (index,) if kind is int else basic_key(index)
        if key is not None:
            meta, distance, apart = basic_shown(self._meta, key, LOCAL.grad_mode)
            if apart and plain_data.write(self, meta, distance, value):
                return
    from flambeau.functional.inplace import FILL, FILL_TENSOR, copy_

    plan = plan_of(tuple(self._meta.shape), as_items(index))
    shown = self if plan.trivial else basic(self, plan)
    if not isinstance(value, (Tensor, *NUMBERS)):
        module = "numpy." if isinstance(value, np.ndarray) else ""
        raise TypeError(
            f"can't assign a {module}{type(value).__name__} to a "
            f"torch.{self.dtype.scalar_name}Tensor"
        )
    if not plan.advanced:
        if isinstance(value, Tensor):
            wanted = tuple(shown._meta.shape)
            if wanted and not value._meta.shape:
                in_place(FILL_TENSOR, shown, (value,))  # (it may lie in what is written)
                return
            value = without_leading_ones(value, len(wanted))
            copy_(shown, value if value._meta.shape == wanted else views.expand(value, wanted))
        else:
            _refuse_number(value, shown.dtype)
            in_place(FILL, shown, (value,))
        return
    if not isinstance(value, Tensor):
        _refuse_number(value, shown.dtype)
    shape = tuple(shown._meta.shape)
    one = len(plan.advanced) == 1 and is_mask(plan.advanced[0][1])
    if one and isinstance(value, Tensor):
        one = value._meta.numel == 1 and not any(map(_is_truth, as_items(index)))
    if len(plan.advanced) == 1 and is_mask(plan.advanced[0][1]) and plan.advanced[0][0] == 0:
        mask = plan.advanced[0][1]
        check_mask(shape, 0, mask)
        fitting = _value_per_row(value, shape[len(mask._meta.shape) :])
        if fitting is not None:
            if isinstance(value, Tensor) and not one:
                _same_kind(self.dtype, value.dtype)
            in_place(ASSIGN_MASKED[one], shown, (mask, fitting))
            return
    places, tensors = index_tensors(shape, plan.advanced)
    if isinstance(value, Tensor):
        value = without_leading_ones(
            value, len(shape) - len(places) + max(len(v._meta.shape) for v in tensors)
        )
    converts = one or not isinstance(value, Tensor)
    in_place(ASSIGN[one] if converts else INDEX_PUT_, shown, (tensors, value), (places, False))


def _is_truth(item: Any) -> bool:
    """Whether an index is a mask without axes: PyTorch fills nothing by such."""
    return isinstance(item, Tensor) and not item._meta.shape and item.dtype is dtypes.bool_


def _refuse_number(value: Any, dtype: DType) -> None:
    """RuntimeError where a number that is assigned does not fit; half types become infinite."""
    half = dtype is dtypes.float16 or dtype is dtypes.bfloat16
    refuse_overflow(value, dtypes.float64 if half else dtype)


def _same_kind(target: DType, value: DType) -> None:
    """RuntimeError where dtypes differ: only what fills a mask, and numbers, are converted."""
    if value is not target:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{target.scalar_name} for the destination and {value.scalar_name} for the source."
        )


def _value_per_row(value: Any, rest: tuple[int, ...]) -> Any:
    """The value if it is the same for all rows a mask picks (nobody has to count them), or None."""
    if not isinstance(value, Tensor):
        return value
    shape = tuple(value._meta.shape)
    if len(shape) == len(rest) + 1 and shape[0] == 1:
        shape = shape[1:]
        value = views.reshape(value, shape)
    if len(shape) > len(rest) or any(n not in (1, m) for n, m in zip(shape[::-1], rest[::-1])):
        return None
    return value


def without_leading_ones(value: Tensor, rank: int) -> Tensor:
    """The value without dimensions of extent 1 in front that the target does not have."""
    shape = tuple(value._meta.shape)
    drop = 0
    while len(shape) - drop > rank and shape[drop] == 1:
        drop += 1
    return views.reshape(value, shape[drop:]) if drop else value


# ---- index_put -----------------------------------------------------------------------------------


def _put_operands(self: Tensor, indices: Any) -> tuple[tuple[int, ...], list[Tensor]]:
    """The dimensions and tensors of index_put's tuple; None leaves a dimension out."""
    if isinstance(indices, Tensor) or not isinstance(indices, Sequence):
        raise TypeError(
            f"index_put_(): argument 'indices' (position 1) must be tuple of Tensors, not "
            f"{type(indices).__name__}"
        )
    advanced, at = [], 0
    for place, index in enumerate(indices):
        if index is None:
            at += 1
            continue
        if not isinstance(index, Tensor):
            raise TypeError(
                f"expected Tensor as element {place} in argument 0, but got {type(index).__name__}"
            )
        if index.dtype.kind not in "bi":
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        advanced.append((at, index))
        at += len(index._meta.shape) if is_mask(index) else 1
    if at > len(self._meta.shape):
        raise IndexError(
            f"too many indices for tensor of dimension {len(self._meta.shape)} (got {at})"
        )
    if not advanced:
        raise IndexError("index_put_(): at least one index must be a tensor")
    return index_tensors(tuple(self._meta.shape), advanced)


def _put_value(input: Tensor, indices: Any, values: Tensor, accumulate: bool) -> Tensor:
    """The values; one value that fills a mask is converted."""
    one = len(indices) == 1 and values._meta.numel == 1 and not accumulate
    return values.to(input.dtype) if one and is_mask(indices[0]) else values


def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with values written (or added) at input[indices]; None: a whole dimension."""
    try:
        places, tensors = _put_operands(input, indices)
        values = _put_value(input, indices, values, accumulate)
        made: Tensor = record(INDEX_PUT, (input, tensors, values), (places, bool(accumulate)))
        return made
    except Exception:
        refuse_misgiven()
        raise


def index_put_(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """index_put in place."""
    try:
        places, tensors = _put_operands(input, indices)
        values = _put_value(input, indices, values, accumulate)
        in_place(INDEX_PUT_, input, (tensors, values), (places, bool(accumulate)))
        return input
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {
    "__getitem__": getitem,
    "__setitem__": setitem,
    "index_put": index_put,
    "index_put_": index_put_,
    **gathering.METHODS,
    **masking.METHODS,
}
