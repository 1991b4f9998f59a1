"""Images of objects, faces and scenes of one label each: Caltech, cars, FER, CLEVR, LFW."""

from __future__ import annotations

import csv
import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from flambeau.vision.datasets.download import (
    check_integrity,
    download_and_extract_archive,
    extract_archive,
    not_found,
    verify_str_arg,
)
from flambeau.vision.datasets.folder import default_loader
from flambeau.vision.datasets.listed import ListedImages
from flambeau.vision.datasets.vision import Transform, VisionDataset
from flambeau.vision.pillow import image_from_array, pillow


def _matlab(path: Any) -> Any:
    """A MATLAB file of structures. RuntimeError without SciPy."""
    try:
        reader = importlib.import_module("scipy.io")
    except ImportError:
        raise RuntimeError(
            "Scipy is not found. This dataset needs to have scipy installed: pip install scipy"
        ) from None
    return reader.loadmat(str(path), squeeze_me=True)


def _opened(path: Any) -> Any:
    """An image file as it is."""
    with pillow().open(path) as file:
        file.load()
        return file.copy()


class _Caltech(VisionDataset):
    _folder: ClassVar[str]
    _categories: ClassVar[str]

    def __init__(
        self, root: Any, transform: Transform, target_transform: Transform, download: bool
    ) -> None:
        super().__init__(
            str(Path(root).expanduser() / self._folder),
            transform=transform,
            target_transform=target_transform,
        )
        self._images = Path(self.root) / self._categories
        if download and not self._images.exists():
            self.download()
        if not self._images.exists():
            text = not_found(
                [Path(self.root)], [self._categories], "Dataset not found or corrupted."
            )
            raise RuntimeError(text)
        self.categories = sorted(p.name for p in self._images.iterdir() if p.is_dir())
        self.index: list[int] = []
        self.y: list[int] = []

    def _number(self, endings: str) -> None:
        for label, name in enumerate(self.categories):
            count = sum(1 for _ in (self._images / name).glob(endings))
            self.index += range(1, count + 1)
            self.y += [label] * count

    def download(self) -> None:
        """Fetches and unpacks the archive."""
        raise NotImplementedError(f"{type(self).__name__}.download")

    def __len__(self) -> int:
        return len(self.index)


class Caltech101(_Caltech):
    """A hundred and one objects; `target_type` is category, annotation (an outline), or both.

    Annotations need SciPy.
    """

    _folder, _categories = "caltech101", "101_ObjectCategories"
    _OUTLINES: ClassVar = {
        "Faces": "Faces_2",
        "Faces_easy": "Faces_3",
        "Motorbikes": "Motorbikes_16",
        "airplanes": "Airplanes_Side_2",
    }

    def __init__(
        self,
        root: Any,
        target_type: str | list[str] = "category",
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
    ) -> None:
        kinds = [target_type] if isinstance(target_type, str) else target_type
        self.target_type = [
            verify_str_arg(kind, "target_type", ("category", "annotation")) for kind in kinds
        ]
        super().__init__(root, transform, target_transform, download)
        self.categories = [name for name in self.categories if name != "BACKGROUND_Google"]
        self.annotation_categories = [self._OUTLINES.get(n, n) for n in self.categories]
        self._number("*")

    def download(self) -> None:
        """Fetches and unpacks the archive, and the archives in it."""
        download_and_extract_archive(
            "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
            self.root,
            filename="caltech-101.zip",
            md5="3138e1922a9193bfa496528edbbc45d0",
        )
        inner = Path(self.root) / "caltech-101"
        for archive in inner.glob("*.gz"):
            extract_archive(archive, self.root)
        shutil.rmtree(inner)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        label, number = self.y[index], self.index[index]
        image = _opened(self._images / self.categories[label] / f"image_{number:04d}.jpg")
        found: list[Any] = []
        for kind in self.target_type:
            if kind == "category":
                found.append(label)
                continue
            folder = Path(self.root) / "Annotations" / self.annotation_categories[label]
            found.append(_matlab(folder / f"annotation_{number:04d}.mat")["obj_contour"])
        return self._sample(image, tuple(found) if len(found) > 1 else found[0])

    def extra_repr(self) -> str:
        return f"Target type: {self.target_type}"


