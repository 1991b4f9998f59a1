"""torch.save and torch.load: what goes in comes out; files cannot do harm; mistakes are said."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau import nn

DTYPES = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64".split()


def back(value: Any) -> Any:
    file = io.BytesIO()
    flambeau.save(value, file)
    file.seek(0)
    return flambeau.load(file)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (2, 0, 3)])
def test_tensors(name: str, shape: tuple[int, ...]) -> None:
    dtype = getattr(flambeau, name)
    kept = (flambeau.randn(shape) * 9).to(dtype)
    found = back(kept)
    assert found.dtype is dtype
    assert found.shape == kept.shape
    assert found.tolist() == kept.tolist()
    assert type(found) is flambeau.Tensor


def test_views_share_their_storage_again() -> None:
    x = flambeau.randn(4, 6)
    found = back({"whole": x, "rows": x[1:3], "turned": x.t(), "other": x.clone()})
    assert found["turned"].stride() == (1, 6)
    found["whole"][1, 2] = 77.0
    assert found["rows"][0, 2].item() == found["turned"][2, 1].item() == 77.0
    assert found["other"].tolist() == x.tolist()


def test_numbers_strings_and_containers() -> None:
    number = random.random()
    value = {
        "plain": [
            None,
            True,
            -(10**30),
            number,
            float("inf"),
            1e-320,
            2 + number * 1j,
            "ü\n",
            b"\0x",
        ],
        3: (1, (2.5,), []),
        (1, "key"): {1, 2},
        "known": [flambeau.float16, flambeau.device("cpu"), flambeau.Size([2, 3])],
        "ordered": OrderedDict(b=1, a=2),
        "numpy": [np.float64(number), np.arange(6, dtype=np.int16).reshape(2, 3)],
    }
    found = back(value)
    assert list(found) == list(value)
    for key in list(value)[:-1]:
        assert found[key] == value[key]
        assert type(found[key]) is type(value[key])
    assert [type(part) for part in found["plain"]] == [type(part) for part in value["plain"]]  # type: ignore[attr-defined]
    assert type(found["known"][2]) is flambeau.Size
    assert found["numpy"][0] == number and isinstance(found["numpy"][0], np.float64)
    np.testing.assert_array_equal(found["numpy"][1], value["numpy"][1])  # type: ignore[index]
    assert back(float("nan")) != back(float("nan"))
    assert back(flambeau.nn.Parameter(flambeau.ones(2))).requires_grad


def test_training_goes_on_from_a_file(tmp_path: Path) -> None:
    x, y = flambeau.randn(20, 4), flambeau.randn(20, 1)

    def begun() -> tuple[Any, Any]:
        flambeau.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 1))
        return model, flambeau.optim.Adam(model.parameters(), lr=0.01)

    def train(model: Any, optimizer: Any) -> list[float]:
        curve = []
        for _ in range(4):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        return curve

    model, optimizer = begun()
    train(model, optimizer)
    file = tmp_path / "state.pt"
    flambeau.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    other, stepping = begun()
    state = flambeau.load(str(file), map_location=flambeau.device("cpu"), weights_only=True)
    assert state["model"]._metadata == model.state_dict()._metadata
    other.load_state_dict(state["model"])
    stepping.load_state_dict(state["optimizer"])
    # The first runs of a program are the reference executor's, the others compiled.
    assert train(other, stepping) == pytest.approx(train(model, optimizer), rel=1e-5)


def test_a_file_is_whole_or_untouched(tmp_path: Path) -> None:
    file = tmp_path / "kept.pt"
    flambeau.save(1, file)
    with pytest.raises(NotImplementedError):
        flambeau.save([flambeau.ones(3), object()], file)
    assert flambeau.load(file) == 1
    assert os.listdir(tmp_path) == ["kept.pt"]
    if os.name == "posix":
        file.chmod(0o640)
        flambeau.save(2, file)
        assert file.stat().st_mode & 0o777 == 0o640
    with pytest.raises(RuntimeError, match="does not exist"):
        flambeau.save(1, tmp_path / "nowhere" / "x.pt")


class Own:
    pass


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Own(), "the object is a .*Own"),
        ({"a": [1, Own]}, r"\['a'\]\[1\] is a builtins.type"),
        (nn.Linear(2, 2), "save its state_dict"),
        ([lambda: 1], r"\[0\] is a builtins.function"),
    ],
)
def test_other_objects_are_refused(value: Any, words: str) -> None:
    with pytest.raises(NotImplementedError, match=words):
        flambeau.save(value, io.BytesIO())


def test_what_contains_itself_is_refused() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        flambeau.save(loop, io.BytesIO())
    shared = [1]
    assert back([shared, shared]) == [[1], [1]]


def forged(value: Any, storages: Sequence[bytes] = ()) -> io.BytesIO:
    file = io.BytesIO()
    sizes = [len(s) for s in storages]
    with zipfile.ZipFile(file, "w") as archive:
        text = {"format": "flambeau 1", "value": value, "storages": sizes}
        archive.writestr("structure.json", json.dumps(text))
        for place, storage in enumerate(storages):
            archive.writestr(f"storages/{place}", storage)
    file.seek(0)
    return file


TENSOR: dict[str, Any] = {
    "kind": "tensor",
    "storage": 0,
    "dtype": "float32",
    "shape": [2],
    "strides": [1],
    "offset": 0,
    "requires_grad": False,
}


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [3]},
        {"offset": 1},
        {"offset": -1},
        {"strides": [2]},
        {"strides": [-1]},
        {"shape": [-2]},
        {"shape": [2, 2]},
        {"storage": 1},
        {"storage": -1},
        {"dtype": "float64"},
        {"dtype": "object"},
        {"kind": "os.system"},
        {"shape": None},
    ],
)
def test_forged_files_are_refused(change: dict[str, Any]) -> None:
    storage = np.array([1.0, 2.0], np.float32).tobytes()
    assert flambeau.load(forged(TENSOR, [storage])).tolist() == [1.0, 2.0]
    with pytest.raises(RuntimeError, match="cannot be read"):
        flambeau.load(forged({**TENSOR, **change}, [storage]))


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    flambeau.save({"a": flambeau.randn(50)}, file)
    whole = file.read_bytes()
    for damaged in (b"", whole[:100], whole[:-30], whole[:400] + bytes(40) + whole[440:]):
        file.write_bytes(damaged)
        with pytest.raises(RuntimeError):
            flambeau.load(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(NotImplementedError, match="written by PyTorch"):
        flambeau.load(file)
    with pytest.raises(FileNotFoundError):
        flambeau.load(tmp_path / "absent.pt")
    with pytest.raises(AssertionError, match="CUDA"):
        flambeau.load(io.BytesIO(whole), map_location="cuda")
    with pytest.raises(NotImplementedError, match="mmap"):
        flambeau.load(io.BytesIO(whole), mmap=True)
