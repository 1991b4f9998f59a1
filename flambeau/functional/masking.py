"""Masks: fills, selections, the places of what is not zero. Counting reads the mask on the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.shapes import broadcast_shapes
from flambeau.functional import plain_answers
from flambeau.functional.gathering import delivered, flat_value, refuse_shared
from flambeau.functional.options import no_overload, refuse_overflow
from flambeau.functional.views import expand
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import indexed
from flambeau.ops import view as vw
from flambeau.ops.value import Value
from flambeau.record import mapping
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.meta import meta_of
from flambeau.record.options import OPTIONS
from flambeau.record.recorder import LOCAL, at_rest, flush, in_place, record
from flambeau.record.storage import storage_of_fresh
from flambeau.tensor.tensor import Tensor, from_array, from_fresh, from_storage


def _masked_fill(x: Value, mask: Value, value: Value) -> Value:
    if mask.dtype.kind != "b":
        raise RuntimeError(
            "masked_fill_ only supports boolean masks, but got mask with dtype "
            f"{_type_name(mask.dtype)}"
        )
    if value.shape:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    shape = broadcast_shapes(x.shape, mask.shape)
    return el.where(
        ar.expand(mask, shape), ar.expand(ar.cast(value, x.dtype), shape), ar.expand(x, shape)
    )


def _type_name(dtype: DType) -> str:
    names = {
        "float32": "float",
        "float64": "double",
        "int64": "long int",
        "int32": "int",
        "uint8": "unsigned char",
    }
    return names.get(dtype.name, dtype.name)


MASKED_FILL = PureOp("masked_fill", _masked_fill)
MASKED_FILL_TENSOR = PureOp("masked_fill", _masked_fill, "MaskedFillBackward1")
MASKED_FILL_ = InplaceOp("masked_fill_", _masked_fill, "MaskedFillBackward0")
MASKED_FILL_TENSOR_ = InplaceOp("masked_fill_", _masked_fill, "MaskedFillBackward1")


def _fitting(value: Any, dtype: DType) -> Any:
    """The value to fill with. RuntimeError where the dtype cannot hold it."""
    if isinstance(value, Tensor) and value.dtype.is_complex and not dtype.is_complex:
        value = value.item() if not value._meta.shape else value
    refuse_overflow(value, dtype)
    return value


def _refuse_mask(name: str, mask: Any, value: Any) -> None:
    if not isinstance(mask, Tensor):
        forms = "(Tensor mask, Tensor value)", "(Tensor mask, Number value)"
        raise no_overload(name, (mask, value), forms)


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy with a number (or 0-d tensor) where the mask holds; both broadcast."""
    try:
        _refuse_mask("masked_fill", mask, value)
        value = _fitting(value, input.dtype)
        op = MASKED_FILL_TENSOR if isinstance(value, Tensor) else MASKED_FILL
        made: Tensor = record(op, (input, mask, value))
        return made
    except Exception:
        refuse_misgiven()
        raise


def masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """masked_fill in place."""
    try:
        _refuse_mask("masked_fill_", mask, value)
        value = _fitting(value, self.dtype)
        in_place(
            MASKED_FILL_TENSOR_ if isinstance(value, Tensor) else MASKED_FILL_, self, (mask, value)
        )
        return self
    except Exception:
        refuse_misgiven()
        raise


def _pick(x: Value, places: Value) -> Value:
    return indexed.take(flat_value(x), places, what="index")


MASKED_SELECT = PureOp("masked_select", _pick)


def lies_still(x: Tensor) -> bool:
    """Whether a tensor is plain data: what a mask chooses of it is taken at once then, where a
    program would be a new one for every number of elements.
    """
    storage = x._storage
    return (
        storage is not None
        and at_rest(storage)
        and not x._meta.requires_grad
        and not OPTIONS.sync
        and type(x) is Tensor
    )


def chosen_at_once(x: Tensor, mask: Tensor) -> bool:
    """`lies_still`, once what the mask waits for has run: it is about to be read, and what x waits
    for has often run by then.
    """
    if lies_still(x):
        return True
    rec = LOCAL.rec
    if LOCAL.levels or x._meta.requires_grad or mask._rec is not rec or mask._storage is not None:
        return False
    flush()
    return lies_still(x)