class Caltech256(_Caltech):
    """Two hundred and fifty-six objects."""

    _folder, _categories = "caltech256", "256_ObjectCategories"

    def __init__(
        self,
        root: Any,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform, target_transform, download)
        self._number("*.jpg")

    def download(self) -> None:
        """Fetches and unpacks the archive."""
        download_and_extract_archive(
            "https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar",
            self.root,
            filename="256_ObjectCategories.tar",
            md5="67b4f42ca05d46448c6bb8ecd2220f6d",
        )

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        label = self.y[index]
        name = f"{label + 1:03d}_{self.index[index]:04d}.jpg"
        return self._sample(_opened(self._images / self.categories[label] / name), label)


class StanfordCars(ListedImages):
    """Cars (`split`: train, test). Needs SciPy; ValueError for download, there is no source."""

    _folder = "stanford_cars"

    def _files(self) -> tuple[Path, Path]:
        if self._split == "train":
            return self._base / "devkit" / "cars_train_annos.mat", self._base / "cars_train"
        return self._base / "cars_test_annos_withlabels.mat", self._base / "cars_test"

    def _needed(self) -> list[Path]:
        return [self._base / "devkit", *self._files()]

    def _listed(self) -> list[tuple[Any, Any]]:
        annotations, images = self._files()
        names = _matlab(self._base / "devkit" / "cars_meta.mat")["class_names"].tolist()
        self._number([str(name) for name in names])
        rows = np.atleast_1d(_matlab(annotations)["annotations"])
        return [(str(images / str(row["fname"])), int(row["class"]) - 1) for row in rows]

    def _download(self) -> None:
        raise ValueError(
            "The original URL is broken so the StanfordCars dataset cannot be downloaded anymore."
        )

    def extra_repr(self) -> str:
        return ""


class CLEVRClassification(ListedImages):
    """Scenes by how many objects they hold (`split`: train, val; test has no labels)."""

    _folder = "clevr/CLEVR_v1.0"
    _splits = ("train", "val", "test")
    _archives: ClassVar = [
        (
            "https://dl.fbaipublicfiles.com/clevr/CLEVR_v1.0.zip",
            "b11922020e72d0cd9154779b2d3d07d2",
            "clevr",
        )
    ]

    def _listed(self) -> list[tuple[Any, Any]]:
        images = sorted((self._base / "images" / self._split).glob("*"))
        if self._split == "test":
            return [(image, None) for image in images]
        file = self._base / "scenes" / f"CLEVR_{self._split}_scenes.json"
        scenes = json.loads(file.read_text("utf-8"))["scenes"]
        counts = {scene["image_filename"]: len(scene["objects"]) for scene in scenes}
        return [(image, counts[image.name]) for image in images]


class FER2013(VisionDataset):
    """Faces of 48x48 by expression (`split`: train, test); fetched by hand.

    The labels of test.csv are None. RuntimeError where no file is found, or another.
    """

    _RESOURCES: ClassVar = {
        "fer": ("fer2013.csv", "f8428a1edbd21e88f42c73edd2a14f95"),
        "icml": ("icml_face_data.csv", "b114b9e04e6949e5fe8b6a98b3892b1d"),
        "train": ("train.csv", "3f0dfb3d3fd99c811a1299cb947e3131"),
        "test": ("test.csv", "b02c2298636a634e8c2faabbf3ea9a23"),
    }

    def __init__(
        self,
        root: Any,
        split: str = "train",
        transform: Transform = None,
        target_transform: Transform = None,
    ) -> None:
        self._split = verify_str_arg(split, "split", ("train", "test"))
        super().__init__(root, transform=transform, target_transform=target_transform)
        folder = Path(self.root) / "fer2013"
        whole = [key for key in ("fer", "icml") if (folder / self._RESOURCES[key][0]).exists()]
        key = whole[0] if whole else self._split
        name, md5 = self._RESOURCES[key]
        if not check_integrity(folder / name, md5):
            raise RuntimeError(
                f"{name} not found in {folder} or corrupted. You can download it from "
                "https://www.kaggle.com/c/"
                "challenges-in-representation-learning-facial-expression-recognition-challenge"
            )
        self._samples = self._listed(folder / name, bool(whole))

    def _listed(self, path: Path, whole: bool) -> list[tuple[Any, int | None]]:
        uses = ("Training",) if self._split == "train" else ("PublicTest", "PrivateTest")
        found: list[tuple[Any, int | None]] = []
        with path.open(newline="") as file:
            for raw in csv.DictReader(file):
                row = {key.strip(): value for key, value in raw.items()}
                if whole and row["Usage"] not in uses:
                    continue
                pixels = np.array(row["pixels"].split(), np.uint8).reshape(48, 48)
                known = whole or self._split == "train"
                found.append((pixels, int(row["emotion"]) if known else None))
        return found

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        pixels, target = self._samples[index]
        return self._sample(image_from_array(pixels, None), target)

    def extra_repr(self) -> str:
        return f"split={self._split}"


