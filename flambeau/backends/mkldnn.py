"""torch.backends.mkldnn: oneDNN, which Flambeau does without."""

from __future__ import annotations


def is_available() -> bool:
    """Whether oneDNN computes here: no, Flambeau compiles its own kernels."""
    return False
