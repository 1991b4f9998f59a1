"""Tensors of one number: small ones are made at once, others are events."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.shapes import Shape
from flambeau.functional.options import as_element
from flambeau.ops import arithmetic as ar
from flambeau.ops.value import Value
from flambeau.record.events import Event, operand_value
from flambeau.record.meta import Meta
from flambeau.record.observing import WATCH
from flambeau.record.options import OPTIONS
from flambeau.record.recording import LOCAL
from flambeau.record.trace import Trace
from flambeau.tensor.making import fresh
from flambeau.tensor.recording import record
from flambeau.tensor.tensor import Tensor

SMALL = 1 << 12  # elements; a tensor of one number that has no more needs no event


class MakeOp(Event):
    """A tensor from no tensor: `function(*operands, *attributes)` with operands that are scalars.

    The last attribute is the strides of the result (None: contiguous).
    """

    __slots__ = ("function",)

    def __init__(self, name: str, function: Callable[..., Value]) -> None:
        super().__init__(name)
        self.function = function

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        operands = [operand_value(trace, part) for part in key[1:-1]]
        *attributes, strides = key[-1]
        trace.new_tensor(self.function(*operands, *attributes), strides=strides)


def _full(value: Value, shape: Shape, dtype: DType) -> Value:
    return ar.expand(ar.cast(value, dtype), shape)


def _zeros(shape: Shape, dtype: DType, fill: int) -> Value:
    return ar.full(shape, fill, dtype)


FULL = MakeOp("full", _full)
ZEROS = MakeOp("zeros", _zeros)


def constant(meta: Meta, value: Any) -> Tensor:
    """A tensor of one number: at once where it is small, else an event."""
    if meta.numel <= SMALL and at_once():
        bits = 0 if value.__class__ is int and not value else bits_of(value, meta.dtype)
        if bits is not None:
            return fresh(meta, bits)
    strides = None if meta.steps is None else meta.strides
    if type(value) is int and 0 <= value <= 1:
        made: Tensor = record(ZEROS, (), (meta.extents, meta.dtype, value, strides))
        return made
    return record(FULL, (value,), (meta.extents, meta.dtype, strides))


def at_once() -> bool:
    """Whether what is small is made at once: where it would begin a program. In the middle of one
    it is part of that, and so it is where a compiled function or an observer is to see it.
    """
    state = LOCAL.rec.state
    return (
        (not state.ops or state.ended)
        and LOCAL.capture is None
        and WATCH.observer is None
        and not OPTIONS.sync
    )


def bits_of(value: Any, dtype: DType) -> int | None:
    """8 bytes of memory that is filled with a Python number; None where compiled code has to say
    what they are.
    """
    if type(value) is int and (value == 0 or (value == 1 and dtype is not dtypes.bfloat16)):
        return _bits(value, dtype)
    element = as_element(value, dtype)
    if element is None or (element == 0 and type(element) is float):  # (it may be negative)
        return None
    return _bits(element, dtype)


@lru_cache(maxsize=1 << 10)
def _bits(element: Any, dtype: DType) -> int | None:
    if not element:
        return 0
    if dtype.itemsize > 8:
        return None
    bits: int = np.full(8 // dtype.itemsize, element, dtype.numpy).view(np.int64).item()
    return bits


def zeros_recorded(shape: Shape, dtype: DType) -> Tensor:
    """Zeros that are part of the program under way, however small."""
    made: Tensor = record(ZEROS, (), (shape, dtype, 0, None))
    return made
