"""torch.backends.mps: Apple's GPUs, which Flambeau does not compute on."""

from __future__ import annotations


def is_available() -> bool:
    """Whether tensors can live on Apple's GPU: never."""
    return False


def is_built() -> bool:
    """Whether this build knows Apple's GPUs: no."""
    return False