def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where the mask holds, 1-d. Reads the mask on the host."""
    try:
        if mask.dtype.kind != "b":
            raise RuntimeError("masked_select: expected BoolTensor for mask")
        refuse_shared(out, input, mask)
        shape = broadcast_shapes(tuple(input._meta.shape), tuple(mask._meta.shape))
        if LOCAL.levels:
            mapping.refuse(mask, mapping.CHOICE)
        if chosen_at_once(input, mask):
            taken = np.broadcast_to(input._array(), shape)[np.broadcast_to(mask._values(), shape)]
            return delivered(from_fresh(taken, input._meta.dtype), out)
        hits = np.flatnonzero(np.broadcast_to(mask._values(), shape)).astype(np.int64)
        places = from_array(hits, dtypes.int64)
        return delivered(record(MASKED_SELECT, (expand(input, shape), places)), out)
    except Exception:
        refuse_misgiven()
        raise


def _masked_scatter(x: Value, places: Value, rows: Value) -> Value:
    if rows.dtype is not x.dtype:
        raise RuntimeError(
            "masked_scatter_: expected self and source to have same dtypes but got "
            f"{x.dtype.scalar_name} and {rows.dtype.scalar_name}"
        )
    if rows.size < places.size:
        raise RuntimeError("Number of elements of source < number of ones in mask")
    used = vw.slice_(flat_value(rows), starts=(0,), sizes=places.shape, steps=(1,))
    return vw.reshape(indexed.put_set(flat_value(x), places, used, what="index"), shape=x.shape)


MASKED_SCATTER = PureOp("masked_scatter", _masked_scatter)
MASKED_SCATTER_ = InplaceOp(
    "masked_scatter_", _masked_scatter, "MaskedScatterBackward0", apart=None
)


def _mask_places(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    if mask.dtype.kind != "b":
        raise RuntimeError(
            "masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{_type_name(mask.dtype)}"
        )
    hits = np.flatnonzero(np.broadcast_to(mask._values(), shape)).astype(np.int64)
    return from_array(hits, dtypes.int64)


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with source's elements, in order, where the mask holds. Reads the mask on the host."""
    try:
        shape = broadcast_shapes(tuple(input._meta.shape), tuple(mask._meta.shape))
        made: Tensor = record(
            MASKED_SCATTER, (expand(input, shape), _mask_places(mask, shape), source)
        )
        return made
    except Exception:
        refuse_misgiven()
        raise


def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """masked_scatter in place."""
    try:
        in_place(MASKED_SCATTER_, self, (_mask_places(mask, tuple(self._meta.shape)), source))
        return self
    except Exception:
        refuse_misgiven()
        raise


def nonzero(input: Tensor, *, as_tuple: bool = False, out: Tensor | None = None) -> Any:
    """Indices of what is not zero, n x rank (as_tuple: a vector per axis). Reads the data."""
    try:
        if LOCAL.levels:
            mapping.refuse(input, mapping.SHAPE.format("nonzero"))
        known = None if as_tuple else plain_answers.nonzero(input)
        if known is not None:
            return delivered(known, out)
        array = np.asarray(input._values())
        if as_tuple:
            found = np.nonzero(array if array.shape else array.reshape(1))
            return tuple(from_array(places.astype(np.int64), dtypes.int64) for places in found)
        if not array.shape:
            return delivered(
                from_array(np.zeros((int(bool(array)), 0), np.int64), dtypes.int64), out
            )
        # PyTorch's result has the strides of a transposed rank x n matrix.
        places = np.array(array.nonzero(), np.int64)
        rank, count = places.shape
        meta = meta_of(dtypes.int64, (count, rank), (1, count))
        return delivered(from_storage(storage_of_fresh(places), meta), out)
    except Exception:
        refuse_misgiven()
        raise


def argwhere(input: Tensor) -> Tensor:
    """nonzero."""
    try:
        found: Tensor = nonzero(input)
        return found
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {
    "masked_fill": masked_fill,
    "masked_fill_": masked_fill_,
    "masked_select": masked_select,
    "masked_scatter": masked_scatter,
    "masked_scatter_": masked_scatter_,
    "nonzero": nonzero,
    "argwhere": argwhere,
}
