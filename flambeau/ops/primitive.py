"""What a primitive is: a shape rule, a derivative and a NumPy meaning, side by side.

Each primitive is one instance of a small class that states its `family`, the only thing compilers
know of it apart from its name. See `flambeau.ops.catalogue` for the closed list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.ops.value import Shape, Value

if TYPE_CHECKING:
    from flambeau.ops.inner_loops import Loops

SOURCE = "source"  # inputs, constants, counters
ELEMENTWISE = "elementwise"  # one element from one element of each operand
VIEW = "view"  # an element of the result is an element of the operand (or a fixed padding)
REDUCTION = "reduction"  # folds whole axes
CONTRACTION = "contraction"  # sums of products: matrix products and convolutions
WINDOW = "window"  # pooling and its gradients
INDEXED = "indexed"  # gathers and scatters by run-time indices
SCAN = "scan"
SORT = "sort"
RANDOM = "random"
RECURRENCE = "recurrence"  # recurrent layers: a loop over time
ATTENTION = "attention"  # rows of scores, their softmax and what it weighs
HOST = "host"  # left to the reference executor by every compiler

Array = np.ndarray[Any, np.dtype[Any]]
Cotangents = Sequence[Value | None]


class Primitive:
    """One entry of the vocabulary.

    `rule` gives the result's shape and dtype, `vjp` the cotangents of the operands (None where
    there is none) from the cotangent of the result, emitted as values; `reference` computes with
    NumPy arrays (bfloat16 operands arrive as float32 arrays and the result is rounded by the
    executor).
    """

    name: ClassVar[str]
    family: ClassVar[str]
    differentiable: ClassVar[bool] = True
    # Whether the derivative looks at the elements of the result, and of the operands, or at their
    # extents and dtypes alone: those of earlier programs have not to be brought then.
    looks_at_result: ClassVar[bool] = True
    looks_at_operands: ClassVar[bool] = True
    # Whether operands may all have more axes in front: `axis` and `axes` then count on from there.
    leads: ClassVar[bool] = False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        raise NotImplementedError(f"{self.name} has no shape rule")

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        raise NotImplementedError(f"the derivative of {self.name} is not implemented")

    def lacks_derivative(self, place: int) -> bool:
        """Whether nobody has written the derivative with respect to an operand."""
        return False

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        raise NotImplementedError(f"{self.name} has no NumPy meaning")

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        """The results for `count` slices, along a new first axis, of operands of which those that
        are `mapped` have such an axis; None where there is no other way than slice by slice.
        """
        if not self.leads:
            return None
        if "axes" in attrs:
            attrs["axes"] = tuple(axis + 1 for axis in attrs["axes"])
        if "axis" in attrs:
            if inputs[0].ndim == mapped[0]:
                return None  # slices of no axes at all
            attrs["axis"] += 1
        return self(*lifted(count, inputs, mapped), **attrs)

    def inner_loops(self, v: Value) -> Loops | None:
        """NumPy's inner loops that compute v; None where `reference` does something else."""
        return None

    def __call__(self, *inputs: Value, **attrs: Any) -> Value:
        shape, dtype = self.rule(*inputs, **attrs)
        tracked = False
        for operand in inputs:
            if operand.tracked:
                tracked = self.differentiable and (dtype.is_floating_point or dtype.is_complex)
                break
        return Value(self, inputs, attrs, shape, dtype, tracked)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


def lifted(size: int, inputs: Sequence[Value], mapped: Sequence[bool]) -> list[Value]:
    """The operands, each with a first axis for slices: the same in all where it had none."""
    from flambeau.ops import view

    made = []
    for x, has in zip(inputs, mapped, strict=True):
        if not has:
            x = view.expand(view.reshape(x, shape=(1, *x.shape)), shape=(size, *x.shape))
        made.append(x)
    return made
