"""torch.utils.hooks: what hooks give back."""

from __future__ import annotations

from flambeau.nn.modules.hooks import RemovableHandle

__all__ = ["RemovableHandle"]
