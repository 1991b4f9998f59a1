"""The operators of metrics: each makes a metric that combines the values of two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.metrics import _torch
from flambeau.metrics._torch import Tensor, pointwise


def _neg(x: Tensor) -> Tensor:
    """What -metric is in torchmetrics: minus the absolute value."""
    return -x.abs()


def true_divide(x: Any, y: Any) -> Any:
    """div, under the name that a composition shows."""
    return pointwise.div(x, y)


def _composed(op: Callable[..., Any], a: Any, b: Any) -> Any:
    from flambeau.metrics.composition import CompositionalMetric

    return CompositionalMetric(op, a, b)


def _binary(op: Callable[..., Any]) -> Any:
    return lambda self, other: _composed(op, self, other)


def _reflected(op: Callable[..., Any]) -> Any:
    return lambda self, other: _composed(op, other, self)


def _unary(op: Callable[..., Any]) -> Any:
    return lambda self: _composed(op, self, None)


class Composable:
    """What has the operators."""

    __add__ = _binary(pointwise.add)
    __and__ = _binary(pointwise.bitwise_and)
    __floordiv__ = _binary(pointwise.floor_divide)
    __ge__ = _binary(pointwise.ge)
    __gt__ = _binary(pointwise.gt)
    __le__ = _binary(pointwise.le)
    __lt__ = _binary(pointwise.lt)
    __matmul__ = _binary(_torch.matmul)
    __mod__ = _binary(pointwise.fmod)
    __mul__ = _binary(pointwise.mul)
    __or__ = _binary(pointwise.bitwise_or)
    __pow__ = _binary(_torch.pow)
    __sub__ = _binary(pointwise.sub)
    __truediv__ = _binary(true_divide)
    __xor__ = _binary(pointwise.bitwise_xor)
    __radd__ = _reflected(pointwise.add)
    __rand__ = _binary(pointwise.bitwise_and)
    __rfloordiv__ = _reflected(pointwise.floor_divide)
    __rmatmul__ = _reflected(_torch.matmul)
    __rmod__ = _reflected(pointwise.fmod)
    __rmul__ = _reflected(pointwise.mul)
    __ror__ = _reflected(pointwise.bitwise_or)
    __rpow__ = _reflected(_torch.pow)
    __rsub__ = _reflected(pointwise.sub)
    __rtruediv__ = _reflected(true_divide)
    __rxor__ = _reflected(pointwise.bitwise_xor)
    __abs__ = _unary(pointwise.abs)
    __inv__ = __invert__ = _unary(pointwise.bitwise_not)
    __neg__ = _unary(_neg)
    __pos__ = _unary(pointwise.abs)
    __iter__ = None

    def __eq__(self, other: Any) -> Any:
        return _composed(pointwise.eq, self, other)

    def __ne__(self, other: Any) -> Any:
        return _composed(pointwise.ne, self, other)

    def __getitem__(self, idx: Any) -> Any:
        return _composed(lambda x: x[idx], self, None)
