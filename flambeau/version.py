"""torch.version: the PyTorch release whose meaning is followed, and what it was built with."""

from __future__ import annotations

FLAMBEAU_VERSION = "0.1.0"
__version__ = f"2.13.0+flambeau{FLAMBEAU_VERSION}"
debug = False
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
git_version = "Unknown"
