"""Functions of two values whose plain form overflows or divides by zero, with the derivatives that
PyTorch gives them: x log y, sqrt(x^2 + y^2), log(exp x + exp y).
"""

from __future__ import annotations

from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Operand, Value


def float_pair(a: Operand, b: Operand) -> list[Value]:
    """Both operands in the float dtype of their result, broadcast."""
    dtype = ar.float_dtype(a, b)
    return ar.broadcast(ar.as_value(a, dtype), ar.as_value(b, dtype))


def xlogy_value(x: Value, y: Value) -> Value:
    """x log(y); 0 where x is 0 and y a number."""
    zero = ar.zeros_like(x)
    product = el.where(el.eq(x, zero), zero, x * el.log(y))

    def backward(ct: Value, x: Value, y: Value) -> tuple[Value, Value]:
        outside = ar.logical_and(ar.eq(x, 0), ar.le(y, 0))
        return el.where(outside, ar.zeros_like(ct), xlogy_value(ct, y)), ct * x / y

    return with_derivative(el.where(el.ne(y, y), y, product), (x, y), backward)


def hypot_value(x: Value, y: Value) -> Value:
    """sqrt(x^2 + y^2), where squares overflow, too: from the ratio of the two."""
    a, b = el.abs_(x), el.abs_(y)
    high, low = el.where(el.ge(a, b), a, b), el.where(el.ge(a, b), b, a)
    infinite = ar.logical_or(ar.eq(a, float("inf")), ar.eq(b, float("inf")))
    ratio = el.where(ar.eq(high, 0), low, low / high)
    size = high * el.sqrt(ratio * ratio + 1.0)

    def backward(ct: Value, x: Value, y: Value) -> tuple[Value, Value]:
        size = hypot_value(x, y)
        return ct * (x / size), ct * (y / size)

    return with_derivative(
        el.where(infinite, ar.full_like(a, float("inf")), size), (x, y), backward
    )


def log_of_sum(x: Value, y: Value, tail: Value, rate: float) -> Value:
    """The larger of x and y and `tail`, as log(exp(rate x) + exp(rate y)) / rate."""
    high = el.maximum(x, y)
    same = ar.logical_and(el.eq(x, y), ar.eq(el.abs_(x), float("inf")))

    def backward(ct: Value, x: Value, y: Value) -> tuple[Value, Value]:
        apart = x - y if rate == 1.0 else (x - y) * rate
        return ct * el.sigmoid(apart), ct * el.sigmoid(el.neg(apart))

    return with_derivative(el.where(same, x, high + tail), (x, y), backward)
