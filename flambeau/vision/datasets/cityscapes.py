"""Streets of cities, place by place (Cordts et al., arXiv:1604.01685); fetched by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from flambeau.vision.datasets.download import extract_archive, verify_str_arg
from flambeau.vision.datasets.scenes import _rgb
from flambeau.vision.datasets.vision import Transform, VisionDataset
from flambeau.vision.pillow import pillow

TARGETS = ("instance", "semantic", "polygon", "color")
ENDINGS = {
    "instance": "instanceIds.png",
    "semantic": "labelIds.png",
    "color": "color.png",
    "polygon": "polygons.json",
}


class CityscapesClass(NamedTuple):
    """A class: its number, that for training (255: none), its category and its colour."""

    name: str
    id: int
    train_id: int
    category: str
    category_id: int
    has_instances: bool
    ignore_in_eval: bool
    color: tuple[int, int, int]


# Category: the classes in it, as name, number for training, whether instances are told apart and
# whether evaluation leaves it out, and colour. Categories and classes are numbered in this order.
_PLAIN, _LEFT_OUT = (False, False), (False, True)
_CLASSES: dict[str, list[tuple[str, int, tuple[bool, bool], tuple[int, int, int]]]] = {
    "void": [
        ("unlabeled", 255, _LEFT_OUT, (0, 0, 0)),
        ("ego vehicle", 255, _LEFT_OUT, (0, 0, 0)),
        ("rectification border", 255, _LEFT_OUT, (0, 0, 0)),
        ("out of roi", 255, _LEFT_OUT, (0, 0, 0)),
        ("static", 255, _LEFT_OUT, (0, 0, 0)),
        ("dynamic", 255, _LEFT_OUT, (111, 74, 0)),
        ("ground", 255, _LEFT_OUT, (81, 0, 81)),
    ],
    "flat": [
        ("road", 0, _PLAIN, (128, 64, 128)),
        ("sidewalk", 1, _PLAIN, (244, 35, 232)),
        ("parking", 255, _LEFT_OUT, (250, 170, 160)),
        ("rail track", 255, _LEFT_OUT, (230, 150, 140)),
    ],
    "construction": [
        ("building", 2, _PLAIN, (70, 70, 70)),
        ("wall", 3, _PLAIN, (102, 102, 156)),
        ("fence", 4, _PLAIN, (190, 153, 153)),
        ("guard rail", 255, _LEFT_OUT, (180, 165, 180)),
        ("bridge", 255, _LEFT_OUT, (150, 100, 100)),
        ("tunnel", 255, _LEFT_OUT, (150, 120, 90)),
    ],
    "object": [
        ("pole", 5, _PLAIN, (153, 153, 153)),
        ("polegroup", 255, _LEFT_OUT, (153, 153, 153)),
        ("traffic light", 6, _PLAIN, (250, 170, 30)),
        ("traffic sign", 7, _PLAIN, (220, 220, 0)),
    ],
    "nature": [
        ("vegetation", 8, _PLAIN, (107, 142, 35)),
        ("terrain", 9, _PLAIN, (152, 251, 152)),
    ],
    "sky": [("sky", 10, _PLAIN, (70, 130, 180))],
    "human": [
        ("person", 11, (True, False), (220, 20, 60)),
        ("rider", 12, (True, False), (255, 0, 0)),
    ],
    "vehicle": [
        ("car", 13, (True, False), (0, 0, 142)),
        ("truck", 14, (True, False), (0, 0, 70)),
        ("bus", 15, (True, False), (0, 60, 100)),
        ("caravan", 255, (True, True), (0, 0, 90)),
        ("trailer", 255, (True, True), (0, 0, 110)),
        ("train", 16, (True, False), (0, 80, 100)),
        ("motorcycle", 17, (True, False), (0, 0, 230)),
        ("bicycle", 18, (True, False), (119, 11, 32)),
    ],
}


def _classes() -> list[CityscapesClass]:
    found: list[CityscapesClass] = []
    for number, (category, rows) in enumerate(_CLASSES.items()):
        for name, train, (apart, left_out), colour in rows:
            found.append(
                CityscapesClass(name, len(found), train, category, number, apart, left_out, colour)
            )
    plate = CityscapesClass("license plate", -1, -1, "vehicle", 7, False, True, (0, 0, 142))
    return [*found, plate]


class Cityscapes(VisionDataset):
    """Images root/leftImg8bit/<split>/<city> and what is in them.

    `mode` is fine (split: train, val, test) or coarse (train, train_extra, val); `target_type` is
    instance, semantic, color (images), polygon (a dictionary), or a list of these. Archives that
    lie in root are unpacked; RuntimeError where there are none.
    """

    CityscapesClass: ClassVar = CityscapesClass
    classes: ClassVar = _classes()

    def __init__(
        self,
        root: Any,
        split: str = "train",
        mode: str = "fine",
        target_type: str | list[str] = "instance",
        transform: Transform = None,
        target_transform: Transform = None,
        transforms: Transform = None,
    ) -> None:
        super().__init__(root, transforms, transform, target_transform)
        verify_str_arg(mode, "mode", ("fine", "coarse"))
        known = ("train", "test", "val") if mode == "fine" else ("train", "train_extra", "val")
        if split not in known:
            told = ", ".join(f"'{name}'" for name in known)
            raise ValueError(
                f"Unknown value '{split}' for argument split if mode is '{mode}'. "
                f"Valid values are {{{told}}}."
            )
        self.mode = "gtFine" if mode == "fine" else "gtCoarse"
        self.split = split
        self.target_type = target_type if isinstance(target_type, list) else [target_type]
        for kind in self.target_type:
            verify_str_arg(kind, "target_type", TARGETS)
        home = Path(self.root)
        self.images_dir = str(home / "leftImg8bit" / split)
        self.targets_dir = str(home / self.mode / split)
        self._unpack(home)
        self.images: list[str] = []
        self.targets: list[list[str]] = []
        for image in sorted(Path(self.images_dir).glob("*/*")):
            stem = image.name.split("_leftImg8bit")[0]
            folder = Path(self.targets_dir) / image.parent.name
            names = [f"{stem}_{self.mode}_{ENDINGS[kind]}" for kind in self.target_type]
            self.images.append(str(image))
            self.targets.append([str(folder / name) for name in names])

    def _unpack(self, home: Path) -> None:
        if Path(self.images_dir).is_dir() and Path(self.targets_dir).is_dir():
            return
        part = "trainextra" if self.split == "train_extra" else "trainvaltest"
        images = home / f"leftImg8bit_{part}.zip"
        targets = home / f"{self.mode}{'_trainvaltest' if self.mode == 'gtFine' else ''}.zip"
        if not (images.is_file() and targets.is_file()):
            raise RuntimeError(
                "Dataset not found or incomplete. Please make sure all required folders for the "
                'specified "split" and "mode" are inside the "root" directory\n'
                f"(looked for {self.images_dir} and {self.targets_dir}, or {images} and {targets})"
            )
        extract_archive(images, home)
        extract_archive(targets, home)

    def __len__(self) -> int:
        return len(self.images)

    def _target(self, path: str) -> Any:
        if path.endswith(".json"):
            return json.loads(Path(path).read_text("utf-8"))
        with pillow().open(path) as file:
            return file.copy()

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        found = [self._target(path) for path in self.targets[index]]
        image, target = _rgb(self.images[index]), tuple(found) if len(found) > 1 else found[0]
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def extra_repr(self) -> str:
        return f"Split: {self.split}\nMode: {self.mode}\nType: {self.target_type}"
