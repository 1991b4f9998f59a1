"""Where the system has no room for more machine code, new programs run in NumPy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flambeau.execute.cpu.engine import mappings, most_mappings

SCRIPT = """
import warnings
import flambeau as torch
from flambeau.execute.cpu import engine
from flambeau.record.options import OPTIONS

OPTIONS.executor = "compiled"
first = lambda: (torch.arange(5.0) * 3).tolist()
assert first() == [0, 3, 6, 9, 12]
engine.mappings = lambda: 60_000
engine.most_mappings = lambda: 65_530
engine.LINKS_PER_COUNT = 1
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for n in range(3):
        assert (torch.arange(4.0) - n).exp().log().round().tolist() == [-n, 1 - n, 2 - n, 3 - n]
        assert first() == [0, 3, 6, 9, 12]
assert [str(w.message)[:33] for w in told] == ["New programs run in NumPy from no"], told
w = torch.ones(3, requires_grad=True)
(w * w).sum().backward()
assert w.grad.tolist() == [2, 2, 2]
print("fine")
"""


def test_new_programs_run_in_numpy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("fine\n", 0), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the counts come from /proc")
def test_mappings_are_counted() -> None:
    assert 10 < mappings() < most_mappings()
