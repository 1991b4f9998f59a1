"""The stubs of what is bound at run time say what is bound."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_stubs_are_up_to_date() -> None:
    program = [sys.executable, str(ROOT / "tools" / "make_stubs.py"), "--check"]
    answer = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, (
        f"run tools/make_stubs.py\n{answer.stdout}{answer.stderr[-2000:]}"
    )


def test_stubs_name_methods_and_functions() -> None:
    methods = (ROOT / "flambeau" / "tensor" / "methods.pyi").read_text("utf-8")
    for line in ("    def softmax(self, dim: _int", "    def __add__(self, other: Any) -> Tensor"):
        assert line in methods
    names = (ROOT / "flambeau" / "__init__.pyi").read_text("utf-8")
    assert "\ndef abs(input: Tensor" in names
    assert "import matmul as matmul\n" in names
    assert "\nfloat32: DType\n" in names
