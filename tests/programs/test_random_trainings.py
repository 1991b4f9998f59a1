"""Random programs that train against PyTorch: layers of all kinds, losses, optimizers, schedulers,
and what people do between steps, in the ways in which random programs run.

FLAMBEAU_TRAININGS says how many (the default is for every day), FLAMBEAU_PROGRAMS_FROM the first
seed. A failure prints the shrunk program as a script.
"""

from __future__ import annotations

import os

import pytest

from .beside_pytorch import compare
from .program import run
from .trainings import generate_training

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("one_thread", "few_states")]

TRAININGS = int(os.environ.get("FLAMBEAU_TRAININGS", "100"))
FIRST = int(os.environ.get("FLAMBEAU_PROGRAMS_FROM", "0"))  # the first program's seed
BATCH = 10


@pytest.mark.parametrize("batch", range((TRAININGS + BATCH - 1) // BATCH))
def test_same_as_pytorch(batch: int) -> None:
    seeds = range(FIRST + batch * BATCH, FIRST + min((batch + 1) * BATCH, TRAININGS))
    compare(generate_training, seeds)


def test_most_trainings_run_to_their_end() -> None:
    import torch

    ended = 0
    for seed in range(40):
        program = generate_training(seed)
        assert program == generate_training(seed)
        seen = run(program, torch)
        ended += not any(isinstance(what, str) and what.endswith("Error") for _, what in seen)
    assert ended > 25
