"""Data sets of image files and labels, with a folder of their own below root."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from flambeau.vision.datasets.download import (
    download_and_extract_archive,
    download_url,
    not_found,
    verify_str_arg,
)
from flambeau.vision.datasets.folder import default_loader, find_classes, make_dataset
from flambeau.vision.datasets.svhn import read_matlab
from flambeau.vision.datasets.vision import VisionDataset

Transform = Callable[..., Any] | None


class ListedImages(VisionDataset):
    """Images in files. A subclass names its folder and archives, and lists its samples.

    RuntimeError says what was looked for.
    """

    _folder: ClassVar[str]  # below root
    _splits: ClassVar[tuple[str, ...]] = ("train", "test")
    # (URL, MD5 sum, folder below root to unpack it in); what is no archive lies there as it is.
    _archives: ClassVar[list[tuple[str, str | None, str]]] = []
    classes: list[Any]

    def __init__(
        self,
        root: Any,
        split: str = "train",
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
        loader: Callable[[Any], Any] = default_loader,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self._split = verify_str_arg(split, "split", self._splits)
        self._base = Path(self.root).expanduser() / self._folder
        self.loader = loader
        if download and not self._check_exists():
            self._download()
        if not self._check_exists():
            names = [str(path.relative_to(self._base)) for path in self._needed()]
            raise RuntimeError(not_found([self._base], names))
        self._samples = self._listed()

    def _needed(self) -> list[Path]:
        """The files and folders without which the data set is not there."""
        return [self._base]

    def _listed(self) -> list[tuple[Any, Any]]:
        """The samples (file, label)."""
        raise NotImplementedError

    def _number(self, classes: list[Any]) -> dict[Any, int]:
        self.classes = classes
        self.class_to_idx = {name: number for number, name in enumerate(classes)}
        return self.class_to_idx

    def _check_exists(self) -> bool:
        return all(path.exists() for path in self._needed())

    def _download(self) -> None:
        for url, md5, folder in self._archives:
            place = Path(self.root) / folder
            if url.endswith((".mat", ".csv", ".txt")):
                download_url(url, place, md5=md5)
            else:
                download_and_extract_archive(url, place, md5=md5)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self._samples[index]
        return self._sample(self.loader(path), target)

    def extra_repr(self) -> str:
        return f"split={self._split}"


class Food101(ListedImages):
    """A hundred and one dishes (`split`: train, test)."""

    _folder = "food-101"
    _archives: ClassVar = [
        (
            "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
            "85eeb15f3717b99a5da872d97d918f87",
            "",
        )
    ]

    def _needed(self) -> list[Path]:
        return [self._base / "meta", self._base / "images"]

    def _listed(self) -> list[tuple[Any, Any]]:
        listed = json.loads((self._base / "meta" / f"{self._split}.json").read_text("utf-8"))
        number = self._number(sorted(listed))
        images = self._base / "images"
        return [
            (images / f"{place}.jpg", number[name])
            for name, places in listed.items()
            for place in places
        ]


class DTD(ListedImages):
    """Textures (`split`: train, val, test; `partition`: 1 to 10)."""

    _folder = "dtd/dtd"
    _splits = ("train", "val", "test")
    _archives: ClassVar = [
        (
            "https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",
            "fff73e5086ae6bdbea199a49dfb8a4c1",
            "dtd",
        )
    ]

    def __init__(
        self,
        root: Any,
        split: str = "train",
        partition: int = 1,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
        loader: Callable[[Any], Any] = default_loader,
    ) -> None:
        if not isinstance(partition, int) or not 1 <= partition <= 10:
            raise ValueError(
                "Parameter 'partition' should be an integer with `1 <= partition <= 10`, but got "
                f"{partition} instead"
            )
        self._partition = partition
        super().__init__(root, split, transform, target_transform, download, loader)

    def _listed(self) -> list[tuple[Any, Any]]:
        text = (self._base / "labels" / f"{self._split}{self._partition}.txt").read_text("utf-8")
        places = text.split()
        number = self._number(sorted({place.partition("/")[0] for place in places}))
        images = self._base / "images"
        return [(images / place, number[place.partition("/")[0]]) for place in places]

    def extra_repr(self) -> str:
        return f"split={self._split}, partition={self._partition}"


class FGVCAircraft(ListedImages):
    """Aircraft (`split`: train, val, trainval, test) by variant, family or manufacturer."""

    _folder = "fgvc-aircraft-2013b"
    _splits = ("train", "val", "trainval", "test")
    _archives: ClassVar = [
        (
            "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/"
            "fgvc-aircraft-2013b.tar.gz",
            None,
            "",
        )
    ]
    _lists: ClassVar = {
        "variant": "variants", "family": "families", "manufacturer": "manufacturers",
    }  # fmt: skip

    def __init__(
        self,
        root: Any,
        split: str = "trainval",
        annotation_level: str = "variant",
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
        loader: Callable[[Any], Any] = default_loader,
    ) -> None:
        self._level = verify_str_arg(annotation_level, "annotation_level", tuple(self._lists))
        super().__init__(root, split, transform, target_transform, download, loader)

    def _listed(self) -> list[tuple[Any, Any]]:
        folder = self._base / "data"
        names = (folder / f"{self._lists[self._level]}.txt").read_text("utf-8").splitlines()
        number = self._number([name.strip() for name in names])
        lines = (folder / f"images_{self._level}_{self._split}.txt").read_text("utf-8")
        pairs = [line.strip().split(" ", 1) for line in lines.splitlines()]
        return [(folder / "images" / f"{image}.jpg", number[name]) for image, name in pairs]


_PETS = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"


class OxfordIIITPet(ListedImages):
    """Cats and dogs (`split`: trainval, test); targets: category, binary-category, segmentation."""

    _folder = "oxford-iiit-pet"
    _splits = ("trainval", "test")
    _archives: ClassVar = [
        (f"{_PETS}images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c", "oxford-iiit-pet"),
        (f"{_PETS}annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f", "oxford-iiit-pet"),
    ]
    _kinds = ("category", "binary-category", "segmentation")

    def __init__(
        self,
        root: Any,
        split: str = "trainval",
        target_types: Any = "category",
        transforms: Transform = None,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
        loader: Callable[[Any], Any] = default_loader,
    ) -> None:
        types = [target_types] if isinstance(target_types, str) else list(target_types)
        self._types = [verify_str_arg(kind, "target_types", self._kinds) for kind in types]
        super().__init__(root, split, transform, target_transform, download, loader)
        if transforms is not None:
            VisionDataset.__init__(self, self.root, transforms, transform, target_transform)

    def _needed(self) -> list[Path]:
        return [self._base / "images", self._base / "annotations"]

    def _listed(self) -> list[tuple[Any, Any]]:
        text = (self._base / "annotations" / f"{self._split}.txt").read_text("utf-8")
        rows = [line.split() for line in text.splitlines()]
        names = {int(label): image.rpartition("_")[0] for image, label, *_ in rows}
        self._number([names[n].replace("_", " ").title() for n in sorted(names)])
        self.bin_classes = ["Cat", "Dog"]
        self.bin_class_to_idx = {"Cat": 0, "Dog": 1}
        return [(row[0], (int(row[1]) - 1, int(row[2]) - 1)) for row in rows]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        name, numbers = self._samples[index]
        found: list[Any] = []
        for kind in self._types:
            if kind == "segmentation":
                from flambeau.vision.pillow import pillow

                path = self._base / "annotations" / "trimaps" / f"{name}.png"
                with pillow().open(path) as file:
                    found.append(file.copy())
            else:
                found.append(numbers[self._kinds.index(kind)])
        target: Any = tuple(found) if len(found) > 1 else (found[0] if found else None)
        image = self.loader(self._base / "images" / f"{name}.jpg")
        return (image, target) if self.transforms is None else self.transforms(image, target)


_FLOWERS = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"


class Flowers102(ListedImages):
    """A hundred and two kinds of flowers (`split`: train, val, test)."""

    _folder = "flowers-102"
    _splits = ("train", "val", "test")
    _archives: ClassVar = [
        (f"{_FLOWERS}102flowers.tgz", "52808999861908f626f3c1f4e79d11fa", "flowers-102"),
        (f"{_FLOWERS}imagelabels.mat", "e0620be6f572b9609742df49c70aed4d", "flowers-102"),
        (f"{_FLOWERS}setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c", "flowers-102"),
    ]

    def _needed(self) -> list[Path]:
        return [self._base / name for name in ("jpg", "imagelabels.mat", "setid.mat")]

    def _listed(self) -> list[tuple[Any, Any]]:
        key = {"train": "trnid", "val": "valid", "test": "tstid"}[self._split]
        wanted = read_matlab((self._base / "setid.mat").read_bytes())[key].ravel().tolist()
        labels = read_matlab((self._base / "imagelabels.mat").read_bytes())["labels"].ravel()
        images = self._base / "jpg"
        return [(images / f"image_{n:05d}.jpg", int(labels[n - 1]) - 1) for n in map(int, wanted)]


_SIGNS = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"


class GTSRB(ListedImages):
    """German traffic signs (`split`: train, test)."""

    _folder = "gtsrb"
    _parts: ClassVar = {
        "train": [("GTSRB-Training_fixed.zip", "513f3c79a4c5141765e10e952eaa2478")],
        "test": [
            ("GTSRB_Final_Test_Images.zip", "c7e4e6327067d32654124b0fe9e82185"),
            ("GTSRB_Final_Test_GT.zip", "fe31e9c9270bbcd7b84b7f21a9d9d9e5"),
        ],
    }

    def _images(self) -> Path:
        part = "Training" if self._split == "train" else "Final_Test/Images"
        return self._base / "GTSRB" / part

    def _needed(self) -> list[Path]:
        test = [] if self._split == "train" else [self._base / "GT-final_test.csv"]
        return [self._images(), *test]

    def _download(self) -> None:
        for name, md5 in self._parts[self._split]:
            download_and_extract_archive(_SIGNS + name, self._base, md5=md5)

    def _listed(self) -> list[tuple[Any, Any]]:
        if self._split == "train":
            return list(make_dataset(self._images(), extensions=(".ppm",)))
        with (self._base / "GT-final_test.csv").open(newline="") as file:
            rows = csv.DictReader(file, delimiter=";", skipinitialspace=True)
            return [(self._images() / row["Filename"], int(row["ClassId"])) for row in rows]


class SUN397(ListedImages):
    """Scenes of 397 kinds."""

    _folder = "SUN397"
    _archives: ClassVar = [
        (
            "http://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
            "8ca2778205c41d23104230ba66911c7a",
            "",
        )
    ]

    def __init__(
        self,
        root: Any,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
        loader: Callable[[Any], Any] = default_loader,
    ) -> None:
        super().__init__(root, "train", transform, target_transform, download, loader)

    def _listed(self) -> list[tuple[Any, Any]]:
        lines = (self._base / "ClassName.txt").read_text("utf-8").splitlines()
        number = self._number([line[3:].strip() for line in lines])
        return [
            (path, number["/".join(path.relative_to(self._base).parts[1:-1])])
            for path in self._base.rglob("sun_*.jpg")
        ]

    def extra_repr(self) -> str:
        return ""


class RenderedSST2(ListedImages):
    """Sentences as images (`split`: train, val, test): negative or positive."""

    _folder = "rendered-sst2"
    _splits = ("train", "val", "test")
    _archives: ClassVar = [
        (
            "https://openaipublic.azureedge.net/clip/data/rendered-sst2.tgz",
            "2384d08e9dcfa4bd55b324e610496ee5",
            "",
        )
    ]

    def _needed(self) -> list[Path]:
        part = self._base / ("valid" if self._split == "val" else self._split)
        return [part / "negative", part / "positive"]

    def _listed(self) -> list[tuple[Any, Any]]:
        self._number(["negative", "positive"])
        return list(make_dataset(self._needed()[0].parent, extensions=("png",)))


class Country211(ListedImages):
    """Photographs by country (`split`: train, valid, test)."""

    _folder = "country211"
    _splits = ("train", "valid", "test")
    _archives: ClassVar = [
        (
            "https://openaipublic.azureedge.net/clip/data/country211.tgz",
            "84988d7644798601126c29e9877aab6a",
            "",
        )
    ]

    def _listed(self) -> list[tuple[Any, Any]]:
        self.classes, self.class_to_idx = find_classes(self._base / self._split)
        self.samples = make_dataset(
            self._base / self._split, self.class_to_idx, (".jpg", ".jpeg", ".png")
        )
        self.imgs, self.targets = self.samples, [target for _, target in self.samples]
        return list(self.samples)


class EuroSAT(ListedImages):
    """Land use seen by satellite, in ten classes."""

    _folder = "eurosat/2750"
    _archives: ClassVar = [
        (
            "https://huggingface.co/datasets/torchgeo/eurosat/resolve/"
            "c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
            "c8fa014336c82ac7804f0398fcb19387",
            "eurosat",
        )
    ]

    def __init__(
        self,
        root: Any,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
        loader: Callable[[Any], Any] = default_loader,
    ) -> None:
        super().__init__(root, "train", transform, target_transform, download, loader)

    def _listed(self) -> list[tuple[Any, Any]]:
        self.classes, self.class_to_idx = find_classes(self._base)
        self.samples = make_dataset(self._base, self.class_to_idx, (".jpg", ".jpeg", ".png"))
        self.imgs, self.targets = self.samples, [target for _, target in self.samples]
        return list(self.samples)

    def extra_repr(self) -> str:
        return ""
