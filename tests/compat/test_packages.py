"""Packages written on PyTorch, as they are installed, under `flambeau run` and under PyTorch.

Each program uses one package at length and prints figures; a program is skipped where its package
is not installed. docs/compatibility.md lists what was tried. Packages beside the test's own
environment can be named in PYTHONPATH.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).resolve().parent / "programs"
NEEDS = {
    "accelerate_training": "accelerate safetensors",
    "d2l_chapters": "d2l IPython matplotlib pandas requests",
    "einops_layers": "einops",
    "ignite_engines": "ignite tensorboard",
    "skorch_estimators": "skorch sklearn",
    "torchinfo_summaries": "torchinfo torchsummary",
    "torchmetrics_values": "torchmetrics",
    "transformers_models": "transformers safetensors",
}
NUMBER = re.compile(r"-?(?:\d+\.\d*|\.\d+|\d+)(?:e[-+]?\d+)?")
ADDRESS = re.compile(r"0x[0-9a-f]+")
# d2l imports torchvision, which PyTorch's side may not have: none of it is used.
PYTORCH = """
import importlib.util, runpy, sys
from unittest import mock
if "d2l" in sys.argv[1] and importlib.util.find_spec("torchvision") is None:
    for name in ("torchvision", "torchvision.transforms", "torchvision.models"):
        sys.modules[name] = mock.MagicMock()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def printed(program: Path, folder: Path, *arguments: str) -> list[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "FLAMBEAU_LEAVE": "torchmetrics",
        "HF_HUB_OFFLINE": "1",
        "MPLBACKEND": "Agg",
    }
    answer = subprocess.run(
        [sys.executable, *arguments, str(program)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    return answer.stdout.splitlines()


def near(theirs: str, ours: str) -> bool:
    """Whole numbers are equal; others to a unit and a half of the last digit, or to 1e-3."""
    if theirs == ours:
        return True
    if not {".", "e"} & set(theirs) or not {".", "e"} & set(ours):
        return False
    mantissa, _, exponent = theirs.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(float(theirs) - float(ours)) <= 1.5 * unit + 1e-3 * abs(float(theirs))


def differs(theirs: str, ours: str) -> bool:
    theirs, ours = ADDRESS.sub("0x", theirs), ADDRESS.sub("0x", ours)
    words = [[text.split() for text in NUMBER.split(line)] for line in (theirs, ours)]
    numbers = zip(NUMBER.findall(theirs), NUMBER.findall(ours), strict=False)
    return words[0] != words[1] or not all(near(a, b) for a, b in numbers)


@pytest.mark.slow
@pytest.mark.parity
@pytest.mark.parametrize("name", sorted(NEEDS))
def test_prints_the_same(name: str, tmp_path: Path) -> None:
    for package in NEEDS[name].split():
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    program = PROGRAMS / f"{name}.py"
    ours = printed(program, tmp_path, "-m", "flambeau.cli", "run")
    theirs = printed(program, tmp_path, "-c", PYTORCH)
    assert [(a, b) for a, b in zip(theirs, ours, strict=False) if differs(a, b)] == []
    assert len(theirs) == len(ours) > 0


def test_every_program_is_run() -> None:
    assert {file.stem for file in PROGRAMS.glob("*.py")} == set(NEEDS)
