"""torch.utils: `data`, `checkpoint` and `tensorboard` (loaded when first used)."""

from __future__ import annotations

import importlib
from typing import Any

_SUBMODULES = frozenset({"checkpoint", "data", "tensorboard"})


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"flambeau.utils.{name}")
    raise AttributeError(f"flambeau has no torch.utils.{name} yet")
