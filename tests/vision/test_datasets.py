"""Data sets from the files that they come in; what is said when these are absent."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import re
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

pytest.importorskip("PIL")
from PIL import Image

import flambeau
from flambeau.vision import datasets
from flambeau.vision import transforms as T
from flambeau.vision.datasets import download
from flambeau.vision.datasets.mnist import read_idx
from flambeau.vision.datasets.svhn import read_matlab

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (11, 28, 28), dtype=np.uint8)
LABELS = RNG.integers(0, 10, 11, dtype=np.uint8)


def idx(array: Any) -> bytes:
    codes = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
    head = struct.pack(">BBBB", 0, 0, codes[array.dtype.str[1:]], array.ndim)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return head + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def put(folder: Path, kind: str = "train", ending: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
        content = gzip.compress(idx(data)) if ending == ".gz" else idx(data)
        (folder / f"{kind}-{name}-ubyte{ending}").write_bytes(content)


@pytest.mark.parametrize(
    "kind, folder",
    [
        ("MNIST", "MNIST/raw"), ("MNIST", "mnist"), ("MNIST", ""), ("MNIST", "raw"),
        ("FashionMNIST", "FashionMNIST/raw"), ("FashionMNIST", "fashion_mnist"),
        ("KMNIST", "KMNIST/raw"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_mnist_is_found_where_it_lies(tmp_path: Path, kind: str, folder: str, ending: str) -> None:
    put(tmp_path / folder, "train", ending)
    data = getattr(datasets, kind)(str(tmp_path), transform=T.ToTensor())
    assert len(data) == 11 and data.data.shape == (11, 28, 28)
    np.testing.assert_array_equal(np.asarray(data.targets), LABELS)
    image, target = data[3]
    assert target == LABELS[3] and type(target) is int
    np.testing.assert_array_equal(np.asarray(image)[0], IMAGES[3] / np.float32(255))
    with pytest.raises(RuntimeError, match=r"Dataset not found\. You can use download=True"):
        getattr(datasets, kind)(tmp_path, train=False)


def test_an_absent_data_set_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        datasets.MNIST(tmp_path)
    text = str(caught.value)
    assert "train-images-idx3-ubyte" in text and str(tmp_path / "MNIST" / "raw") in text
    with pytest.raises(RuntimeError, match="not found or corrupted") as caught:
        datasets.CIFAR10(tmp_path)
    assert "data_batch_1" in str(caught.value) and "cifar-10-python.tar.gz" in str(caught.value)
    for make in (datasets.SVHN, datasets.Omniglot):
        with pytest.raises(RuntimeError, match="not found or corrupted"):
            make(tmp_path)


def test_emnist_and_qmnist(tmp_path: Path) -> None:
    raw = tmp_path / "EMNIST" / "raw"
    put(raw, "emnist-letters-train", ".gz")
    letters = datasets.EMNIST(tmp_path, "letters")
    assert len(letters) == 11 and letters.classes[:2] == ["N/A", "a"]
    with pytest.raises(ValueError, match="Unknown value 'word' for argument split"):
        datasets.EMNIST(tmp_path, "word")
    raw = tmp_path / "QMNIST" / "raw"
    raw.mkdir(parents=True)
    rows = RNG.integers(0, 10, (11, 8), dtype=np.int32)
    (raw / "qmnist-test-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (raw / "qmnist-test-labels-idx2-int").write_bytes(idx(rows))
    digits = datasets.QMNIST(tmp_path, train=False)
    assert [digits[i][1] for i in range(11)] == rows[:, 0].tolist()
    whole = datasets.QMNIST(tmp_path, "test", compat=False)
    assert whole[2][1].tolist() == rows[2].tolist()


def test_idx_files(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for kind in ("u1", "i1", "i2", "i4", "f4", "f8"):
        array = (RNG.standard_normal((3, 4)) * 50).astype(kind)
        path.write_bytes(idx(array))
        np.testing.assert_array_equal(read_idx(path), array)
    whole = idx(IMAGES)
    for cut in (0, 3, 9, 15, 500, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            read_idx(path)


def cifar(folder: Path) -> tuple[Any, list[int]]:
    folder.mkdir(parents=True)
    pixels = RNG.integers(0, 256, (6, 3072), dtype=np.uint8)
    labels = [3, 1, 4, 1, 5, 9]
    for name in ("data_batch_1", "test_batch"):
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": labels}, 2))
    names = [f"class {i}" for i in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, 2))
    return pixels.reshape(6, 3, 32, 32), labels


class TinyCIFAR(datasets.CIFAR10):
    train_list: ClassVar[Any] = [["data_batch_1", None]]
    test_list: ClassVar[Any] = [["test_batch", None]]
    meta: ClassVar[Any] = {"filename": "batches.meta", "key": "label_names", "md5": None}


def test_cifar(tmp_path: Path) -> None:
    pixels, labels = cifar(tmp_path / "cifar-10-batches-py")
    data = TinyCIFAR(tmp_path, transform=T.PILToTensor())
    assert data.targets == labels and data.class_to_idx["class 4"] == 4
    assert data.data.shape == (6, 32, 32, 3)
    np.testing.assert_array_equal(np.asarray(data[2][0]), pixels[2])
    np.testing.assert_array_equal(np.asarray(data.__getbatch__([4, 0])[0]), pixels[[4, 0]])
    with pytest.raises(RuntimeError, match="corrupted"):  # the right names, other contents
        datasets.CIFAR10(tmp_path)


def test_cifar_in_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, _ = cifar(tmp_path / "cifar-10-batches-py")
    (tmp_path / "root").mkdir()
    archive = tmp_path / "root" / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(TinyCIFAR, "tgz_md5", download.calculate_md5(archive))
    data = TinyCIFAR(tmp_path / "root", train=False)
    np.testing.assert_array_equal(np.asarray(data[5][0]).transpose(2, 0, 1), pixels[5])
    assert sorted(os.listdir(tmp_path / "root")) == [archive.name]


class Hostile:
    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def test_files_of_images_run_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cifar(tmp_path / "cifar-10-batches-py")
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(pickle.UnpicklingError, match="has no place"):
        TinyCIFAR(tmp_path)
    assert not (tmp_path / "harm").exists()


def matlab(packed: bool, **arrays: Any) -> bytes:
    def element(kind: int, content: bytes) -> bytes:
        return struct.pack("<2I", kind, len(content)) + content + b"\0" * (-len(content) % 8)

    def name_element(name: str) -> bytes:
        if len(name) > 4:
            return element(1, name.encode())
        return struct.pack("<HH4s", 1, len(name), name.encode())  # a small element

    out = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    for name, array in arrays.items():
        parts = element(6, struct.pack("<2I", 9, 0))
        parts += element(5, struct.pack(f"<{array.ndim}i", *array.shape))
        parts += name_element(name)
        parts += element({1: 2, 2: 4}[array.itemsize], array.tobytes(order="F"))
        matrix = element(14, parts)
        if packed:
            matrix = zlib.compress(matrix)
            matrix = struct.pack("<2I", 15, len(matrix)) + matrix
        out += matrix
    return out


@pytest.mark.parametrize("packed", [False, True])
def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    pixels = RNG.integers(0, 256, (32, 32, 3, 5), dtype=np.uint8)
    labels = np.array([[1], [10], [3], [9], [10]], np.uint8)
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(matlab(packed, X=pixels, y=labels))
    md5 = download.calculate_md5(path)
    monkeypatch.setattr(datasets.SVHN, "split_list", {"train": ["", path.name, md5]})
    data = datasets.SVHN(tmp_path, transform=T.PILToTensor())
    assert data.labels.tolist() == [1, 0, 3, 9, 0] and data.data.shape == (5, 3, 32, 32)
    np.testing.assert_array_equal(np.asarray(data[1][0]), pixels[..., 1].transpose(2, 0, 1))
    images, targets = data.__getbatch__([4, 1])
    np.testing.assert_array_equal(np.asarray(images), pixels.transpose(3, 2, 0, 1)[[4, 1]])
    assert targets.tolist() == [0, 0]
    with pytest.raises(ValueError):
        read_matlab(b"MATLAB 7.3")


def test_folders(tmp_path: Path) -> None:
    for name, count in (("cat", 2), ("dog", 1), ("ant", 3)):
        for number in range(count):
            path = tmp_path / name / "deep" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 5), (number, len(name), 0)).save(path)
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    data = datasets.ImageFolder(tmp_path, transform=T.PILToTensor(), target_transform=str)
    assert data.classes == ["ant", "cat", "dog"] and data.targets == [0, 0, 0, 1, 1, 2]
    assert data.imgs == data.samples and len(data) == 6
    image, target = data[4]
    assert image[:, 0, 0].tolist() == [1, 3, 0] and target == "1"
    texts = datasets.DatasetFolder(tmp_path, Path, (".txt",), allow_empty=True)
    assert [path.name for path, _ in (texts[i] for i in range(len(texts)))] == ["notes.txt"]
    with pytest.raises(FileNotFoundError, match="no valid file for the classes ant, cat"):
        datasets.DatasetFolder(tmp_path, Path, (".txt",))
    with pytest.raises(FileNotFoundError, match="any class folder"):
        datasets.ImageFolder(tmp_path / "ant" / "deep")
    with pytest.raises(ValueError, match="cannot be None or not None"):
        datasets.DatasetFolder(tmp_path, Path)


def test_omniglot(tmp_path: Path) -> None:
    (tmp_path / "omniglot-py").mkdir()
    with zipfile.ZipFile(tmp_path / "omniglot-py" / "images_evaluation.zip", "w") as archive:
        for alphabet, character, number in (("A", "c1", 7), ("A", "c2", 0), ("B", "c1", 3)):
            file = io.BytesIO()
            Image.new("1", (6, 6), number % 2).save(file, "png")
            name = f"images_evaluation/{alphabet}/{character}/{number}.png"
            archive.writestr(name, file.getvalue())
    data = datasets.Omniglot(tmp_path, background=False, transform=T.ToTensor())
    assert [data[i][1] for i in range(len(data))] == [0, 1, 2]
    assert data[0][0].max().item() == 1.0 and data[1][0].max().item() == 0.0


def test_fake_data() -> None:
    flambeau.manual_seed(7)
    data = datasets.FakeData(3, (3, 8, 9), 5, T.ToTensor(), random_offset=2)
    first = [data[i] for i in range(3)]
    assert flambeau.initial_seed() == 7
    assert all((data[i][0] == image).all().item() for i, (image, _) in enumerate(first))
    assert all(0 <= target < 5 for _, target in first)
    with pytest.raises(IndexError):
        data[3]


def test_descriptions(tmp_path: Path) -> None:
    put(tmp_path)
    data = datasets.MNIST(tmp_path, transform=T.Compose([T.ToTensor()]))
    assert repr(data) == (
        f"Dataset MNIST\n    Number of datapoints: 11\n    Root location: {tmp_path}\n"
        "    Split: Train\n    StandardTransform\nTransform: Compose(\n"
        "               ToTensor()\n           )"
    )


# ---- listed and small data sets ------------------------------------------------------------------

LISTED: dict[str, tuple[dict[str, Any], dict[str, str | bytes], list[tuple[str, int]]]] = {
    "Food101": (
        {"split": "test"},
        {
            "food-101/meta/test.json": '{"soup": ["soup/1"], "cake": ["cake/7", "cake/8"]}',
            "food-101/images/none": "",
        },
        [
            ("food-101/images/soup/1.jpg", 1),
            ("food-101/images/cake/7.jpg", 0),
            ("food-101/images/cake/8.jpg", 0),
        ],
    ),
    "DTD": (
        {"split": "val", "partition": 3},
        {"dtd/dtd/labels/val3.txt": "wavy/b.jpg\nbanded/a.jpg\n"},
        [("dtd/dtd/images/wavy/b.jpg", 1), ("dtd/dtd/images/banded/a.jpg", 0)],
    ),
    "FGVCAircraft": (
        {"annotation_level": "family"},
        {
            "fgvc-aircraft-2013b/data/families.txt": "A 300\nBoeing 737\n",
            "fgvc-aircraft-2013b/data/images_family_trainval.txt": "77 Boeing 737\n78 A 300\n",
        },
        [
            ("fgvc-aircraft-2013b/data/images/77.jpg", 1),
            ("fgvc-aircraft-2013b/data/images/78.jpg", 0),
        ],
    ),
    "GTSRB": (
        {"split": "test"},
        {
            "gtsrb/GT-final_test.csv": "Filename;Width;ClassId\n00.ppm;5;16\n01.ppm;5;1\n",
            "gtsrb/GTSRB/Final_Test/Images/none": "",
        },
        [
            ("gtsrb/GTSRB/Final_Test/Images/00.ppm", 16),
            ("gtsrb/GTSRB/Final_Test/Images/01.ppm", 1),
        ],
    ),
    "EuroSAT": (
        {},
        {"eurosat/2750/River/a.jpg": "", "eurosat/2750/Forest/b.jpg": ""},
        [("eurosat/2750/Forest/b.jpg", 0), ("eurosat/2750/River/a.jpg", 1)],
    ),
    "Country211": (
        {"split": "valid"},
        {"country211/valid/AD/a.jpg": "", "country211/valid/ZW/b.jpg": ""},
        [("country211/valid/AD/a.jpg", 0), ("country211/valid/ZW/b.jpg", 1)],
    ),
    "RenderedSST2": (
        {"split": "val"},
        {"rendered-sst2/valid/positive/a.png": "", "rendered-sst2/valid/negative/b.png": ""},
        [("rendered-sst2/valid/negative/b.png", 0), ("rendered-sst2/valid/positive/a.png", 1)],
    ),
    "SUN397": (
        {},
        {"SUN397/ClassName.txt": "/a/abbey\n/b/bar/inner\n", "SUN397/b/bar/inner/sun_1.jpg": ""},
        [("SUN397/b/bar/inner/sun_1.jpg", 1)],
    ),
    "Flowers102": (
        {"split": "val"},
        {
            "flowers-102/jpg/none": "",
            "flowers-102/setid.mat": matlab(True, valid=np.array([[3, 1]], np.uint16)),
            "flowers-102/imagelabels.mat": matlab(True, labels=np.array([[5, 6, 77]], np.uint8)),
        },
        [("flowers-102/jpg/image_00003.jpg", 76), ("flowers-102/jpg/image_00001.jpg", 4)],
    ),
}


@pytest.mark.parametrize("name", LISTED)
def test_listed_images(tmp_path: Path, name: str) -> None:
    arguments, files, samples = LISTED[name]
    kind = getattr(datasets, name)
    with pytest.raises(RuntimeError, match=r"Dataset not found\. You can use download=True"):
        kind(tmp_path, **arguments)
    for place, content in files.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def loader(path: Any) -> str:
        return str(Path(path).relative_to(tmp_path))

    data = kind(tmp_path, **arguments)
    data.loader = loader
    assert [data[i] for i in range(len(data))] == samples


def test_pets(tmp_path: Path) -> None:
    base = tmp_path / "oxford-iiit-pet"
    (base / "annotations" / "trimaps").mkdir(parents=True)
    (base / "images").mkdir()
    text = "Abyssinian_1 1 1 1\ngreat_pug_7 2 2 1\n"
    (base / "annotations" / "test.txt").write_text(text)
    for name in ("Abyssinian_1", "great_pug_7"):
        Image.new("RGB", (4, 4), (9, 9, 9)).save(base / "images" / f"{name}.jpg")
        Image.new("L", (4, 4), 2).save(base / "annotations" / "trimaps" / f"{name}.png")
    kinds = ["category", "binary-category", "segmentation"]
    data = datasets.OxfordIIITPet(tmp_path, "test", kinds)
    assert data.classes == ["Abyssinian", "Great Pug"]
    image, (category, binary, mask) = data[1]
    assert image.size == (4, 4) and (category, binary) == (1, 1) and mask.getpixel((0, 0)) == 2


def test_small_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = RNG.uniform(-1, 1, (3, 256)).astype(np.float32)
    rows = [
        f"{i + 1} " + " ".join(f"{k + 1}:{v}" for k, v in enumerate(row))
        for i, row in enumerate(values)
    ]
    (tmp_path / "usps.t.bz2").write_bytes(bz2.compress("\n".join(rows).encode()))
    usps = datasets.USPS(tmp_path, train=False)
    assert usps.targets == [0, 1, 2]
    np.testing.assert_array_equal(
        usps.data.reshape(3, 256), ((values + 1) / 2 * 255).astype(np.uint8)
    )
    bits = RNG.integers(0, 2, (4, 256))
    digits = np.eye(10, dtype=int)[[3, 0, 9, 9]]
    np.savetxt(tmp_path / "semeion.data", np.concatenate([bits, digits], 1), "%.1f")
    monkeypatch.setattr(datasets.SEMEION, "md5_checksum", None)
    semeion = datasets.SEMEION(tmp_path, T.PILToTensor(), download=False)
    images, labels = semeion.__getbatch__([0, 2, 3])
    assert labels.tolist() == [3, 9, 9]
    np.testing.assert_array_equal(
        np.asarray(images).reshape(3, 256), bits[[0, 2, 3]] * np.uint8(255)
    )


def test_stl10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    names = ["train_X.bin", "train_y.bin", "unlabeled_X.bin"]
    monkeypatch.setattr(datasets.STL10, "train_list", [[name, None] for name in names])
    monkeypatch.setattr(datasets.STL10, "test_list", [])
    pixels = RNG.integers(0, 256, (5, 3, 96, 96), dtype=np.uint8)
    pixels[:3].transpose(0, 1, 3, 2).tofile(folder / names[0])
    np.array([1, 10, 4], np.uint8).tofile(folder / names[1])
    pixels[3:].transpose(0, 1, 3, 2).tofile(folder / names[2])
    (folder / "fold_indices.txt").write_text("2 0 \n1 \n")
    data = datasets.STL10(tmp_path, "train+unlabeled", transform=T.PILToTensor())
    assert data.labels.tolist() == [0, 9, 3, -1, -1]
    np.testing.assert_array_equal(np.asarray(data[4][0]), pixels[4])
    np.testing.assert_array_equal(np.asarray(data.__getbatch__([3, 1])[0]), pixels[[3, 1]])
    assert datasets.STL10(tmp_path, folds=0).labels.tolist() == [3, 0]


def test_voc(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not found or corrupted"):
        datasets.VOCDetection(tmp_path)
    base = tmp_path / "VOCdevkit" / "VOC2012"
    folders = "ImageSets/Main ImageSets/Segmentation JPEGImages Annotations SegmentationClass"
    for folder in folders.split():
        (base / folder).mkdir(parents=True)
    for kind in ("Main", "Segmentation"):
        (base / "ImageSets" / kind / "train.txt").write_text("one\n")
    Image.new("RGB", (5, 4)).save(base / "JPEGImages" / "one.jpg")
    Image.new("L", (5, 4), 3).save(base / "SegmentationClass" / "one.png")
    text = (
        "<annotation><size><width>5</width><height>4</height></size>"
        "<object><name>dog</name></object></annotation>"
    )
    (base / "Annotations" / "one.xml").write_text(text)
    image, target = datasets.VOCDetection(tmp_path)[0]
    size = {"width": "5", "height": "4"}
    assert image.size == (5, 4)
    assert target == {"annotation": {"size": size, "object": [{"name": "dog"}]}}
    image, mask = datasets.VOCSegmentation(tmp_path, transform=T.ToTensor())[0]
    assert image.shape == (3, 4, 5) and mask.getpixel((0, 0)) == 3
    hostile = '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'
    (base / "Annotations" / "one.xml").write_text(hostile)
    with pytest.raises(ValueError, match="defines entities"):
        datasets.VOCDetection(tmp_path)[0]


def test_coco(tmp_path: Path) -> None:
    Image.new("RGB", (5, 4)).save(tmp_path / "x.png")
    whole = {
        "images": [{"id": 9, "file_name": "x.png"}, {"id": 2, "file_name": "x.png"}],
        "annotations": [{"image_id": 9, "caption": "a"}, {"image_id": 9, "caption": "b"}],
    }
    (tmp_path / "notes.json").write_text(json.dumps(whole))
    data = datasets.CocoCaptions(tmp_path, tmp_path / "notes.json", T.ToTensor())
    assert data.ids == [2, 9] and data[0][1] == [] and data[1][1] == ["a", "b"]
    objects = datasets.CocoDetection(tmp_path, tmp_path / "notes.json")
    assert objects[1][1] == whole["annotations"]


# ---- downloads -----------------------------------------------------------------------------------


class Server(http.server.BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[tuple[str, str | None]]] = []
    cut = 0  # so many bytes are sent, then the connection ends

    def do_GET(self) -> None:
        data = self.files.get(self.path)
        wanted = self.headers.get("Range")
        self.asked.append((self.path, wanted))
        if data is None:
            self.send_error(404)
            return
        start = int(wanted[6:-1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        kind, end = type(self), len(data)
        if kind.cut:
            end, kind.cut = kind.cut, 0
        self.wfile.write(data[start:end])

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Server.files, Server.asked, Server.cut = {}, [], 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def test_a_cut_download_is_resumed(server: str, tmp_path: Path) -> None:
    data = RNG.bytes(100_000)
    Server.files, Server.cut = {"/a.bin": data}, 40_000
    with pytest.raises((RuntimeError, OSError, http.client.HTTPException)):
        download.download_url(f"{server}/a.bin", tmp_path, md5=md5(data))
    assert not (tmp_path / "a.bin").exists()
    download.download_url(f"{server}/a.bin", tmp_path, md5=md5(data))
    assert (tmp_path / "a.bin").read_bytes() == data
    assert Server.asked[1][1] is not None and os.listdir(tmp_path) == ["a.bin"]
    download.download_url(f"{server}/a.bin", tmp_path, md5=md5(data))
    assert len(Server.asked) == 2


def test_another_checksum_is_refused(server: str, tmp_path: Path) -> None:
    Server.files = {"/a.bin": b"other"}
    with pytest.raises(RuntimeError, match="corrupted"):
        download.download_url(f"{server}/a.bin", tmp_path, md5=md5(b"right"))
    assert os.listdir(tmp_path) == []


def test_mnist_comes_from_the_mirror_that_has_it(server: str, tmp_path: Path) -> None:
    packed = {}
    for kind in ("train", "t10k"):
        put(tmp_path / "source", kind, ".gz")
    for path in (tmp_path / "source").iterdir():
        packed[path.name] = path.read_bytes()
    Server.files = {f"/good/{name}": data for name, data in packed.items()}

    class MNIST(datasets.MNIST):
        mirrors: ClassVar[Any] = [f"{server}/bad/", f"{server}/good/"]
        resources: ClassVar[Any] = [(name, md5(data)) for name, data in packed.items()]

    data = MNIST(tmp_path / "root", train=False, download=True)
    np.testing.assert_array_equal(np.asarray(data.data), IMAGES)
    assert (tmp_path / "root" / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").exists()
    asked = len(Server.asked)
    MNIST(tmp_path / "root", download=True)
    assert len(Server.asked) == asked
    MNIST.mirrors = [f"{server}/bad/", "http://127.0.0.1:9/"]
    with pytest.raises(RuntimeError) as caught:
        MNIST(tmp_path / "empty", download=True)
    text = str(caught.value)
    assert text.startswith("Error downloading") and text.count("Tried ") == 2
    assert str(tmp_path / "empty") in text


def test_archives_stay_in_their_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../outside.txt", "x")
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="outside"):
        download.extract_archive(tmp_path / "a.zip", tmp_path / "in")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("../../outside.txt")
        tar.addfile(info, io.BytesIO())
    with pytest.raises(ValueError, match="outside"):
        download.extract_archive(tmp_path / "a.tar", tmp_path / "in")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"content"))
    download.extract_archive(tmp_path / "b.txt.gz", tmp_path / "in")
    assert (tmp_path / "in" / "b.txt").read_bytes() == b"content"
    with pytest.raises(RuntimeError, match="Unknown compression"):
        download.extract_archive(tmp_path / "b.rar")


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="the real data are not here")
def test_real_data() -> None:
    data = datasets.MNIST(SHARED)
    assert len(data) == 60000 and data.targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    mean = data.data.float().mean().item() / 255
    assert abs(mean - 0.1307) < 1e-4
    test = datasets.FashionMNIST(SHARED, train=False, transform=T.ToTensor())
    assert len(test) == 10000 and test.classes[test[0][1]] == "Ankle boot"
