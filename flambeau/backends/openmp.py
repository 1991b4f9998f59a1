"""torch.backends.openmp: OpenMP, which Flambeau does without."""

from __future__ import annotations


def is_available() -> bool:
    """Whether OpenMP computes here: no, Flambeau compiles its own kernels."""
    return False
