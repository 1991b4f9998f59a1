"""Draws from PyTorch's CPU generator, as pure functions of its state; and run-time checks.

The state is the uint32 array of `flambeau.core.random_streams`; a draw of kind `kind` gives its
values, and `random_advance` with the same attributes gives the state after it.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.core.errors import FoundNaN, LinAlgError
from flambeau.ops.primitive import HOST, RANDOM, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value


class RandomDraw(Primitive):
    """`count` values of `kind`, 1-d, of `dtype`; further operands are the kind's parameters."""

    name, family, differentiable = "random_draw", RANDOM, False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return (attrs["count"],), attrs["dtype"]

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return _drawn(arrays, attrs)[0]


class RandomAdvance(Primitive):
    """The generator's state after the draw."""

    name, family, differentiable = "random_advance", RANDOM, False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        last, (state, *others) = _LAST, arrays
        if not others and last.drawn == _what(attrs) and np.array_equal(last.state, state):
            return np.array(last.after)
        if not attrs["kind"].startswith(CHECKED):
            return _drawn(arrays, attrs)[1]  # with the errors that belong to the draw
        from flambeau.core import random_streams

        return random_streams.advance(
            attrs["kind"], arrays[0], attrs["count"], *arrays[1:], **dict(attrs["parameters"])
        )


# Kinds whose parameters were checked when the draw was recorded.
CHECKED = (
    *("uniform32", "uniform64", "uniform_float", "uniform_bfloat", "normal", "bits"),
    *("random_range", "permutation"),
)


class _Last(threading.local):
    """The last draw of a thread, whose state afterwards is mostly asked for next."""

    drawn: Any = None
    state: Array
    after: Array


_LAST = _Last()


def _drawn(arrays: tuple[Array, ...], attrs: dict[str, Any]) -> tuple[Array, Array]:
    from flambeau.core import random_streams

    parameters = dict(attrs["parameters"])
    found = random_streams.draw_and_advance(
        attrs["kind"], arrays[0], attrs["count"], *arrays[1:], **parameters
    )
    if len(arrays) == 1:
        _LAST.drawn = None  # (an interrupt may come in between)
        _LAST.state, _LAST.after = arrays[0].copy(), found[1].copy()
        _LAST.drawn = _what(attrs)
    return found


def _what(attrs: dict[str, Any]) -> tuple[Any, ...]:
    """All that decides, beside the state, what is drawn (no parameter is a tensor)."""
    return attrs["kind"], attrs["count"], attrs["parameters"]


ERRORS = {e.__name__: e for e in (RuntimeError, ValueError, IndexError, FoundNaN, LinAlgError)}


class Require(Primitive):
    """The first operand, provided every element of the second (bool) is true; else an error.

    `error` is (exception name, message): raised when the program runs, before anything is
    overwritten.
    """

    name, family = "require", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        # The check stands on the way of the gradient too: the result itself may be dead.
        return require(ct, inputs[1], **attrs), None

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        if not arrays[1].all():
            kind, message = attrs["error"]
            raise ERRORS[kind](message)
        return np.asarray(arrays[0])


random_draw = RandomDraw()
random_advance = RandomAdvance()
require = Require()
