"""The examples are plain PyTorch scripts, and say the same under PyTorch and under Flambeau."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")

# How many of the first printed numbers are compared. The sums of a long training differ in their
# last bits between frameworks, and training spreads such differences.
COMPARED = {
    "linear_by_hand": 8,
    "linear_nn": 8,
    "logistic": 7,
    "diabetes_mlp": 4,
    "batchnorm_adam": 2,
    "digits_mlp": 3,
    "two_inputs": 6,
    "slow": 1,
}


def test_all_are_here() -> None:
    assert {file.stem for file in EXAMPLES} == {*COMPARED, "digits"}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_plain_pytorch(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            roots.add((node.module or "").split(".")[0])
    assert "torch" in roots
    others = roots - set(sys.stdlib_module_names) - {"torch", "numpy"}
    assert others <= ({"matplotlib"} if file.stem == "digits" else set())


def numbers(command: list[str], where: Path) -> list[float]:
    # (PyTorch's threads wait actively for each other: beside other tests they take minutes.)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, *command],
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return [float(text) for text in NUMBER.findall(answer.stdout)]


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
@pytest.mark.parametrize("name", sorted(COMPARED))
def test_same_numbers_as_pytorch(name: str, tmp_path: Path) -> None:
    script = str(ROOT / "examples" / f"{name}.py")
    count = COMPARED[name]
    expected = numbers([script], tmp_path)
    found = numbers(["-m", "flambeau.cli", "run", script], tmp_path)
    assert len(found) == len(expected) >= count
    assert found[:count] == pytest.approx(expected[:count], rel=0.02, abs=0.01)


@pytest.mark.slow
def test_the_main_job_learns_digits(tmp_path: Path) -> None:
    script = str(ROOT / "examples" / "digits.py")
    found = numbers(["-m", "flambeau.cli", "run", script, "--epochs", "2"], tmp_path)
    # The last number printed is the accuracy in percent.
    assert found[-1] > 92
