"""CIFAR-10 and CIFAR-100: 32x32 colour images in ten pickled batches."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from flambeau.vision.datasets.download import (
    check_integrity,
    download_and_extract_archive,
    not_found,
)
from flambeau.vision.datasets.vision import ImagesInMemory

# What a pickled array names; anything else in the file is refused.
_ALLOWED = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
}


class _Reader(pickle.Unpickler):
    """Builds arrays and plain containers; never runs other code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of images")
        return super().find_class(module, name)


def read_pickle(data: bytes) -> Any:
    """Arrays and containers from a pickle of Python 2 or 3. UnpicklingError for anything else."""
    return _Reader(io.BytesIO(data), encoding="latin1").load()


class CIFAR10(ImagesInMemory):
    """Ten classes of small colour images: 50,000 for training, 10,000 for testing.

    The files may lie in root/cifar-10-batches-py, in root, or in root/cifar-10-python.tar.gz.
    RuntimeError says what was looked for.
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list: ClassVar[Any] = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list: ClassVar[Any] = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta: ClassVar[Any] = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }
    _mode = "RGB"

    def __init__(
        self,
        root: Any,
        train: bool = True,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        read = self._source()
        wanted = [*(name for name, _ in self._files()), self.meta["filename"]]
        if read is None:
            places = [*self._folders(), Path(self.root) / self.filename]
            raise RuntimeError(not_found(places, wanted, "Dataset not found or corrupted."))
        pixels, self.targets = [], []
        for name, _ in self._files():
            entry = read_pickle(read(name))
            pixels.append(entry["data"])
            self.targets += entry["labels"] if "labels" in entry else entry["fine_labels"]
        self.data = np.vstack(pixels).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        self.classes = read_pickle(read(self.meta["filename"]))[self.meta["key"]]
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}

    def _files(self) -> Any:
        return self.train_list if self.train else self.test_list

    def _folders(self) -> list[Path]:
        return [Path(self.root) / self.base_folder, Path(self.root)]

    def _source(self) -> Callable[[str], bytes] | None:
        """What reads a file of the data set; None where they are not all there, unharmed."""
        wanted = [*self._files(), [self.meta["filename"], self.meta["md5"]]]
        for folder in self._folders():
            if all(check_integrity(folder / name, md5) for name, md5 in wanted):
                return lambda name, folder=folder: (folder / name).read_bytes()  # type: ignore[misc]
        archive = Path(self.root) / self.filename
        if check_integrity(archive, self.tgz_md5):
            with tarfile.open(archive) as tar:
                content = {}
                for name, _ in wanted:
                    member = tar.extractfile(f"{self.base_folder}/{name}")
                    assert member is not None
                    content[name] = member.read()
            return content.__getitem__
        return None

    def _check_integrity(self) -> bool:
        return self._source() is not None

    def download(self) -> None:
        """Fetches and unpacks the archive, if the files are not there."""
        if not self._check_integrity():
            download_and_extract_archive(
                self.url, self.root, filename=self.filename, md5=self.tgz_md5
            )

    def __len__(self) -> int:
        return len(self.data)

    def _pixels(self) -> Any:
        return self.data

    def _target(self, index: int) -> Any:
        return self.targets[index]

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """CIFAR-10's sizes with a hundred classes."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list: ClassVar[Any] = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list: ClassVar[Any] = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta: ClassVar[Any] = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }
