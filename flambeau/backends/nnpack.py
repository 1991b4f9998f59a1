"""torch.backends.nnpack: NNPACK, which Flambeau does without."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["flags", "is_available", "set_flags"]


def is_available() -> bool:
    """Whether NNPACK computes here: no, Flambeau compiles its own kernels."""
    return False


def set_flags(_enabled: bool) -> tuple[bool]:
    """Accepted: there is no NNPACK to turn on or off."""
    return (False,)


@contextlib.contextmanager
def flags(enabled: bool = False) -> Iterator[None]:
    """Accepted: there is no NNPACK to turn on or off."""
    yield
