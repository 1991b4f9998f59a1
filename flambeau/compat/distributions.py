"""What importlib.metadata is told of torch, torchvision, torchmetrics: that they are installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from flambeau.compat import names


class Alias(Distribution):
    """A distribution without files: a name and a version."""

    def __init__(self, name: str, version: str) -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return Path(path)


def find(asked: str | None, left: frozenset[str]) -> Iterator[Distribution]:
    """The aliases that answer to the name (all for None), but for packages that are left."""
    for root, own in names.ROOTS.items():
        if root in left or (asked is not None and asked.lower() != root):
            continue
        try:
            version = getattr(importlib.import_module(own), "__version__", None)
        except ModuleNotFoundError:
            continue
        if version is not None:
            yield Alias(root, str(version))
