"""Padding."""

from __future__ import annotations

from typing import Any

from flambeau.nn._torch import F, Tensor
from flambeau.nn.modules.module import Module
from flambeau.nn.modules.sizes import expand

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """Padding of the last `_dims` dimensions by (left, right, top, bottom, ...)."""

    _dims: int
    _mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = expand(padding, 2 * self._dims)

    def forward(self, input: Tensor) -> Tensor:
        """Return the padded input."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """Return the amounts."""
        return f"{self.padding}"


class _ConstantPadNd(_Pad):
    _mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Return the padded input."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """Return the amounts and the value."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPadNd(_ConstantPadNd):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """Return the amounts."""
        return f"{self.padding}"


class _CircularPadNd(_Pad):
    _mode = "circular"


class _ReflectionPadNd(_Pad):
    _mode = "reflect"


class _ReplicationPadNd(_Pad):
    _mode = "replicate"


class ConstantPad1d(_ConstantPadNd):
    """Pad (N, C, L) with a constant."""

    _dims = 1


class ConstantPad2d(_ConstantPadNd):
    """Pad (N, C, H, W) with a constant."""

    _dims = 2


class ConstantPad3d(_ConstantPadNd):
    """Pad (N, C, D, H, W) with a constant."""

    _dims = 3


class CircularPad1d(_CircularPadNd):
    """Pad (N, C, L) by wrapping around."""

    _dims = 1


class CircularPad2d(_CircularPadNd):
    """Pad (N, C, H, W) by wrapping around."""

    _dims = 2


class CircularPad3d(_CircularPadNd):
    """Pad (N, C, D, H, W) by wrapping around."""

    _dims = 3


class ReflectionPad1d(_ReflectionPadNd):
    """Pad (N, C, L) with the mirror image."""

    _dims = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Pad (N, C, H, W) with the mirror image."""

    _dims = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Pad (N, C, D, H, W) with the mirror image."""

    _dims = 3


class ReplicationPad1d(_ReplicationPadNd):
    """Pad (N, C, L) with the border's values."""

    _dims = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Pad (N, C, H, W) with the border's values."""

    _dims = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Pad (N, C, D, H, W) with the border's values."""

    _dims = 3


class ZeroPad1d(_ZeroPadNd):
    """Pad (N, C, L) with zeros."""

    _dims = 1


class ZeroPad2d(_ZeroPadNd):
    """Pad (N, C, H, W) with zeros."""

    _dims = 2


class ZeroPad3d(_ZeroPadNd):
    """Pad (N, C, D, H, W) with zeros."""

    _dims = 3
