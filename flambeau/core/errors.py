"""Exceptions of PyTorch's that are no Python ones."""

from __future__ import annotations


class OutOfMemoryError(RuntimeError):
    """Raised when a device is out of memory."""


class AcceleratorError(RuntimeError):
    """Raised when an accelerator reports an error."""


for _kind in (OutOfMemoryError, AcceleratorError):
    _kind.__module__ = "torch"
