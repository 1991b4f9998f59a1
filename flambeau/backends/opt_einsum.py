"""torch.backends.opt_einsum: the order of contractions, a switch that is kept."""

from __future__ import annotations

enabled = True
strategy = "auto"


def is_available() -> bool:
    """Whether the package opt_einsum chooses the order: no."""
    return False
