"""Warnings that are given once in a process, whatever the warning filters say, as PyTorch does."""

from __future__ import annotations

import os
import sys
import warnings

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_given: set[str] = set()


def warn_once(message: str) -> None:
    """A UserWarning the first time, at the line outside this package."""
    if message in _given:
        return
    _given.add(message)
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
