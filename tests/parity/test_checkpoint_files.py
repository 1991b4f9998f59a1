"""Checkpoint files go to PyTorch and come from it; what a file may do; mistakes are PyTorch's."""

from __future__ import annotations

import collections
import functools
import io
import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import hostile_files
from beside_torch import LIBRARIES, identical

import flambeau

pytestmark = pytest.mark.parity
WAYS = [(torch, flambeau), (flambeau, torch), (flambeau, flambeau)]
DTYPES = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128"
UNTYPED = "uint16 uint32 uint64"


def through(saver: Any, loader: Any, value: Any, legacy: bool = False, **options: Any) -> Any:
    file = io.BytesIO()
    saver.save(value, file, _use_new_zipfile_serialization=not legacy)
    file.seek(0)
    return loader.load(file, **options)


def made(library: Any, legacy: bool) -> dict[str, Any]:
    """The same value in each library; only zip files hold the unsigned types."""
    rng = np.random.default_rng(3)
    base = library.tensor(rng.normal(size=(4, 6)).astype(np.float32))
    names = [n for n in (DTYPES if legacy else f"{DTYPES} {UNTYPED}").split() if n != "complex128"]
    attached = library.ones(2)
    attached.note = "mine"
    return {
        "dtypes": {name: (base.abs() * 9).to(getattr(library, name)) for name in names},
        "views": [base, base[1:3], base.t(), base[:, ::2], base],
        "empty": [library.ones(0, 3), library.tensor(2.5), library.ones(1).expand(5)],
        "parameter": library.nn.Parameter(base[0]),
        "attached": attached,
        "grad": library.ones(2, requires_grad=True),
        "plain": [None, True, 1, -(10**30), 2.5, 2j, "ü", b"\0b", bytearray(b"c"), (1, (2,)), {3}],
        "ordered": collections.OrderedDict(b=1, a=2),
        "counted": collections.Counter("aab"),
        "known": [library.float16, library.device("cpu"), library.Size([2, 3])],
    }


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(("saver", "loader"), WAYS)
def test_values(saver: Any, loader: Any, legacy: bool) -> None:
    found = through(saver, loader, made(saver, legacy), legacy)
    expected = made(torch, legacy)
    assert list(found) == list(expected)
    if loader is torch:
        found, expected = made(flambeau, legacy), found  # `identical` has Flambeau's first
    for name, other in expected.items():
        if name in ("known", "plain"):
            assert [str(part) for part in found[name]] == [str(part) for part in other]
        else:
            identical(found[name], other)
    assert found["attached"].note == "mine"
    assert type(found["parameter"]).__name__ == "Parameter" and found["parameter"].requires_grad


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(("saver", "loader"), WAYS)
def test_views_share_again(saver: Any, loader: Any, legacy: bool) -> None:
    views = through(saver, loader, made(saver, legacy), legacy)["views"]
    assert views[4] is views[0]
    views[0][1, 2] = 77.0
    assert views[1][0, 2].item() == views[2][2, 1].item() == views[3][1, 1].item() == 77.0


@pytest.mark.parametrize(("saver", "loader"), WAYS)
def test_training_state(saver: Any, loader: Any) -> None:
    def begun(library: Any) -> tuple[Any, Any]:
        library.manual_seed(0)
        nn = library.nn
        model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 1))
        return model, library.optim.Adam(model.parameters(), lr=0.01)

    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)

    def train(library: Any, model: Any, optimizer: Any) -> list[float]:
        curve = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(library.tensor(x)).square().mean()
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        return curve

    model, optimizer = begun(saver)
    train(saver, model, optimizer)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    state = through(saver, loader, state)
    assert dict(state["model"]._metadata) == dict(model.state_dict()._metadata)
    other, stepping = begun(loader)
    other.load_state_dict(state["model"])
    stepping.load_state_dict(state["optimizer"])
    curves = [train(loader, other, stepping), train(saver, model, optimizer)]
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


@pytest.mark.parametrize(("saver", "loader"), WAYS)
def test_whole_model_needs_trust(saver: Any, loader: Any) -> None:
    nn = saver.nn
    layers = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)]
    model = nn.Sequential(*layers).eval()
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global: GLOBAL torch"):
        through(saver, loader, model)
    found = through(saver, loader, model, weights_only=False)
    x = np.random.default_rng(1).normal(size=(2, 1, 4, 4)).astype(np.float32)
    values = [
        library_model(lib.tensor(x)).tolist()
        for lib, library_model in ((saver, model), (loader, found))
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5, atol=1e-6)


class Own:
    def __init__(self, x: int) -> None:
        self.x = x


def test_safe_globals() -> None:
    values: list[Any] = [Own(3), np.float64(2.5), np.arange(3, dtype=np.int16)]
    core: Any = np._core.multiarray  # type: ignore[attr-defined]
    known = [Own, np.dtype, np.ndarray, core.scalar, core._reconstruct]
    for library in LIBRARIES:
        serialization = library.serialization
        file = io.BytesIO()
        library.save(values, file)
        file.seek(0)
        with pytest.raises(pickle.UnpicklingError, match="Unsupported global"):
            library.load(file)
        file.seek(0)
        unsafe = serialization.get_unsafe_globals_in_checkpoint(file)
        assert {f"{__name__}.Own", "numpy.dtype", "numpy.ndarray"} <= set(unsafe)
        types = [type(np.dtype("f8")), type(np.dtype("i2"))]
        file.seek(0)
        with serialization.safe_globals([*known, *types]):
            found = library.load(file)
        assert found[0].x == 3 and found[1] == 2.5 and found[2].tolist() == [0, 1, 2]
        assert Own not in serialization.get_safe_globals()


