"""Images with objects in them: PASCAL VOC and COCO."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

from flambeau.vision.datasets.download import (
    download_and_extract_archive,
    not_found,
    verify_str_arg,
)
from flambeau.vision.datasets.vision import Transform, VisionDataset
from flambeau.vision.pillow import pillow

_VOC = "https://thor.robots.ox.ac.uk/pascal/VOC/"
# Year: archive, its checksum, and the folder in it.
_ARCHIVES = {
    "2007": (
        f"{_VOC}voc2007/VOCtrainval_06-Nov-2007.tar",
        "VOCtrainval_06-Nov-2007.tar",
        "c52e279531787c972589f7e41ab4ae64",
        "VOCdevkit/VOC2007",
    ),
    "2007-test": (
        f"{_VOC}voc2007/VOCtest_06-Nov-2007.tar",
        "VOCtest_06-Nov-2007.tar",
        "b6e924de25625d8de591ea690078ad9f",
        "VOCdevkit/VOC2007",
    ),
    "2008": (
        f"{_VOC}voc2008/VOCtrainval_14-Jul-2008.tar",
        "VOCtrainval_11-May-2012.tar",
        "2629fa636546599198acfcfbfcf1904a",
        "VOCdevkit/VOC2008",
    ),
    "2009": (
        f"{_VOC}voc2009/VOCtrainval_11-May-2009.tar",
        "VOCtrainval_11-May-2009.tar",
        "a3e00b113cfcfebf17e343f59da3caa1",
        "VOCdevkit/VOC2009",
    ),
    "2010": (
        f"{_VOC}voc2010/VOCtrainval_03-May-2010.tar",
        "VOCtrainval_03-May-2010.tar",
        "da459979d0c395079b5c75ee67908abb",
        "VOCdevkit/VOC2010",
    ),
    "2011": (
        f"{_VOC}voc2011/VOCtrainval_25-May-2011.tar",
        "VOCtrainval_25-May-2011.tar",
        "6c3384ef61512963050cb5d687e5bf1e",
        "TrainVal/VOCdevkit/VOC2011",
    ),
    "2012": (
        f"{_VOC}voc2012/VOCtrainval_11-May-2012.tar",
        "VOCtrainval_11-May-2012.tar",
        "6cd6e144f989b92b3379bac3b3de84fd",
        "VOCdevkit/VOC2012",
    ),
}
_YEARS = tuple(str(year) for year in range(2007, 2013))


def _rgb(path: Any) -> Any:
    with pillow().open(path) as file:
        return file.convert("RGB")


class _PascalVOC(VisionDataset):
    """What both kinds of targets share."""

    _lists: ClassVar[str]
    _targets_in: ClassVar[str]
    _ending: ClassVar[str]

    def __init__(
        self,
        root: Any,
        year: str = "2012",
        image_set: str = "train",
        download: bool = False,
        transform: Transform = None,
        target_transform: Transform = None,
        transforms: Transform = None,
    ) -> None:
        super().__init__(root, transforms, transform, target_transform)
        self.year = verify_str_arg(year, "year", _YEARS)
        sets = ["train", "trainval", "val", *(["test"] if year == "2007" else [])]
        self.image_set = verify_str_arg(image_set, "image_set", sets)
        key = "2007-test" if image_set == "test" else year
        self.url, self.filename, self.md5, folder = _ARCHIVES[key]
        base = Path(self.root) / folder
        if download:
            download_and_extract_archive(self.url, self.root, filename=self.filename, md5=self.md5)
        listed = base / "ImageSets" / self._lists / f"{image_set}.txt"
        if not listed.is_file():
            wanted = str(listed.relative_to(base))
            text = not_found([base], [wanted], "Dataset not found or corrupted.")
            raise RuntimeError(text)
        names = listed.read_text("utf-8").split()
        self.images = [str(base / "JPEGImages" / f"{name}.jpg") for name in names]
        self.targets = [str(base / self._targets_in / (name + self._ending)) for name in names]

    def __len__(self) -> int:
        return len(self.images)

    def _read(self, path: str) -> Any:
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = _rgb(self.images[index]), self._read(self.targets[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)


class VOCSegmentation(_PascalVOC):
    """PASCAL VOC images and their masks (`year`: 2007 to 2012; `image_set`: train, val, ...)."""

    _lists, _targets_in, _ending = "Segmentation", "SegmentationClass", ".png"

    @property
    def masks(self) -> list[str]:
        """The masks' files."""
        return self.targets

    def _read(self, path: str) -> Any:
        with pillow().open(path) as file:
            return file.copy()


class VOCDetection(_PascalVOC):
    """PASCAL VOC images and their annotations, as dictionaries."""

    _lists, _targets_in, _ending = "Main", "Annotations", ".xml"

    @property
    def annotations(self) -> list[str]:
        """The annotations' files."""
        return self.targets

    @staticmethod
    def parse_voc_xml(node: ElementTree.Element) -> dict[str, Any]:
        """An element as a dictionary; what occurs once is no list, but objects always are."""
        if not len(node):
            return {node.tag: node.text.strip()} if node.text else {}
        found: dict[str, list[Any]] = defaultdict(list)
        for child in node:
            for key, value in VOCDetection.parse_voc_xml(child).items():
                found[key].append(value)
        content = {key: each[0] if len(each) == 1 else each for key, each in found.items()}
        if node.tag == "annotation":
            content["object"] = found["object"]
        return {node.tag: content}

    def _read(self, path: str) -> Any:
        data = Path(path).read_bytes()
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise ValueError(f"{path} defines entities; annotations do not")
        return self.parse_voc_xml(ElementTree.fromstring(data))


class CocoDetection(VisionDataset):
    """Images below root and their objects, as the list in a COCO annotation file has them."""

    def __init__(
        self,
        root: Any,
        annFile: Any,
        transform: Transform = None,
        target_transform: Transform = None,
        transforms: Transform = None,
    ) -> None:
        super().__init__(root, transforms, transform, target_transform)
        whole = json.loads(Path(annFile).read_text("utf-8"))
        self._files = {image["id"]: image["file_name"] for image in whole["images"]}
        self._objects: dict[Any, list[Any]] = defaultdict(list)
        for each in whole.get("annotations", []):
            self._objects[each["image_id"]].append(each)
        self.ids = sorted(self._files)

    def _load_target(self, id: Any) -> list[Any]:
        return list(self._objects.get(id, []))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not isinstance(index, int):
            raise ValueError(f"Index must be of type integer, got {type(index)} instead.")
        id = self.ids[index]
        image = _rgb(Path(self.root) / self._files[id])
        target = self._load_target(id)
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def __len__(self) -> int:
        return len(self.ids)


class CocoCaptions(CocoDetection):
    """Images below root and their captions."""

    def _load_target(self, id: Any) -> list[Any]:
        return [each["caption"] for each in super()._load_target(id)]
