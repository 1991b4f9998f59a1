"""`flambeau run --progress`: what is shown of loops, and that the script does the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """\
import time
import torch
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
data = TensorDataset(torch.randn(60, 4), torch.randn(60, 1))
train_loader, loaders = DataLoader(data, batch_size=5, shuffle=True), {"test": DataLoader(data, 20)}
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def run(loader, wait):
    for x, y in loader:
        loss = ((model(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last = loss.item()
        time.sleep(wait)
        for _ in loaders["test"]:
            time.sleep(wait / 10)
    print("last", last)


next(iter(train_loader))
run(train_loader, 0.09)
run(loaders["test"], 0.0)
"""


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "flambeau.cli", "run", *options, "script.py"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}


def test_lines_where_it_is_forced_and_nothing_otherwise(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    answers = []
    for options in ([], ["--progress"], ["--progress=always"]):
        answers.append(
            subprocess.run(
                command(*options),
                cwd=tmp_path,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            )
        )
    plain, terminal, always = answers
    assert plain.stdout == terminal.stdout == always.stdout  # the same numbers, nothing added
    assert plain.stderr == terminal.stderr == ""
    loss = float(plain.stdout.split()[1])
    # (A slow machine has a line every ten seconds, and some of loops that are short elsewhere.)
    loops = [
        line for line in always.stderr.splitlines() if line.startswith("train_loader, epoch 2")
    ]
    line = loops[-1]
    assert re.match(r"train_loader, epoch 2  12/12  \d+:\d\d  [\d.]+/s  loss ", line), line
    assert line.endswith(f"loss {loss:.4g}")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        command("--progress"), cwd=tmp_path, env=environment(), stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    found = b""
    try:
        while chunk := os.read(ours, 65536):
            found += chunk
    except OSError:  # how Linux tells the end of a pseudo-terminal
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    text = found.decode()
    pictures = re.split(r"[\r\n]*\r\x1b\[K", text)
    assert sum("train_loader, epoch 2" in picture for picture in pictures) > 4
    assert any(re.match(r"train_loader.* \d+/12  [█░]{20} .* left .* loss ", p) for p in pictures)
    # What the script prints has a line of its own.
    assert re.search(r"(\n|\x1b\[K)last -?[\d.]+\r\n", text), text
    # What stands in the terminal's last line at the end: what follows the last erasure.
    assert re.split(r"\n|\r\x1b\[K", text.rstrip("\x1b[K\r\n "))[-1].startswith("last "), text
