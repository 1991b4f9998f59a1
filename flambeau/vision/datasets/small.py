"""Small data sets that are read into memory whole: USPS, SEMEION, STL10."""

from __future__ import annotations

import bz2
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from flambeau.vision.datasets.download import (
    check_integrity,
    download_and_extract_archive,
    download_url,
    not_found,
    verify_str_arg,
)
from flambeau.vision.datasets.vision import ImagesInMemory, Transform


class USPS(ImagesInMemory):
    """Handwritten digits from envelopes, 16x16; the file (usps.bz2, usps.t.bz2) lies in root."""

    split_list: ClassVar[Any] = {
        "train": [
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.bz2",
            "usps.bz2",
            "ec16c51db3855ca6c91edd34d0e9b197",
        ],
        "test": [
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.t.bz2",
            "usps.t.bz2",
            "8ea070ee2aca1ac39742fdd1ef5ed118",
        ],
    }
    _mode = "L"

    def __init__(
        self,
        root: Any,
        train: bool = True,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        url, name, md5 = self.split_list["train" if train else "test"]
        path = Path(self.root) / name
        if download:
            download_url(url, self.root, name, md5)
        if not path.is_file():
            raise RuntimeError(not_found([self.root], [name]))
        rows = [line.split() for line in bz2.decompress(path.read_bytes()).decode().splitlines()]
        values = [[pair.rpartition(":")[2] for pair in row[1:]] for row in rows]
        levels = np.array(values, np.float32).reshape(-1, 16, 16)
        self.data = ((levels + 1) / 2 * 255).astype(np.uint8)
        self.targets = [int(row[0]) - 1 for row in rows]

    def _pixels(self) -> Any:
        return self.data

    def _target(self, index: int) -> int:
        return int(self.targets[index])

    def __len__(self) -> int:
        return len(self.data)


class SEMEION(ImagesInMemory):
    """Handwritten digits, 16x16, black and white; semeion.data lies in root."""

    url = "http://archive.ics.uci.edu/ml/machine-learning-databases/semeion/semeion.data"
    filename = "semeion.data"
    md5_checksum: str | None = "cb545d371d2ce14ec121470795a77432"
    _mode = "L"

    def __init__(
        self,
        root: Any,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = True,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        if download:
            download_url(self.url, self.root, self.filename, self.md5_checksum)
        path = Path(self.root) / self.filename
        if not check_integrity(path, self.md5_checksum):
            text = "Dataset not found or corrupted."
            raise RuntimeError(not_found([self.root], [self.filename], text))
        table = np.loadtxt(path, ndmin=2)
        self.data = (table[:, :256] * 255).astype(np.uint8).reshape(-1, 16, 16)
        self.labels = np.nonzero(table[:, 256:])[1]

    def _pixels(self) -> Any:
        return self.data

    def _target(self, index: int) -> int:
        return int(self.labels[index])

    def __len__(self) -> int:
        return len(self.data)


class STL10(ImagesInMemory):
    """Ten classes, 96x96 (`split`: train, test, unlabeled, train+unlabeled; unlabeled is -1)."""

    base_folder = "stl10_binary"
    url = "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
    filename = "stl10_binary.tar.gz"
    tgz_md5 = "91f7769df0f17e558f3565bffb0c7dfb"
    class_names_file = "class_names.txt"
    folds_list_file = "fold_indices.txt"
    train_list: ClassVar[Any] = [
        ["train_X.bin", "918c2871b30a85fa023e0c44e0bee87f"],
        ["train_y.bin", "5a34089d4802c674881badbb80307741"],
        ["unlabeled_X.bin", "5242ba1fed5e4be9e1e742405eb56ca4"],
    ]
    test_list: ClassVar[Any] = [
        ["test_X.bin", "7f263ba9f9e0b06b93213547f721ac82"],
        ["test_y.bin", "36f9794fa4beb8a2c72628de14fa638e"],
    ]
    splits = ("train", "train+unlabeled", "unlabeled", "test")
    _mode = "RGB"

    def __init__(
        self,
        root: Any,
        split: str = "train",
        folds: int | None = None,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self.splits)
        if folds is not None and not (isinstance(folds, int) and 0 <= folds < 10):
            raise ValueError(
                f"Value for argument folds should be in the range [0, 10), but got {folds}."
            )
        self.folds = folds
        folder = Path(self.root) / self.base_folder
        if download and not self._check_integrity():
            download_and_extract_archive(self.url, self.root, md5=self.tgz_md5)
        if not self._check_integrity():
            names = [name for name, _ in [*self.train_list, *self.test_list]]
            raise RuntimeError(not_found([folder], names, "Dataset not found or corrupted."))
        parts = [self._part(folder, part) for part in split.split("+")]
        self.data = np.concatenate([images for images, _ in parts])
        self.labels = np.concatenate([labels for _, labels in parts])
        names_file = folder / self.class_names_file
        if names_file.is_file():
            self.classes = names_file.read_text("utf-8").splitlines()

    def _part(self, folder: Path, part: str) -> tuple[Any, Any]:
        images = np.fromfile(folder / f"{part}_X.bin", np.uint8).reshape(-1, 3, 96, 96)
        images = images.transpose(0, 1, 3, 2)
        if part == "unlabeled":
            return images, np.full(len(images), -1)
        labels = np.fromfile(folder / f"{part}_y.bin", np.uint8).astype(np.int64) - 1
        if part == "train" and self.folds is not None:
            lines = (folder / self.folds_list_file).read_text("utf-8").splitlines()
            chosen = np.array(lines[self.folds].split(), np.int64)
            return images[chosen], labels[chosen]
        return images, labels

    def _check_integrity(self) -> bool:
        folder = Path(self.root) / self.base_folder
        files = [*self.train_list, *self.test_list]
        return all(check_integrity(folder / name, md5) for name, md5 in files)

    def _pixels(self) -> Any:
        return self.data.transpose(0, 2, 3, 1)

    def _target(self, index: int) -> int:
        return int(self.labels[index])

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"
