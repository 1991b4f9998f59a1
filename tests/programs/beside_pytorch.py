"""Random programs beside PyTorch: in which modes they run, what is wrong, a report of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import pytest

import flambeau

from .compare import check_run
from .modes import mode
from .program import Program, run, script
from .shrink import shrink

RUNS = {"sync": 1, "reference": 1, "cut": 1, "compiled": 1, "late": 3}
RUNS |= {"recognised": 3, "replayed": 5, "often": 16}
# (What is recognised has run in the reference executor before, and what is replayed was compiled.)
TURNS = (
    *("recognised", "reference", "compiled", "recognised", "sync"),
    *("late", "recognised", "cut", "replayed", "recognised", "reference"),
    *("recognised", "compiled", "late", "reference", "recognised", "sync"),
)


def modes_of(seed: int) -> tuple[str, ...]:
    """The modes in which a program runs."""
    turn = seed % (len(TURNS) + 1)
    return tuple(sorted(set(TURNS))) if turn == 0 else (TURNS[turn - 1],)


def often(seed: int) -> tuple[str, ...]:
    """For programs that show something when they have come many times."""
    return ("often",)


def first_difference(program: Program, name: str, wanted: Any) -> str | None:
    """What is wrong with a program in a mode, or None; `wanted(number)` is PyTorch's run."""
    import torch

    with mode(name):
        for number in range(RUNS[name]):
            words = check_run(program, torch, wanted(number), flambeau, number)
            if words:
                return f"run {number}: {words}"
    return None


def differences(
    made: Callable[[int], Program], seed: int, modes: Callable[[int], Iterable[str]] = modes_of
) -> dict[str, str]:
    """What is wrong with a seed's program, by mode, of those in which it runs."""
    import torch

    program = made(seed)

    @cache
    def wanted(number: int) -> list[Any]:
        return run(program, torch, number)

    found = {name: first_difference(program, name, wanted) for name in modes(seed)}
    return {name: words for name, words in found.items() if words}


def shrunk_report(made: Callable[[int], Program], seed: int, name: str) -> str:
    """The smallest program found with a difference, as a script, and the difference."""
    import torch

    def difference(program: Program) -> str | None:
        return first_difference(program, name, lambda number: run(program, torch, number))

    small = shrink(made(seed), lambda program: difference(program) is not None, attempts=400)
    words = difference(small)
    number = int(words.split(":")[0].removeprefix("run ")) if words else 0
    failing = [
        where
        for where, what in run(small, torch, number)
        if isinstance(what, str) and what.endswith("Error")
    ]
    return f"seed {seed}, mode {name}: {words}\n\n{script(small, number=number, failing=failing)}"


def compare(
    made: Callable[[int], Program],
    seeds: Iterable[int],
    modes: Callable[[int], Iterable[str]] = modes_of,
) -> None:
    """Fails where programs of these seeds differ, with the first one's report."""
    failed = {seed: found for seed in seeds if (found := differences(made, seed, modes))}
    if failed:
        seed, (name, *_) = next(iter(failed.items()))
        report = shrunk_report(made, seed, name)
        pytest.fail(f"programs differ: {failed}; the first, shrunk:\n{report}")
