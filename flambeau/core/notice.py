"""Warnings that are given once in a process, whatever the warning filters say, as PyTorch does."""

from __future__ import annotations

import warnings

_given: set[str] = set()


def warn_once(message: str, stacklevel: int = 2) -> None:
    """A UserWarning the first time; `stacklevel` counts from the caller, as in warnings.warn."""
    if message not in _given:
        _given.add(message)
        warnings.warn(message, stacklevel=stacklevel + 1)
