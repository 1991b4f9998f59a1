"""Symbolic values: what primitives take and give.

A `Value` is one node of a program: the primitive that makes it, its operands, its static
attributes, and the shape and dtype that the primitive's rule gave it. Values are immutable and form
a graph by reference alone; a program is whatever can be reached from its outputs. Derivative rules
and composites are plain functions from values to values, so the same code serves first order,
second order and compilation.

Note: values and the garbage collector
    Programs that are kept for later hold values by the hundred thousand, and each full collection
    would visit them all. A value is made after everything it refers to and never changed, so that
    values are in no cycle: reference counts alone free them, and the collector need not know them.
    The same holds of what refers to nothing but values and things of its kind made before it.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flambeau.core.dtypes import DType
    from flambeau.ops.primitive import Primitive

Shape = tuple[int, ...]
_order = itertools.count()
leave_to_reference_counts = ctypes.PYFUNCTYPE(None, ctypes.py_object)(
    ("PyObject_GC_UnTrack", ctypes.pythonapi)
)


def latest_order() -> int:
    """A mark in the order of creation: older values are below it, younger ones above."""
    return next(_order)


class Value:
    """A tensor-valued node: `primitive(*inputs, **attrs)`.

    `order` increases with creation, so operands always have a smaller order than their users.
    `tracked` says whether a gradient may flow through it: some operand is tracked and the primitive
    has a derivative.
    """

    __slots__ = ("attrs", "dtype", "inputs", "order", "primitive", "shape", "tracked")

    def __init__(
        self,
        primitive: Primitive,
        inputs: tuple[Value, ...],
        attrs: dict[str, Any],
        shape: Shape,
        dtype: DType,
        tracked: bool,
    ) -> None:
        self.primitive = primitive
        self.inputs = inputs
        self.attrs = attrs
        self.shape = shape
        self.dtype = dtype
        self.tracked = tracked
        self.order = next(_order)
        leave_to_reference_counts(self)
        if inputs:
            leave_to_reference_counts(inputs)
        if attrs:
            leave_to_reference_counts(attrs)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape))
        return f"%{self.order}:{self.dtype.name}[{shape}] = {self.primitive.name}"

    def __add__(self, other: Operand) -> Value:
        return arithmetic.add(self, other)

    def __radd__(self, other: Operand) -> Value:
        return arithmetic.add(other, self)

    def __sub__(self, other: Operand) -> Value:
        return arithmetic.sub(self, other)

    def __rsub__(self, other: Operand) -> Value:
        return arithmetic.sub(other, self)

    def __mul__(self, other: Operand) -> Value:
        return arithmetic.mul(self, other)

    def __rmul__(self, other: Operand) -> Value:
        return arithmetic.mul(other, self)

    def __truediv__(self, other: Operand) -> Value:
        return arithmetic.div(self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return arithmetic.div(other, self)

    def __neg__(self) -> Value:
        return arithmetic.neg(self)

    def __lt__(self, other: Operand) -> Value:
        return arithmetic.lt(self, other)

    def __le__(self, other: Operand) -> Value:
        return arithmetic.le(self, other)

    def __gt__(self, other: Operand) -> Value:
        return arithmetic.gt(self, other)

    def __ge__(self, other: Operand) -> Value:
        return arithmetic.ge(self, other)

    def __and__(self, other: Operand) -> Value:
        return arithmetic.bitwise_and(self, other)

    def __or__(self, other: Operand) -> Value:
        return arithmetic.bitwise_or(self, other)

    def __invert__(self) -> Value:
        return arithmetic.bitwise_not(self)


Scalar = bool | int | float | complex
Operand = Value | Scalar

from flambeau.ops import arithmetic  # noqa: E402  (operators need it; it needs Value)
