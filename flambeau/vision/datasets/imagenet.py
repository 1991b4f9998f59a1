"""ImageNet (ILSVRC 2012), whose archives must be fetched by hand."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from flambeau.serialization.reading import load
from flambeau.serialization.writing import save
from flambeau.vision.datasets.download import check_integrity, extract_archive, verify_str_arg
from flambeau.vision.datasets.folder import ImageFolder

META = "meta.bin"
ARCHIVES = {
    "train": ("ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e"),
    "val": ("ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622"),
    "devkit": ("ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf"),
}
Names = dict[str, tuple[str, ...]]


def load_meta_file(root: Any, file: str | None = None) -> tuple[Names, list[str]]:
    """The classes' names by their WordNet numbers, and the numbers of the validation images."""
    path = Path(root) / (file or META)
    if not check_integrity(path):
        raise RuntimeError(
            f"The meta file {path} is not present in the root directory or is corrupted. This file "
            "is automatically created by the ImageNet dataset."
        )
    names, numbers = load(str(path), weights_only=True)
    return names, numbers


def _archive(root: Path, part: str) -> Path:
    name, md5 = ARCHIVES[part]
    if not check_integrity(root / name, md5):
        raise RuntimeError(
            f"The archive {name} is not present in the root directory or is corrupted. You need to "
            f"download it externally and place it in {root}."
        )
    return root / name


def parse_devkit_archive(root: Any) -> None:
    """Writes meta.bin from the development kit's archive; needs SciPy."""
    archive = _archive(Path(root), "devkit")
    loadmat = importlib.import_module("scipy.io").loadmat
    with tempfile.TemporaryDirectory() as folder:
        extract_archive(archive, folder)
        data = Path(folder) / "ILSVRC2012_devkit_t12" / "data"
        rows = [row for row in loadmat(str(data / "meta.mat"), squeeze_me=True)["synsets"]
                if row[4] == 0]  # fmt: skip
        numbers = (data / "ILSVRC2012_validation_ground_truth.txt").read_text("utf-8").split()
    wnids = {int(row[0]): str(row[1]) for row in rows}
    names = {str(row[1]): tuple(str(row[2]).split(", ")) for row in rows}
    save((names, [wnids[int(number)] for number in numbers]), str(Path(root) / META))


def parse_train_archive(root: Any, folder: str = "train") -> None:
    """Unpacks the training images, a folder a class."""
    place = Path(root) / folder
    extract_archive(_archive(Path(root), "train"), place)
    for inner in sorted(place.glob("*.tar")):
        extract_archive(inner, inner.with_suffix(""), remove_finished=True)


def parse_val_archive(root: Any, wnids: list[str] | None = None, folder: str = "val") -> None:
    """Unpacks the validation images, a folder a class."""
    numbers = load_meta_file(root)[1] if wnids is None else wnids
    place = Path(root) / folder
    extract_archive(_archive(Path(root), "val"), place)
    images = sorted(path for path in place.iterdir() if path.is_file())
    for number in set(numbers):
        (place / number).mkdir()
    for number, image in zip(numbers, images, strict=False):
        shutil.move(str(image), str(place / number / image.name))


class ImageNet(ImageFolder):
    """Images root/train or root/val (`split`), a folder a class, with the classes' names.

    Archives that lie in root are unpacked. RuntimeError says which is missing.
    """

    def __init__(self, root: Any, split: str = "train", **kwargs: Any) -> None:
        home = Path(root).expanduser()
        self.split = verify_str_arg(split, "split", ("train", "val"))
        self._home = home
        if not check_integrity(home / META):
            parse_devkit_archive(home)
        if not (home / split).is_dir():
            (parse_train_archive if split == "train" else parse_val_archive)(home)
        names = load_meta_file(home)[0]
        super().__init__(self.split_folder, **kwargs)
        self.root = str(home)
        self.wnids = self.classes
        self.wnid_to_idx = self.class_to_idx
        self.classes: list[Any] = [names[wnid] for wnid in self.wnids]
        self.class_to_idx = {name: i for i, each in enumerate(self.classes) for name in each}

    @property
    def split_folder(self) -> str:
        """The folder of the images."""
        return str(self._home / self.split)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"
