"""Random whole programs against PyTorch: op by op, compiled at once, and recognised when they come
again. Every eighteenth program runs in all of these modes, each of the others in one, in turn: most
faults show in any mode, so that new programs find more than old ones in other modes.

FLAMBEAU_PROGRAMS says how many (the default is for every day), FLAMBEAU_PROGRAMS_FROM the first
seed. A failure prints the shrunk program as a script; `python3 tools/dev.py soak` runs 100,000.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import pytest

import flambeau
from flambeau.record.options import OPTIONS

from .compare import check_run
from .generator import generate
from .modes import mode
from .program import Program, run, script
from .shrink import shrink

pytestmark = pytest.mark.parity

PROGRAMS = int(os.environ.get("FLAMBEAU_PROGRAMS", "300"))
FIRST = int(os.environ.get("FLAMBEAU_PROGRAMS_FROM", "0"))  # the first program's seed
BATCH = 25
RUNS = {"sync": 1, "reference": 1, "compiled": 1, "recognised": 3, "replayed": 5, "late": 3}
# (What is recognised has run in the reference executor before, and what is replayed was compiled.)
TURNS = (
    *("recognised", "reference", "compiled", "recognised", "sync"),
    *("late", "recognised", "reference", "replayed", "recognised", "reference"),
    *("recognised", "compiled", "late", "reference", "recognised", "sync"),
)


def modes_of(seed: int) -> tuple[str, ...]:
    """The modes in which a program runs."""
    turn = seed % (len(TURNS) + 1)
    return tuple(RUNS) if turn == 0 else (TURNS[turn - 1],)


@pytest.fixture(autouse=True)
def few_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program comes again in another batch: what is known of them need not be kept."""
    monkeypatch.setattr(OPTIONS, "states", 10_000)


def first_difference(program: Program, name: str, wanted: Any) -> str | None:
    """What is wrong with a program in a mode, or None; `wanted(number)` is PyTorch's run."""
    import torch

    with mode(name):
        for number in range(RUNS[name]):
            words = check_run(program, torch, wanted(number), flambeau, number)
            if words:
                return f"run {number}: {words}"
    return None


def differences(seed: int) -> dict[str, str]:
    """What is wrong with a program, by mode, of those in which it runs."""
    import torch

    program = generate(seed)

    @cache
    def wanted(number: int) -> list[Any]:
        return run(program, torch, number)

    found = {name: first_difference(program, name, wanted) for name in modes_of(seed)}
    return {name: words for name, words in found.items() if words}


def shrunk_report(seed: int, name: str) -> str:
    """The smallest program found with a difference, as a script, and the difference."""
    import torch

    def difference(program: Program) -> str | None:
        return first_difference(program, name, lambda number: run(program, torch, number))

    small = shrink(generate(seed), lambda program: difference(program) is not None, attempts=400)
    words = difference(small)
    number = int(words.split(":")[0].removeprefix("run ")) if words else 0
    failing = [
        where
        for where, what in run(small, torch, number)
        if isinstance(what, str) and what.endswith("Error")
    ]
    return f"seed {seed}, mode {name}: {words}\n\n{script(small, number=number, failing=failing)}"


@pytest.mark.parametrize("batch", range((PROGRAMS + BATCH - 1) // BATCH))
def test_same_as_pytorch(batch: int) -> None:
    seeds = range(FIRST + batch * BATCH, FIRST + min((batch + 1) * BATCH, PROGRAMS))
    failed = {seed: found for seed in seeds if (found := differences(seed))}
    if failed:
        seed, (name, *_) = next(iter(failed.items()))
        pytest.fail(f"programs differ: {failed}; the first, shrunk:\n{shrunk_report(seed, name)}")


def test_programs_are_reproducible_and_agree_with_themselves() -> None:
    import torch

    for seed in range(20):
        program = generate(seed)
        assert program == generate(seed)
        assert check_run(program, torch, run(program, torch), torch, 0) is None