# ---- labelled faces in the wild ------------------------------------------------------------------


class _LFW(VisionDataset):
    """Files below root/lfw-py; `image_set` is original, funneled or deepfunneled."""

    _folders: ClassVar = {
        "original": "lfw",
        "funneled": "lfw_funneled",
        "deepfunneled": "lfw-deepfunneled",
    }
    _lists: ClassVar = {"10fold": "", "train": "DevTrain", "test": "DevTest"}
    _view: ClassVar[str]

    def __init__(
        self,
        root: Any,
        split: str = "10fold",
        image_set: str = "funneled",
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
        loader: Callable[[str], Any] = default_loader,
    ) -> None:
        super().__init__(
            str(Path(root).expanduser() / "lfw-py"),
            transform=transform,
            target_transform=target_transform,
        )
        self.image_set = verify_str_arg(image_set.lower(), "image_set", self._folders)
        self.split = verify_str_arg(split.lower(), "split", self._lists)
        self.view = self._view
        self.labels_file = f"{self._view}{self._lists[self.split]}.txt"
        if download:
            raise ValueError(
                "LFW dataset is no longer available for automatic download. Please download the "
                "dataset manually and place it in the specified directory."
            )
        home = Path(self.root)
        self.images_dir = str(home / self._folders[self.image_set])
        names = [self.labels_file, *(["lfw-names.txt"] if self._view == "people" else [])]
        needed = [*(home / name for name in names), Path(self.images_dir)]
        if not all(path.exists() for path in needed):
            told = [str(path.relative_to(home)) for path in needed]
            raise RuntimeError(not_found([home], told, "Dataset not found or corrupted."))
        self._loader = loader
        self.data: list[Any] = []
        self.targets: list[int] = []

    def _lines(self) -> list[list[str]]:
        text = (Path(self.root) / self.labels_file).read_text("utf-8")
        return [line.strip().split("\t") for line in text.splitlines()]

    def _path(self, name: str, number: int | str) -> str:
        return str(Path(self.images_dir) / name / f"{name}_{int(number):04d}.jpg")

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Alignment: {self.image_set}\nSplit: {self.split}"


class LFWPeople(_LFW):
    """Faces by whose they are."""

    _view = "people"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = (Path(self.root) / "lfw-names.txt").read_text("utf-8").splitlines()
        self.class_to_idx = {line.split()[0]: i for i, line in enumerate(names)}
        lines = self._lines()
        folds, at = (int(lines[0][0]), 1) if self.split == "10fold" else (1, 0)
        for _ in range(folds):
            count = int(lines[at][0])
            for name, images in lines[at + 1 : at + 1 + count]:
                for number in range(1, int(images) + 1):
                    self.data.append(self._path(name, number))
                    self.targets.append(self.class_to_idx[name])
            at += count + 1

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._sample(self._loader(self.data[index]), self.targets[index])

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}\nClasses (identities): {len(self.class_to_idx)}"


class LFWPairs(_LFW):
    """Pairs of faces: 1 where they are of one person, else 0."""

    _view = "pairs"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pair_names: list[tuple[str, str]] = []
        lines = self._lines()
        folds, pairs = (int(lines[0][0]), int(lines[0][-1]))
        at = 1
        for _ in range(folds if self.split == "10fold" else 1):
            for place, (first, number, *rest) in enumerate(lines[at : at + 2 * pairs]):
                same = place < pairs
                second, other = (first, rest[0]) if same else (rest[0], rest[1])
                self.pair_names.append((first, second))
                self.data.append((self._path(first, number), self._path(second, other)))
                self.targets.append(int(same))
            at += 2 * pairs

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        first, second = (self._loader(path) for path in self.data[index])
        target: Any = self.targets[index]
        if self.transform is not None:
            first, second = self.transform(first), self.transform(second)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return first, second, target