LOCATIONS: list[Any] = [
    "cpu",
    {"cpu": "cpu"},
    {"cuda:0": "cpu"},
    lambda s, where: s,
    lambda s, _: None,
]


@pytest.mark.parametrize("location", LOCATIONS)
def test_map_location(location: Any) -> None:
    assert through(torch, flambeau, torch.ones(3), map_location=location).tolist() == [1.0] * 3


def moved(location: str) -> bytes:
    """A file whose storages say that they were elsewhere."""
    file = io.BytesIO()
    torch.save(torch.ones(3), file, _use_new_zipfile_serialization=False)
    return file.getvalue().replace(
        b"X\x03\0\0\0cpu", b"X" + bytes([len(location), 0, 0, 0]) + location.encode()
    )


MISTAKES: dict[str, Any] = {
    "no file": lambda lib: lib.load("/nowhere/x.pt"),
    "no folder": lambda lib: lib.save(1, "/nowhere/x.pt"),
    "number": lambda lib: lib.load(3),
    "to a number": lambda lib: lib.save(1, 3),
    "empty": lambda lib: lib.load(io.BytesIO(b"")),
    "cuda file": lambda lib: lib.load(io.BytesIO(moved("cuda:0"))),
    "to cuda": lambda lib: lib.load(io.BytesIO(moved("cpu")), map_location="cuda"),
    "to nowhere": lambda lib: lib.load(io.BytesIO(moved("cpu")), map_location="bogus"),
    "cut": lambda lib: lib.load(io.BytesIO(moved("cpu")[:-3])),
    "module": lambda lib: lib.load(io.BytesIO(), weights_only=True, pickle_module=pickle),
    "mapped": lambda lib: lib.load(io.BytesIO(hostile_files.whole()[0]), mmap=True),
    "system": lambda lib: lib.load(io.BytesIO(hostile_files.in_zip(b"cos\nsystem\n."))),
    "two types": lambda lib: (lambda x: lib.save([x, x.view(lib.int32)], io.BytesIO()))(
        lib.ones(4)
    ),
    "not mapped": lambda lib: lib.load(__file__, mmap=True),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    with pytest.raises(Exception) as expected:
        MISTAKES[name](torch)
    with pytest.raises(expected.type) as raised:
        MISTAKES[name](flambeau)
    first, second = (str(e.value).split("\n")[0] for e in (raised, expected))
    assert first[:40] == second[:40] or not second


def test_files_of_big_endian_machines() -> None:
    from flambeau.serialization.archive import ZipReader, ZipWriter

    values = [torch.randn(5), torch.arange(4), torch.ones(2, dtype=torch.complex64) * 2j]
    file = io.BytesIO()
    torch.save(values, file)
    reader = ZipReader(file, len(file.getvalue()))
    turned = io.BytesIO()
    writer = ZipWriter(turned, "archive")
    for name in ("data.pkl", "version"):
        writer.add(name, reader.read(name))
    writer.add("byteorder", b"big")
    for number, size in enumerate((4, 8, 4)):
        data = np.frombuffer(reader.read(f"data/{number}"), f"u{size}")
        writer.add(f"data/{number}", data.byteswap().tobytes())
    writer.close()
    turned.seek(0)
    identical(flambeau.load(turned), values)


def test_mapped_files(tmp_path: Path) -> None:
    value = {"a": torch.randn(100, 3), "b": torch.arange(7)}
    torch.save(value, tmp_path / "x.pt")
    found = flambeau.load(tmp_path / "x.pt", mmap=True)
    identical(found, value)
    found["a"].mul_(2)
    np.testing.assert_allclose(found["a"].numpy(), value["a"].numpy() * 2)
    identical(flambeau.load(tmp_path / "x.pt", mmap=True), value)  # the file is as it was


@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_and_hostile_files(tmp_path: Path, legacy: bool) -> None:
    """`tools/attack_checkpoints.py` does more of the same."""
    originals = hostile_files.whole()
    for original in originals:
        assert hostile_files.check(original, tmp_path / "harm") == "loaded"
    outcomes = collections.Counter(
        hostile_files.check(
            hostile_files.mutated(
                random.Random(number + 7000 * legacy), originals, tmp_path / "harm"
            ),
            tmp_path / "harm",
        )
        for number in range(400)
    )
    assert outcomes["UnpicklingError"] > 50 and outcomes["RuntimeError"] > 50


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_killed_while_saving(tmp_path: Path) -> None:
    """`tools/attack_checkpoints.py --kills` does more of the same."""
    assert hostile_files.kill_savers(6, tmp_path, random.Random(1)) >= 6


def test_partial_objects_round_trip() -> None:
    found = through(flambeau, flambeau, functools.partial(int, base=3), weights_only=False)
    assert found("12") == 5
