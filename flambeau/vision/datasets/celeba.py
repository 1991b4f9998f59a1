"""CelebA: faces of celebrities, with attributes, identities, boxes and landmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from flambeau.vision._torch import from_array, int64
from flambeau.vision.datasets.download import extract_archive, not_found, verify_str_arg
from flambeau.vision.datasets.vision import Transform, VisionDataset
from flambeau.vision.pillow import pillow

_SPLITS: dict[str, int | None] = {"train": 0, "valid": 1, "test": 2, "all": None}
_KINDS = ("attr", "identity", "bbox", "landmarks")


class CelebA(VisionDataset):
    """Faces (`split`: train, valid, test, all); targets: attr, identity, bbox, landmarks.

    The files lie in root/celeba, the images in img_align_celeba there, or in img_align_celeba.zip.
    RuntimeError says what was looked for.
    """

    base_folder = "celeba"
    _tables: ClassVar = {
        "partition": "list_eval_partition.txt",
        "identity": "identity_CelebA.txt",
        "bbox": "list_bbox_celeba.txt",
        "landmarks": "list_landmarks_align_celeba.txt",
        "attr": "list_attr_celeba.txt",
    }

    def __init__(
        self,
        root: Any,
        split: str = "train",
        target_type: Any = "attr",
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = split
        self.target_type = target_type if isinstance(target_type, list) else [target_type]
        if not self.target_type and target_transform is not None:
            raise RuntimeError("target_transform is specified but target_type is empty")
        for kind in self.target_type:
            if kind not in _KINDS:
                raise ValueError(f'Target type "{kind}" is not recognized.')
        self._base = Path(self.root) / self.base_folder
        if not self._found():
            if download:
                raise NotImplementedError(
                    "CelebA lies on a drive that gives files to browsers only: fetch them from "
                    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and put them into "
                    f"{self._base}"
                )
            names = ["img_align_celeba", *self._tables.values()]
            text = not_found([self._base], names, "Dataset not found or corrupted.")
            raise RuntimeError(text)
        number = _SPLITS[verify_str_arg(split.lower(), "split", tuple(_SPLITS))]
        names, _, partition = self._table("partition", False)
        chosen = np.arange(len(names))
        if number is not None:
            chosen = np.flatnonzero(partition[:, 0] == number)
        self.filename = [names[place] for place in chosen.tolist()]
        values = {kind: self._table(kind, kind != "identity") for kind in _KINDS}
        rows = {kind: found[2][chosen] for kind, found in values.items()}
        self.identity = from_array(rows["identity"], int64)
        self.bbox = from_array(rows["bbox"], int64)
        self.landmarks_align = from_array(rows["landmarks"], int64)
        self.attr = from_array((rows["attr"] + 1) // 2, int64)  # from -1 and 1
        self.attr_names = values["attr"][1]

    def _found(self) -> bool:
        archive = self._base / "img_align_celeba.zip"
        images = self._base / "img_align_celeba"
        if not images.is_dir() and archive.is_file():
            extract_archive(archive, self._base)
        tables = (self._base / name for name in self._tables.values())
        return images.is_dir() and all(table.is_file() for table in tables)

    def _table(self, kind: str, titled: bool) -> tuple[list[str], list[str], Any]:
        """The first column, the titles, and the numbers of a table."""
        lines = (self._base / self._tables[kind]).read_text("utf-8").splitlines()
        titles = lines[1].split() if titled else []
        rows = [line.split() for line in lines[2 if titled else 0 :]]
        numbers = np.array([row[1:] for row in rows]).astype(np.int64)
        return [row[0] for row in rows], titles, numbers

    def __len__(self) -> int:
        return len(self.filename)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        with pillow().open(self._base / "img_align_celeba" / self.filename[index]) as file:
            image = file.copy()
        found: list[Any] = []
        for kind in self.target_type:
            values = getattr(self, "landmarks_align" if kind == "landmarks" else kind)
            row = from_array(values._array()[index], int64)
            found.append(row[0] if kind == "identity" else row)
        image = image if self.transform is None else self.transform(image)
        if not found:
            return image, None
        target: Any = tuple(found) if len(found) > 1 else found[0]
        return image, target if self.target_transform is None else self.target_transform(target)

    def extra_repr(self) -> str:
        return f"Target type: {self.target_type}\nSplit: {self.split}"
