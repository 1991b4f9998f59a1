"""torch.backends.mkl: Intel's MKL, which Flambeau does without."""

from __future__ import annotations


def is_available() -> bool:
    """Whether Intel's MKL computes here: no, Flambeau compiles its own kernels."""
    return False
