"""Data sets of files give what torchvision's give from the same folders."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.vision import datasets

torch: Any = pytest.importorskip("torch")
pytest.importorskip("PIL")
from PIL import Image

from tests.vision.reference import torchvision

pytestmark = pytest.mark.parity

RANDOM = np.random.default_rng(1)


def picture(path: Path, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (5, 7, 3) if mode == "RGB" else (5, 7)
    Image.fromarray(RANDOM.integers(0, 256, shape, dtype=np.uint8)).save(path)


def caltech101(root: Path) -> None:
    base = root / "caltech101" / "101_ObjectCategories"
    for name, count in (("BACKGROUND_Google", 1), ("Faces", 2), ("ant", 3)):
        for number in range(1, count + 1):
            picture(base / name / f"image_{number:04d}.jpg", "L" if number == 2 else "RGB")


def caltech256(root: Path) -> None:
    for label, count in enumerate((2, 1), 1):
        folder = root / "caltech256" / "256_ObjectCategories" / f"{label:03d}.thing"
        for number in range(1, count + 1):
            picture(folder / f"{label:03d}_{number:04d}.jpg")
        (folder / "notes").write_text("no image")


def cars(root: Path) -> None:
    save: Any = pytest.importorskip("scipy.io").savemat
    base = root / "stanford_cars"
    kinds = np.dtype([("class", "O"), ("fname", "O")])
    for name, place in (("cars_train", "devkit/cars_train_annos.mat"),
                        ("cars_test", "cars_test_annos_withlabels.mat")):  # fmt: skip
        (base / "devkit").mkdir(parents=True, exist_ok=True)
        rows = np.array([(2, "b.jpg"), (1, "a.jpg"), (2, "c.jpg")], kinds)
        save(base / place, {"annotations": rows})
        for file in "abc":
            picture(base / name / f"{file}.jpg")
    save(base / "devkit" / "cars_meta.mat", {"class_names": np.array(["one", "two"], object)})


def clevr(root: Path) -> None:
    base = root / "clevr" / "CLEVR_v1.0"
    for split in ("train", "val", "test"):
        scenes = []
        for number in range(3):
            name = f"CLEVR_{split}_{number}.png"
            picture(base / "images" / split / name)
            scenes.append({"image_filename": name, "objects": [{}] * (number + 2)})
        (base / "scenes").mkdir(exist_ok=True)
        file = base / "scenes" / f"CLEVR_{split}_scenes.json"
        file.write_text(json.dumps({"scenes": scenes[::-1]}))


def faces(name: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        (root / "fer2013").mkdir()
        head = {
            "fer2013.csv": "emotion,pixels,Usage",
            "icml_face_data.csv": "emotion, Usage, pixels",
            "train.csv": "emotion,pixels",
            "test.csv": "pixels",
        }[name]
        lines = [head]
        for use in ("Training", "PublicTest", "Training", "PrivateTest"):
            pixels = " ".join(map(str, RANDOM.integers(0, 256, 48 * 48)))
            row = {"emotion": "3", "pixels": pixels, "Usage": use}
            lines.append(",".join(row[key.strip()] for key in head.split(",")))
        (root / "fer2013" / name).write_text("\n".join(lines) + "\n")

    return make


def cityscapes(root: Path) -> None:
    for mode, splits in (("gtFine", ("train", "val")), ("gtCoarse", ("train_extra",))):
        for split in splits:
            stem = f"{split}/bonn/bonn_000001_000019"
            picture(root / "leftImg8bit" / f"{stem}_leftImg8bit.png")
            for ending in ("instanceIds", "labelIds", "color"):
                picture(root / mode / f"{stem}_{mode}_{ending}.png", "L")
            (root / mode / f"{stem}_{mode}_polygons.json").write_text('{"objects": [1]}')


def imagenet(root: Path) -> None:
    names = {"n01": ("tench", "Tinca tinca"), "n02": ("goldfish",), "n03": ("shark",)}
    torch.save((names, ["n01"]), root / "meta.bin")
    for split in ("train", "val"):
        for wnid in ("n02", "n01"):
            picture(root / split / wnid / "a.JPEG")


def wild(root: Path) -> None:
    base = root / "lfw-py"
    for name, count in (("Ann", 3), ("Bob", 1)):
        for number in range(1, count + 1):
            picture(base / "lfw_funneled" / name / f"{name}_{number:04d}.jpg")
    (base / "lfw-names.txt").write_text("Ann\t3\nBob\t1\n")
    (base / "people.txt").write_text("2\n1\nAnn\t3\n1\nBob\t1\n")
    (base / "peopleDevTrain.txt").write_text("2\nAnn\t3\nBob\t1\n")
    (base / "pairs.txt").write_text("1\t2\nAnn\t1\t2\nAnn\t2\t3\nAnn\t1\tBob\t1\nBob\t1\tAnn\t2\n")
    (base / "pairsDevTest.txt").write_text("1\nAnn\t1\t3\nAnn\t3\tBob\t1\n")


Case = tuple[str, Callable[[Path], None], list[dict[str, Any]]]
SPLITS = [{"split": "train"}, {"split": "test"}]
CASES: list[Case] = [
    ("Caltech101", caltech101, [{}]),
    ("Caltech256", caltech256, [{}]),
    ("StanfordCars", cars, SPLITS),
    ("CLEVRClassification", clevr, [*SPLITS, {"split": "val"}]),
    ("FER2013", faces("fer2013.csv"), SPLITS),
    ("FER2013", faces("icml_face_data.csv"), SPLITS),
    ("FER2013", faces("train.csv"), SPLITS[:1]),
    ("FER2013", faces("test.csv"), SPLITS[1:]),
    ("Cityscapes", cityscapes, [
        {}, {"split": "val", "target_type": ["semantic", "polygon"]},
        {"split": "train_extra", "mode": "coarse", "target_type": "color"},
    ]),
    ("ImageNet", imagenet, [{}, {"split": "val"}]),
    ("LFWPeople", wild, [{}, {"split": "train"}]),
    ("LFWPairs", wild, [{}, {"split": "test"}]),
]  # fmt: skip


def told(value: Any) -> Any:
    """Images as arrays."""
    if isinstance(value, tuple):
        return tuple(map(told, value))
    return (value.mode, np.asarray(value).tolist()) if hasattr(value, "mode") else value


@pytest.mark.parametrize(("name", "make", "options"), CASES, ids=[f"{i} {c[0]}" for i, c in
                                                                  enumerate(CASES)])  # fmt: skip
def test_samples(
    name: str,
    make: Callable[[Path], None],
    options: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(tmp_path)
    for place in ("torchvision.datasets.fer2013", "torchvision.datasets.lfw",
                  "flambeau.vision.datasets.objects"):  # fmt: skip
        monkeypatch.setattr(
            importlib.import_module(place), "check_integrity", lambda path, md5=None: True
        )
    for each in options:
        theirs = getattr(torchvision.datasets, name)(str(tmp_path), **each)
        ours = getattr(datasets, name)(str(tmp_path), **each)
        assert len(ours) == len(theirs) > 0
        assert repr(ours) == repr(theirs)
        found = [told(ours[index]) for index in range(len(ours))]
        assert found == [told(theirs[index]) for index in range(len(theirs))]
        for attribute in ("classes", "class_to_idx", "wnids", "categories", "pair_names"):
            assert getattr(ours, attribute, None) == getattr(theirs, attribute, None), attribute
        if name != "LFWPairs":
            with_transforms = getattr(datasets, name)(
                str(tmp_path), **each, transform=lambda image: 3, target_transform=lambda t: 4
            )
            assert with_transforms[0] == (3, 4)


@pytest.mark.parametrize("name", sorted({case[0] for case in CASES}))
def test_what_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"not found|not present"):
        getattr(datasets, name)(str(tmp_path))
    if name not in ("Caltech101", "Caltech256"):
        with pytest.raises(ValueError, match="Unknown value 'nope'"):
            getattr(datasets, name)(str(tmp_path), split="nope")
    if name in ("StanfordCars", "LFWPeople"):
        with pytest.raises(ValueError, match=r"downloaded anymore|no longer available"):
            getattr(datasets, name)(str(tmp_path), download=True)


def test_meta_files_of_imagenet(tmp_path: Path) -> None:
    kept = ({"n01": ("a", "b")}, ["n01"])
    flambeau.save(kept, str(tmp_path / "meta.bin"))
    assert (
        importlib.import_module("flambeau.vision.datasets.imagenet").load_meta_file(tmp_path)
        == kept
    )
    assert torch.load(tmp_path / "meta.bin", weights_only=True) == kept
