"""Exceptions of PyTorch's that are no Python ones, and notes to exceptions."""

from __future__ import annotations


class OutOfMemoryError(RuntimeError):
    """Raised when a device is out of memory."""


class AcceleratorError(RuntimeError):
    """Raised when an accelerator reports an error."""


class FoundNaN(RuntimeError):
    """Raised under `flambeau.debug(nan=True)` where a program gives NaN."""


for _kind in (OutOfMemoryError, AcceleratorError):
    _kind.__module__ = "torch"


def add_note(error: BaseException, text: str) -> None:
    """Says something below an exception's message; Python 3.10 keeps it and does not print it."""
    error.__dict__.setdefault("__notes__", []).append(text)


class LinAlgError(RuntimeError):
    """A matrix that has no such factorisation: singular, not positive-definite, not finite."""


LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"
