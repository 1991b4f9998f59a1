"""torchvision: transforms, data sets, image files, grids of images, and models."""

from __future__ import annotations

import importlib
from typing import Any

_PARTS = ("datasets", "io", "models", "ops", "transforms", "utils")
_BACKENDS = ("PIL", "accimage")

__version__ = "0.28.0"
_image_backend = "PIL"


def set_image_backend(backend: str) -> None:
    """Chooses what opens image files; only "PIL" is there. ValueError for unknown names."""
    if backend not in _BACKENDS:
        raise ValueError(f"Invalid backend '{backend}'. Options are 'PIL' and 'accimage'")
    if backend != "PIL":
        raise NotImplementedError("the image backend 'accimage' is not supported; 'PIL' is")


def get_image_backend() -> str:
    """What opens image files."""
    return _image_backend


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        whole = f"{__name__}.{name}"
        try:
            return importlib.import_module(whole)
        except ModuleNotFoundError as error:
            if error.name != whole:
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
