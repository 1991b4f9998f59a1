"""Whole programs, unchanged, under PyTorch and under Flambeau: they print the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the programs run in forks"),
]

HERE = Path(__file__).resolve().parent
PROGRAMS = sorted((HERE / "programs").glob("*.py"))
ADDRESS = re.compile(r"0x[0-9a-f]+")
NUMBER = re.compile(r"-?(?:\d+\.\d*|\.\d+|\d+)(?:e[-+]?\d+)?")


class Server:
    """A process with a framework in it (see serve.py)."""

    def __init__(self, framework: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "serve.py"), framework],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, program: Path) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{program}\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    made = [Server(name, tmp_path_factory.mktemp(name)) for name in ("torch", "flambeau")]
    yield made
    for server in made:
        server.close()


def near(theirs: str, ours: str) -> bool:
    """Whole numbers are equal; others to a unit and a half of the last digit, or to 1e-3."""
    if theirs == ours:
        return True
    if not {".", "e"} & set(theirs) or not {".", "e"} & set(ours):
        return False
    mantissa, _, exponent = theirs.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(float(theirs) - float(ours)) <= 1.5 * unit + 1e-3 * abs(float(theirs))


def same(theirs: str, ours: str) -> bool:
    """Whether two printed lines say the same."""
    theirs, ours = ADDRESS.sub("0x", theirs), ADDRESS.sub("0x", ours)
    words = [[text.split() for text in NUMBER.split(line)] for line in (theirs, ours)]
    numbers = zip(NUMBER.findall(theirs), NUMBER.findall(ours), strict=False)
    return words[0] == words[1] and all(near(a, b) for a, b in numbers)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_prints_the_same(program: Path, servers: list[Server]) -> None:
    for server in servers:
        server.ask(program)
    theirs, ours = (server.answer() for server in servers)
    assert theirs["status"] == 0, theirs["err"]
    assert ours["status"] == 0, ours["err"]
    lines = theirs["out"].splitlines(), ours["out"].splitlines()
    differing = [(a, b) for a, b in zip(*lines, strict=False) if not same(a, b)]
    assert not differing
    assert len(lines[0]) == len(lines[1]) > 0


def test_differences_are_seen() -> None:
    assert same("loss 0.1234 at <A object at 0x7f>", "loss 0.1235 at <A object at 0x8e>")
    assert same("lr 1.00e-03", "lr 1.01e-03")
    for theirs, ours in (("0.123", "0.128"), ("3 of 4", "3 of 5"), ("a 1.0", "b 1.0"), ("1", "")):
        assert not same(theirs, ours)
