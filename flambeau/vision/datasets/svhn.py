"""SVHN: house numbers seen from the street, 32x32, in MATLAB files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from flambeau.vision.datasets.download import (
    check_integrity,
    download_url,
    not_found,
    verify_str_arg,
)
from flambeau.vision.datasets.vision import ImagesInMemory

# MATLAB's level 5 format: the element types that numbers are stored in, and what holds others.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8"}
_MATRIX, _COMPRESSED = 14, 15


def _elements(data: bytes, order: str) -> list[tuple[int, bytes]]:
    """The elements (type, content) one after the other; small ones share a word with their tag."""
    found, place = [], 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}2I", data, place)
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            place += 8
        else:
            start = place + 8
            place = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data):
            raise ValueError("the file ends within an element")
        found.append((kind, data[start : start + size]))
    return found


def read_matlab(data: bytes) -> dict[str, Any]:
    """The numeric arrays in a MATLAB file of level 5 (the format before 7.3), by name.

    Raises ValueError for other files.
    """
    marks = {b"IM": "<", b"MI": ">"}
    if len(data) < 128 or data[126:128] not in marks:
        raise ValueError("not a MATLAB file of level 5")
    order = marks[data[126:128]]
    arrays: dict[str, Any] = {}
    for kind, content in _elements(data[128:], order):
        if kind == _COMPRESSED:
            ((kind, content),) = _elements(zlib.decompress(content), order)
        if kind != _MATRIX:
            continue
        parts = _elements(content, order)
        if len(parts) < 4 or parts[3][0] not in _NUMBERS:
            continue
        shape = np.frombuffer(parts[1][1], f"{order}i4").tolist()
        values = np.frombuffer(parts[3][1], order + _NUMBERS[parts[3][0]])
        if values.size != int(np.prod(shape)):
            raise ValueError(f"a matrix of {shape} has {values.size} values")
        arrays[parts[2][1].decode("ascii", "replace")] = values.reshape(shape, order="F")
    return arrays


class SVHN(ImagesInMemory):
    """House numbers (`split`: train, test, extra); the targets are the digits.

    The file (train_32x32.mat, ...) lies in root. RuntimeError says what was looked for.
    """

    split_list: ClassVar[Any] = {
        "train": [
            "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
            "train_32x32.mat",
            "e26dedcc434d2e4c54c9b2d4a06d8373",
        ],
        "test": [
            "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
            "test_32x32.mat",
            "eb5a983be6a315427106f1b164d9cef3",
        ],
        "extra": [
            "http://ufldl.stanford.edu/housenumbers/extra_32x32.mat",
            "extra_32x32.mat",
            "a93ce644f1a588dc4d68dda5feec44a7",
        ],
    }
    _mode = "RGB"

    def __init__(
        self,
        root: Any,
        split: str = "train",
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", tuple(self.split_list))
        self.url, self.filename, self.file_md5 = self.split_list[split]
        if download:
            download_url(self.url, self.root, self.filename, self.file_md5)
        path = Path(self.root) / self.filename
        if not check_integrity(path, self.file_md5):
            text = "Dataset not found or corrupted."
            raise RuntimeError(not_found([self.root], [self.filename], text))
        arrays = read_matlab(path.read_bytes())
        self.labels = arrays["y"].astype(np.int64).squeeze()
        self.labels[self.labels == 10] = 0
        self.data = arrays["X"].transpose(3, 2, 0, 1)

    def _pixels(self) -> Any:
        return self.data.transpose(0, 2, 3, 1)

    def _target(self, index: int) -> int:
        return int(self.labels[index])

    def _targets(self, indices: list[int]) -> Any:
        return self.labels[indices]

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"
