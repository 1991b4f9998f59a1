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


# What a write is refused for that reads some of its own memory, or writes an element twice.
SHARED = (
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to "
    "a single memory location. Please clone() the tensor before performing the operation."
)
WRITTEN_TWICE = (
    "unsupported operation: more than one element of the written-to tensor refers to a single "
    "memory location. Please clone() the tensor before performing the operation."
)


def not_a_tensor(name: str, argument: str, position: int, operand: object) -> Exception:
    """PyTorch's error for an operand that should be a tensor: what its parser says of the user's
    call, or in the words of the op.
    """
    from flambeau.core.calls import misgiven
    from flambeau.core.signatures import type_word

    return misgiven() or TypeError(
        f"{name}(): argument '{argument}' (position {position}) must be Tensor, not "
        f"{type_word(operand)}"
    )


class LinAlgError(RuntimeError):
    """A matrix that has no such factorisation: singular, not positive-definite, not finite."""


LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"
