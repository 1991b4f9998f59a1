"""Random whole programs against PyTorch: op by op, compiled at once, and recognised when they come
again. Every eighteenth program runs in all of these modes, each of the others in one, in turn: most
faults show in any mode, so that new programs find more than old ones in other modes.

FLAMBEAU_PROGRAMS says how many (the default is for every day), FLAMBEAU_PROGRAMS_FROM the first
seed. A failure prints the shrunk program as a script; `python3 tools/dev.py soak` runs 100,000.
"""

from __future__ import annotations

import os

import pytest

from .beside_pytorch import compare
from .compare import check_run
from .generator import generate
from .program import run

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("few_states")]

PROGRAMS = int(os.environ.get("FLAMBEAU_PROGRAMS", "300"))
FIRST = int(os.environ.get("FLAMBEAU_PROGRAMS_FROM", "0"))  # the first program's seed
BATCH = 25


@pytest.mark.parametrize("batch", range((PROGRAMS + BATCH - 1) // BATCH))
def test_same_as_pytorch(batch: int) -> None:
    seeds = range(FIRST + batch * BATCH, FIRST + min((batch + 1) * BATCH, PROGRAMS))
    compare(generate, seeds)


def test_programs_are_reproducible_and_agree_with_themselves() -> None:
    import torch

    for seed in range(20):
        program = generate(seed)
        assert program == generate(seed)
        assert check_run(program, torch, run(program, torch), torch, 0) is None
