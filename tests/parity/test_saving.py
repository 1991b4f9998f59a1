"""torch.save and torch.load: what goes in comes out; files cannot do harm; mistakes are said."""

from __future__ import annotations

import io
import os
import pickle
import random
from collections import OrderedDict
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
    }
    found = back(value)
    assert list(found) == list(value)
    for key in value:
        assert found[key] == value[key]
        assert type(found[key]) is type(value[key])
    assert [type(part) for part in found["plain"]] == [type(part) for part in value["plain"]]  # type: ignore[attr-defined]
    assert type(found["known"][2]) is flambeau.Size
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
    with pytest.raises((AttributeError, pickle.PicklingError)):
        flambeau.save([flambeau.ones(3), lambda: 1], file)
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


def test_a_whole_module_is_a_pickle() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    net[2].weight = net[0].weight
    own: Any = Own()
    own.__dict__.update(net=net, rows=net[0].weight.detach()[1:], n=3)
    file = io.BytesIO()
    flambeau.save(own, file)
    file.seek(0)
    for weights_only in (None, True):
        with pytest.raises(pickle.UnpicklingError, match=r"^Weights only load failed"):
            flambeau.load(file, weights_only=weights_only)
    made: Any = flambeau.load(file, weights_only=False)
    assert type(made).__name__ == "Own"
    assert made.n == 3
    assert made.net[2].weight is made.net[0].weight
    assert made.net[0].weight.requires_grad
    for name, value in net.state_dict().items():
        assert flambeau.equal(made.net.state_dict()[name], value)
    made.rows.zero_()  # shares the weight's memory, as before
    assert made.net[0].weight[1].abs().sum().item() == 0
    assert net[0].weight[1].abs().sum().item() > 0


def test_what_contains_itself() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    found = back(loop)
    assert found[0] == 1 and found[1] is found
    shared = [1]
    first, second = back([shared, shared])
    assert first is second


def test_links_lead_to_what_is_replaced(tmp_path: Path) -> None:
    if os.name != "posix":
        return
    (tmp_path / "real.pt").touch()
    (tmp_path / "link.pt").symlink_to(tmp_path / "real.pt")
    flambeau.save(3, tmp_path / "link.pt")
    assert (tmp_path / "link.pt").is_symlink()
    assert flambeau.load(tmp_path / "real.pt") == 3


def test_damaged_files(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    flambeau.save({"a": flambeau.randn(50)}, file)
    whole = file.read_bytes()
    for damaged in (b"", whole[:100], whole[:-30], whole[:100] + bytes(40) + whole[140:]):
        file.write_bytes(damaged)
        with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)):
            flambeau.load(file)
    with pytest.raises(FileNotFoundError):
        flambeau.load(tmp_path / "absent.pt")
    with pytest.raises(RuntimeError, match="CUDA"):
        flambeau.load(io.BytesIO(whole), map_location="cuda")


@pytest.mark.parametrize("form", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
def test_sparse_tensors_both_ways(form: str) -> None:
    torch = pytest.importorskip("torch")
    dense = np.array([[0.0, 2.0, 0.0], [3.0, 0.0, 4.0]], np.float32)
    for write, read in ((torch, flambeau), (flambeau, torch), (flambeau, flambeau)):
        file = io.BytesIO()
        write.save({"m": getattr(write.from_numpy(dense.copy()), form)()}, file)
        file.seek(0)
        found = read.load(file, weights_only=True)["m"]
        assert str(found.layout) == str(getattr(torch.ones(1, 1), form)().layout)
        assert found.to_dense().numpy().tolist() == dense.tolist()
