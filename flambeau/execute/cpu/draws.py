"""Random draws as kernels of a program: the values and the generator's next state from one call."""

from __future__ import annotations

from typing import Any

from flambeau.core import dtypes
from flambeau.core.random_streams import result_dtype
from flambeau.execute.cpu.body import Buffer
from flambeau.execute.cpu.loops import KernelCode, Operand
from flambeau.execute.cpu.random_kernels import NATIVE_KINDS, random_arguments, random_kernel
from flambeau.ops.value import Value


def is_native_draw(v: Value) -> bool:
    """Whether a `random_draw` or `random_advance` has a kernel; the others are host steps."""
    attrs = v.attrs
    kind = attrs["kind"]
    if kind not in NATIVE_KINDS or len(v.inputs) != 1:
        return False
    parameters = dict(attrs["parameters"])
    if kind == "bernoulli" and not 0 <= parameters["p"] <= 1:
        return False  # the reference executor words the error
    if kind == "exponential" and not parameters["rate"] > 0:
        return False
    if v.primitive.name == "random_draw" and v.dtype is not values_dtype(v):
        return False
    try:
        random_arguments(kind, attrs["count"], **parameters)
    except (NotImplementedError, TypeError, KeyError):
        return False
    return True


def values_dtype(v: Value) -> dtypes.DType:
    """The dtype of the values of a draw of a native kind."""
    return dtypes.BY_NAME[result_dtype(v.attrs["kind"], **dict(v.attrs["parameters"]))]


def draw_key(v: Value) -> tuple[Any, ...]:
    """Equal for the draw and the advance that one kernel computes."""
    return (v.inputs[0], v.attrs["kind"], v.attrs["count"], repr(v.attrs["parameters"]))


def draw_kernel(
    v: Value, before: Buffer, after: Buffer, values: Buffer, vector_bits: int
) -> KernelCode:
    """The kernel of the draw of `v`: both results."""
    kind, parameters = v.attrs["kind"], dict(v.attrs["parameters"])
    text = random_kernel(kind, vector_bits, **parameters)
    words = random_arguments(kind, v.attrs["count"], **parameters)
    return KernelCode(text, [Operand(before), Operand(after), Operand(values)], words)
