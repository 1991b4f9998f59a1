"""Warnings that PyTorch gives once in a process, in its words."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.parity

PROGRAM = """
import sys, warnings
import {library} as torch
def said(function):
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        function()
    print([str(w.message).partition(" (Triggered")[0] for w in given])
def folded():
    torch.zeros(2).index_reduce_(0, torch.tensor([0]), torch.ones(1), "mean")
for function in (
    folded, folded,
    lambda: torch.index_reduce(torch.zeros(2), 0, torch.tensor([0]), torch.ones(1), "amax"),
    lambda: torch.eye(2).to_sparse_csc(), lambda: torch.eye(2).to_sparse_csr(),
    lambda: torch.triangular_solve(torch.ones(2, 1), torch.eye(2)),
    lambda: torch.triangular_solve(torch.ones(2, 1), torch.eye(2)),
):
    said(function)
"""


def test_once_in_a_process() -> None:
    def output(library: str) -> str:
        program = [sys.executable, "-c", PROGRAM.format(library=library)]
        return subprocess.run(
            program, check=True, capture_output=True, text=True, timeout=120
        ).stdout

    assert output("flambeau") == output("torch")


def test_names_of_axes_are_refused() -> None:
    import flambeau

    for make in (flambeau.zeros, flambeau.ones):
        with pytest.raises(TypeError, match="unexpected keyword argument 'names'"):
            make(2, names=("N",))
