"""`flambeau.checkpoint`: a killed run goes on with the same numbers; safetensors files."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import flambeau
from flambeau import nn
from flambeau.checkpoint import Checkpoint

ROOT = Path(__file__).resolve().parents[2]

RUN = """
import os, random, signal, sys
import numpy as np
import flambeau as torch
from flambeau import nn
from flambeau.checkpoint import Checkpoint
from flambeau.utils.data import DataLoader, TensorDataset

folder, kill_at = sys.argv[1], int(sys.argv[2])
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)
x = torch.randn(40, 3)
loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8, shuffle=True)
random.seed(0)
np.random.seed(0)
parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "loader": loader}
kept = Checkpoint(folder, keep=2, **parts)
begun = kept.resume() or {"step": 0, "epoch": 0}
step = begun["step"]
for epoch in range(begun["epoch"], 4):
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = (model(inputs) - targets).square().mean() * (1 + random.random() + np.random.rand())
        loss.backward()
        optimizer.step()
        step += 1
        print(step, loss.item().hex(), flush=True)
        if step % 3 == 0:
            kept.save(step, epoch=epoch)
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    scheduler.step()
"""


def run(folder: Path, kill_at: int = -1) -> dict[str, str]:
    answer = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), str(kill_at)],
        cwd=ROOT,
        env={**os.environ, "FLAMBEAU_EXECUTOR": "compiled"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert answer.returncode == (0 if kill_at < 0 else -signal.SIGKILL), answer.stderr
    return dict(line.split() for line in answer.stdout.splitlines())


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_killed_run_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    assert list(whole) == [str(n) for n in range(1, 21)]
    first = run(tmp_path / "cut", kill_at=8)
    second = run(tmp_path / "cut", kill_at=14)
    third = run(tmp_path / "cut")
    assert [list(first)[-1], *list(second)[:1], *list(third)[:1]] == ["8", "7", "13"]
    for part in (first, second, third):
        assert all(whole[step] == loss for step, loss in part.items())
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == [
        "step-0000000015.pt",
        "step-0000000018.pt",
    ]


def test_last_files_and_damage(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    kept = Checkpoint(tmp_path / "new", keep=2, model=model)
    assert kept.resume() is None and kept.files() == []
    for step in (1, 2, 10):
        model.weight.data.fill_(float(step))
        kept.save(step, loss=[0.5, flambeau.ones(2)])
    assert [file.name for file in kept.files()] == ["step-0000000002.pt", "step-0000000010.pt"]
    drawn = [flambeau.rand(2).tolist(), random.random(), np.random.rand()]
    other = nn.Linear(2, 2)
    found = Checkpoint(tmp_path / "new", model=other).resume()
    assert found is not None and found["step"] == 10 and found["loss"][0] == 0.5
    assert drawn == [flambeau.rand(2).tolist(), random.random(), np.random.rand()]
    assert other.weight.tolist() == [[10.0, 10.0]] * 2
    newest = kept.files()[-1]
    newest.write_bytes(newest.read_bytes()[:200])
    (tmp_path / "new" / ".step-0000000011.pt.abc.tmp").write_bytes(b"half")
    with pytest.warns(UserWarning, match="cannot be read"):
        found = kept.resume()
    assert found is not None and found["step"] == 2
    with pytest.raises(RuntimeError):
        kept.resume(newest)
    kept.save(12)
    assert not list((tmp_path / "new").glob(".*"))
    with pytest.raises(KeyError, match="more"):
        Checkpoint(tmp_path / "new", model=model, more=model).resume()
    with pytest.raises(ValueError, match="keep must be at least 1"):
        Checkpoint(tmp_path, keep=0)
    with pytest.raises(TypeError, match="thing has no state_dict"):
        Checkpoint(tmp_path, thing=3)


def test_safetensors(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    from safetensors import SafetensorError

    from flambeau.serialization import safetensors as files

    given = {
        name: (flambeau.randn(3, 4) * 5).to(getattr(flambeau, name))
        for name in "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split()
    }
    given["turned"] = flambeau.randn(3, 2).t()
    given["scalar"] = flambeau.tensor(2.5)
    files.save_file(given, tmp_path / "x.safetensors", {"format": "pt"})
    found = files.load_file(tmp_path / "x.safetensors")
    assert set(found) == set(given)
    for name, tensor in given.items():
        assert found[name].dtype is tensor.dtype and found[name].tolist() == tensor.tolist()
    x = flambeau.ones(3)
    with pytest.raises(RuntimeError, match="share memory"):
        files.save({"a": x, "b": x[1:]})
    with pytest.raises(SafetensorError):
        files.load((tmp_path / "x.safetensors").read_bytes()[:40])


@pytest.mark.parity
def test_safetensors_of_pytorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from beside_torch import identical
    from safetensors.torch import load_file, save_file

    from flambeau.serialization import safetensors as files

    value = {"a": torch.randn(3, 2), "b": torch.arange(4), "c": torch.randn(2).bfloat16()}
    save_file(value, tmp_path / "x.safetensors")
    found = files.load_file(tmp_path / "x.safetensors")
    identical({name: found[name] for name in value}, value)
    files.save_file(found, tmp_path / "y.safetensors")
    back = load_file(tmp_path / "y.safetensors")
    identical(found, {name: back[name] for name in found})
