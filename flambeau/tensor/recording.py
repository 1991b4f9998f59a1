"""The recorder's ways in, typed for tensors (the recorder itself knows only handles)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from flambeau.record import recorder
from flambeau.tensor.tensor import Tensor


class WithScalar(Protocol):
    """Records op(x, scalar), or op(scalar, x) when `first`."""

    def __call__(
        self, op: Any, x: Tensor, scalar: Any, attributes: Any = None, *, first: bool = False
    ) -> Tensor: ...


class InPlace(Protocol):
    """Records a write into `target`, which is returned."""

    def __call__(
        self, op: Any, target: Tensor, operands: Any = (), attributes: Any = None
    ) -> Tensor: ...


class Record(Protocol):
    """Records an event with one result."""

    def __call__(self, op: Any, operands: Any, attributes: Any = None) -> Tensor: ...


class Unary(Protocol):
    """Records op(x) with one result."""

    def __call__(self, op: Any, x: Tensor, attributes: Any = None) -> Tensor: ...


class Binary(Protocol):
    """Records op(x, y) with one result."""

    def __call__(self, op: Any, x: Tensor, y: Tensor, attributes: Any = None) -> Tensor: ...


record: Record = recorder.record
unary: Unary = recorder.unary
binary: Binary = recorder.binary
with_scalar: WithScalar = recorder.with_scalar
in_place: InPlace = recorder.in_place
detach: Callable[[Tensor], Tensor] = recorder.detach
