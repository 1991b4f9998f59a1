"""MNIST and the data sets in its format (idx files of 28x28 gray images and labels)."""

from __future__ import annotations

import os
import string
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from flambeau.vision._torch import Tensor, dtype_of_array, from_array, int64, uint8
from flambeau.vision.datasets.download import (
    download_and_extract_archive,
    download_from,
    extract_archive,
    find_file,
    not_found,
    open_packed,
    verify_str_arg,
)
from flambeau.vision.datasets.vision import ImagesInMemory
from flambeau.vision.pillow import image_from_array

_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_DIGITS = "zero one two three four five six seven eight nine".split()


def read_idx(path: Any) -> Any:
    """The array in an idx file, packed or not. ValueError where it is none, or cut off."""
    with open_packed(Path(path)) as file:
        data = file.read()
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES or not 1 <= data[3] <= 3:
        raise ValueError(f"{path} is no idx file of one to three dimensions")
    kind, rank = np.dtype(_IDX_TYPES[data[2]]), data[3]
    if len(data) < 4 * (rank + 1):
        raise ValueError(f"{path} ends within its header")
    shape = np.frombuffer(data, ">u4", rank, 4).tolist()
    size = int(np.prod(shape, dtype=object))
    if len(data) < 4 * (rank + 1) + size * kind.itemsize:
        raise ValueError(f"{path} ends within its data: it should hold {shape}")
    array = np.frombuffer(data, kind, size, 4 * (rank + 1))
    return array.reshape(shape).astype(kind.newbyteorder("="))


def _bytes(path: Any, rank: int) -> Any:
    array = read_idx(path)
    if array.dtype != np.uint8:
        raise TypeError(f"x should be of dtype torch.uint8 instead of {array.dtype}")
    if array.ndim != rank:
        raise ValueError(f"x should have {rank} dimension instead of {array.ndim}")
    return array


def read_sn3_pascalvincent_tensor(path: Any, strict: bool = True) -> Tensor:
    """The tensor in an idx file; `strict` is what is done always: its sizes must be met."""
    array = read_idx(path)
    return from_array(array, dtype_of_array(array.dtype))


def read_label_file(path: Any) -> Tensor:
    """The labels in an idx file (int64). TypeError or ValueError for another content."""
    return from_array(_bytes(path, 1).astype(np.int64), int64)


def read_image_file(path: Any) -> Tensor:
    """The images [N, H, W] in an idx file (uint8). TypeError or ValueError for another content."""
    return from_array(_bytes(path, 3), uint8)


class MNIST(ImagesInMemory):
    """Handwritten digits: 60,000 for training, 10,000 for testing.

    The files may lie, packed or not, in root/MNIST/raw (where `download` puts them), in root/MNIST,
    root/mnist, root/raw or root. RuntimeError says what was looked for.
    """

    mirrors: ClassVar[Any] = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources: ClassVar[Any] = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    training_file = "training.pt"
    test_file = "test.pt"
    classes: Any = [f"{number} - {name}" for number, name in enumerate(_DIGITS)]  # noqa: RUF012  (as torchvision has it)
    _mode = "L"
    data: Any
    targets: Any

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
        if self._has_processed():
            from flambeau.serialization import load

            name = self.training_file if train else self.test_file
            self.data, self.targets = load(os.path.join(self.processed_folder, name))
            return
        if download:
            self.download()
        files = [find_file(self._folders(), self._spellings(name)) for name in self._names()]
        if None in files:
            raise RuntimeError(not_found(self._folders(), self._names()))
        self.data, self.targets = self._read(*files)

    # ---- where the files are ---------------------------------------------------------------------

    @property
    def raw_folder(self) -> str:
        """Where the files are downloaded to."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self) -> str:
        """Where old versions of torchvision kept tensors."""
        return os.path.join(self.root, type(self).__name__, "processed")

    def _has_processed(self) -> bool:
        names = (self.training_file, self.test_file)
        return all(os.path.isfile(os.path.join(self.processed_folder, name)) for name in names)

    def _folders(self) -> list[Path]:
        root, name = Path(self.root), type(self).__name__
        lower = name.lower()
        cut = lower.replace("mnist", "_mnist").lstrip("_")
        names = dict.fromkeys([name, lower, cut, cut.replace("_", "-")])
        own = [root / each for each in names]
        return [
            Path(self.raw_folder),
            *own,
            *(each / "raw" for each in own[1:]),
            root / "raw",
            root,
        ]

    def _names(self) -> list[str]:
        """The files of this split, images first."""
        kind = "train" if self.train else "t10k"
        return [f"{kind}-images-idx3-ubyte", f"{kind}-labels-idx1-ubyte"]

    @staticmethod
    def _spellings(name: str) -> list[str]:
        dotted = name.replace("-idx", ".idx")
        return [each + end for each in (name, dotted) for end in ("", ".gz", ".xz")]

    def _check_exists(self) -> bool:
        folders = self._folders()
        return all(find_file(folders, self._spellings(name)) for name in self._names())

    def _read(self, images: Any, labels: Any) -> tuple[Any, Any]:
        return read_image_file(images), read_label_file(labels)

    def download(self) -> None:
        """Fetches what is not there."""
        if self._check_exists():
            return
        for filename, md5 in self.resources:
            download_from(self.mirrors, filename, self.raw_folder, md5)
            extract_archive(os.path.join(self.raw_folder, filename))

    # ---- the samples -----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.data)

    def _pixels(self) -> Any:
        return self.data._array()

    def _target(self, index: int) -> int:
        return int(
            self.targets[index] if isinstance(self.targets, list) else self.targets._array()[index]
        )

    def _targets(self, indices: list[int]) -> Any:
        if isinstance(self.targets, list):
            return [int(self.targets[i]) for i in indices]
        return self.targets._array()[indices]

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The classes' numbers."""
        return {name: number for number, name in enumerate(self.classes)}

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"

    def _renamed(self, old: str, new: str) -> Any:
        warnings.warn(f"{old} has been renamed {new}", stacklevel=3)
        return getattr(self, new)

    train_labels = property(lambda self: self._renamed("train_labels", "targets"))
    test_labels = property(lambda self: self._renamed("test_labels", "targets"))
    train_data = property(lambda self: self._renamed("train_data", "data"))
    test_data = property(lambda self: self._renamed("test_data", "data"))


