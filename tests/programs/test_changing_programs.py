"""Random programs that change from run to run against PyTorch, each many times over.

FLAMBEAU_CHANGING says how many (the default is for every day), FLAMBEAU_PROGRAMS_FROM the first
seed. A failure prints the shrunk program as a script.
"""

from __future__ import annotations

import os

import pytest

from .beside_pytorch import compare, often
from .changing import generate_changing
from .program import run

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("one_thread", "few_states")]

CHANGING = int(os.environ.get("FLAMBEAU_CHANGING", "60"))
FIRST = int(os.environ.get("FLAMBEAU_PROGRAMS_FROM", "0"))  # the first program's seed
BATCH = 10


@pytest.mark.parametrize("batch", range((CHANGING + BATCH - 1) // BATCH))
def test_same_as_pytorch(batch: int) -> None:
    seeds = range(FIRST + batch * BATCH, FIRST + min((batch + 1) * BATCH, CHANGING))
    compare(generate_changing, seeds, often)


def test_runs_take_other_branches() -> None:
    import torch

    changing = 0
    for seed in range(30):
        program = generate_changing(seed)
        assert program == generate_changing(seed)
        branches = set()
        for number in range(4):
            seen = run(program, torch, number)
            branches.add(tuple((where, what) for where, what in seen if where.startswith("if")))
        changing += len(branches) > 1
    assert changing > 15
