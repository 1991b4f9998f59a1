"""Values without operands: inputs, constants, counters; and autograd's links."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType, bool_, int64
from flambeau.ops.primitive import SOURCE, VIEW, Array, Cotangents, Primitive
from flambeau.ops.value import Scalar, Shape, Value

Backward = Callable[..., Any]


class Input(Primitive):
    """A run-time operand: `role` and `index` say which (memory base, scalar, saved value)."""

    name, family, differentiable = "input", SOURCE, False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return attrs["shape"], attrs["dtype"]


class Constant(Primitive):
    """A 0-d constant known when the program is made."""

    name, family, differentiable = "constant", SOURCE, False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return (), attrs["dtype"]

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        dtype: DType = attrs["dtype"]
        if dtype.name == "bfloat16":
            return np.asarray(attrs["value"], np.float32)
        if dtype.kind in "iu" and not isinstance(attrs["value"], bool):
            return np.asarray(
                int(attrs["value"]) & ((1 << (8 * dtype.itemsize)) - 1), np.uint64
            ).astype(dtype.numpy)
        return np.asarray(attrs["value"], dtype.numpy)


class Iota(Primitive):
    """0, 1, ..., size - 1 as int64."""

    name, family, differentiable = "iota", SOURCE, False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return (attrs["size"],), int64

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.arange(attrs["size"], dtype=np.int64)


class Leaf(Primitive):
    """Marks data as the value of autograd leaf number `leaf`: its gradient is accumulated there."""

    name, family = "leaf", VIEW

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return arrays[0]


class History(Primitive):
    """Marks data saved from an earlier program as its value `source`: gradients flow on there."""

    name, family = "history", VIEW

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return arrays[0]


class Detach(Primitive):
    """The same data, with no gradient."""

    name, family, differentiable = "detach", VIEW, False
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return arrays[0]


class Relink(Primitive):
    """The first operand's data with the second's history (overwritten behind autograd's back)."""

    name, family = "relink", VIEW
    leads = True
    looks_at_result = looks_at_operands = False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return None, ct

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return arrays[0]


class Derivative(Primitive):
    """A function of its operands of which only the derivative is known: a history to relink to."""

    name, family = "derivative", SOURCE

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return attrs["shape"], attrs["dtype"]

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        cotangents: Cotangents = attrs["backward"](ct, *inputs)
        return cotangents


input_ = Input()
constant_ = Constant()
iota = Iota()
detach = Detach()
relink = Relink()
_derivative = Derivative()
_leaf = Leaf()
_history = History()


def constant(value: Scalar, dtype: DType) -> Value:
    """A 0-d constant of `dtype`."""
    return Value(constant_, (), {"value": value, "dtype": dtype}, (), dtype, False)


def program_input(role: str, index: Any, shape: Shape, dtype: DType) -> Value:
    attrs = {"role": role, "index": index, "shape": shape, "dtype": dtype}
    return Value(input_, (), attrs, shape, dtype, False)


def leaf(data: Value, number: int) -> Value:
    """`data` as the current value of a leaf that requires a gradient."""
    return Value(_leaf, (data,), {"leaf": number}, data.shape, data.dtype, True)


def history(data: Value, frame: int, source: Value) -> Value:
    """`data` as the value `source` of an earlier program, this program's frame number `frame`."""
    return Value(
        _history, (data,), {"frame": frame, "source": source}, data.shape, data.dtype, True
    )


def with_derivative(data: Value, operands: Value | tuple[Value, ...], backward: Backward) -> Value:
    """`data` as a function of `operands` whose derivative is given: `backward(ct, *operands)` are
    their cotangents (one value for one operand). Its values are differentiated for second order.
    """
    given = operands if isinstance(operands, tuple) else (operands,)
    if not any(v.tracked for v in given):
        return data
    apply = backward if isinstance(operands, tuple) else lambda ct, x: (backward(ct, x),)
    attrs = {"backward": apply, "shape": data.shape, "dtype": data.dtype}
    return relink(data, _derivative(*given, **attrs))


def no_derivative(name: str) -> Backward:
    """The derivative of what has none in PyTorch: an error, when the backward pass runs (what only
    might be asked for must not raise).
    """
    message = f"derivative for aten::{name} is not implemented"

    def backward(ct: Value, *operands: Value) -> tuple[Value, ...]:
        from flambeau.ops import arithmetic as ar
        from flambeau.ops.randomness import require

        never = ar.full((), False, bool_)
        error = ("RuntimeError", message)
        return tuple(require(ar.zeros_like(v), never, error=error) for v in operands)

    return backward
