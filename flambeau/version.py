"""torch.version: the PyTorch release whose meaning is followed, and what it was built with."""

from __future__ import annotations

__version__ = "2.13.0+flambeau"
debug = False
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
git_version = "Unknown"