class FashionMNIST(MNIST):
    """Articles of clothing in MNIST's format and sizes."""

    mirrors: ClassVar[Any] = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources: ClassVar[Any] = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = [  # noqa: RUF012  (as torchvision has it)
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ]  # fmt: skip


class KMNIST(MNIST):
    """Cursive Japanese characters in MNIST's format and sizes."""

    mirrors: ClassVar[Any] = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources: ClassVar[Any] = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = "o ki su tsu na ha ma ya re wo".split()


_MERGED = set("cijklmopsuvwxyz")  # lower-case letters that look like their capitals
_SIGNS = sorted(string.digits + string.ascii_letters)


class EMNIST(MNIST):
    """Letters and digits (`split`: byclass, bymerge, balanced, letters, digits, mnist)."""

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    classes_split_dict: ClassVar[Any] = {
        "byclass": _SIGNS,
        "bymerge": [sign for sign in _SIGNS if sign not in _MERGED],
        "balanced": [sign for sign in _SIGNS if sign not in _MERGED],
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: Any, split: str, **kwargs: Any) -> None:
        self.split = verify_str_arg(split, "split", self.splits)
        self.training_file = f"training_{split}.pt"
        self.test_file = f"test_{split}.pt"
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[split]

    def _names(self) -> list[str]:
        kind = f"emnist-{self.split}-{'train' if self.train else 'test'}"
        return [f"{kind}-images-idx3-ubyte", f"{kind}-labels-idx1-ubyte"]

    def _folders(self) -> list[Path]:
        return [*super()._folders(), Path(self.raw_folder) / "gzip", Path(self.root) / "gzip"]

    def download(self) -> None:
        """Fetches the archive of all splits, if this one is not there."""
        if not self._check_exists():
            download_and_extract_archive(self.url, self.raw_folder, md5=self.md5)


_QMNIST = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"


class QMNIST(MNIST):
    """MNIST with its lost test digits (`what`: train, test, test10k, test50k, nist).

    Without `compat` a target is the row of eight numbers about the digit's origin.
    """

    subsets: ClassVar[Any] = {
        "train": "train", "test": "test", "test10k": "test", "test50k": "test", "nist": "nist",
    }  # fmt: skip
    resources: ClassVar[Any] = {
        "train": [
            (f"{_QMNIST}qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
            (f"{_QMNIST}qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ],
        "test": [
            (f"{_QMNIST}qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
            (f"{_QMNIST}qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
        ],
        "nist": [
            (f"{_QMNIST}xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834"),
            (f"{_QMNIST}xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d"),
        ],
    }

    def __init__(
        self,
        root: Any,
        what: str | None = None,
        compat: bool = True,
        train: bool = True,
        **kwargs: Any,
    ) -> None:
        self.what = verify_str_arg(
            what or ("train" if train else "test"), "what", tuple(self.subsets)
        )
        self.compat = compat
        self.training_file = self.test_file = f"{self.what}.pt"
        super().__init__(root, train, **kwargs)

    def _names(self) -> list[str]:
        urls = [url for url, _ in self.resources[self.subsets[self.what]]]
        return [url.rpartition("/")[2].rpartition(".")[0] for url in urls]

    def _read(self, images: Any, labels: Any) -> tuple[Any, Any]:
        data, targets = _bytes(images, 3), read_idx(labels).astype(np.int64)
        if targets.ndim != 2:
            raise ValueError(f"targets should have 2 dimensions instead of {targets.ndim}")
        kept = {"test10k": slice(0, 10000), "test50k": slice(10000, None)}.get(
            self.what, slice(None)
        )
        return from_array(data[kept], uint8), from_array(targets[kept], int64)

    def download(self) -> None:
        """Fetches what is not there."""
        if self._check_exists():
            return
        for url, md5 in self.resources[self.subsets[self.what]]:
            download_and_extract_archive(url, self.raw_folder, md5=md5)

    def _target(self, index: int) -> int:
        return int(self.targets._array()[index, 0])

    def _targets(self, indices: list[int]) -> Any:
        return self.targets._array()[indices, 0]

    def _batch(self, indices: list[int]) -> Any:
        return super()._batch(indices) if self.compat else None

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if self.compat:
            return super().__getitem__(index)
        image = image_from_array(self._pixels()[index], self._mode)
        return self._sample(image, self.targets[index])

    _own_getitem = __getitem__

    def extra_repr(self) -> str:
        return f"Split: {self.what}"
