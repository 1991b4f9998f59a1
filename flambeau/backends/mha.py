"""torch.backends.mha: the fast path of attention layers, a switch that is kept."""

from __future__ import annotations

_enabled = True


def get_fastpath_enabled() -> bool:
    """What set_fastpath_enabled was told; attention is always compiled as a whole."""
    return _enabled


def set_fastpath_enabled(value: bool) -> None:
    """Keeps the switch, which changes nothing."""
    global _enabled
    _enabled = value
