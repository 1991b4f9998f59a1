"""Small programs that run all the time are compiled soon, also in a process that has seen many."""

from __future__ import annotations

import pytest

import flambeau
from flambeau.record.options import OPTIONS
from flambeau.record.statistics import STATISTICS
from flambeau.record.worth import EARLY, MANY_PROGRAMS


def runs_before_compiling(extent: int, most: int) -> int:
    """How often a new small program runs until it is compiled (`most`: it is not)."""
    x = flambeau.ones(extent)
    x.tolist()
    compiled = STATISTICS.compiled_programs
    for count in range(most):
        (x * 2 - x).sum().item()
        if STATISTICS.compiled_programs > compiled:
            return count
    return most


@pytest.mark.parametrize("hot", [True, False])
def test_programs_that_have_paid_do_not_count(hot: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPTIONS, "executor", "auto")
    monkeypatch.setattr(STATISTICS, "compiled_programs", 0)
    for name, start in (("paid", 0), ("waiting", 0), ("many", False)):
        monkeypatch.setattr(EARLY, name, start)
    most = MANY_PROGRAMS // 4
    for number in range(most + 1):
        extent = 1001 + 2 * number + hot
        assert runs_before_compiling(extent, 20) <= 2 or number == most
        x = flambeau.ones(extent)
        for _ in range(1001 if hot else 0):
            (x * 2 - x).sum().item()
    assert EARLY.paid == (most + 1 if hot else 0)
    assert (runs_before_compiling(777 + hot, 20) <= 2) == hot
