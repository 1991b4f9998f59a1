"""Kernels that the reference executor takes for single values, whatever their lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_reference import Builder

from flambeau.core import dtypes
from flambeau.execute.cpu import shortcuts
from flambeau.execute.cpu.shortcuts import Shortcuts
from flambeau.execute.reference import Schedule
from flambeau.graph.program import Program
from flambeau.ops import attention as at
from flambeau.ops import view
from flambeau.ops.value import Value

Operands = tuple[list[Value], dict[str, Any]]


def separate(build: Builder) -> Operands:
    return [build.random((2, 3, n, 16)) for n in (9, 21, 21)], at.attributes(0.3)


def heads_of_rows(build: Builder) -> Operands:
    """Parts of one matrix, as a layer gives them: steps between the rows, heads in between."""
    whole = build.random((2, 13, 3, 4, 16))
    parts = [
        view.slice_(whole, starts=(0, 0, n, 0, 0), sizes=(2, 13, 1, 4, 16), steps=(1,) * 5)
        for n in range(3)
    ]
    rows = [view.reshape(part, shape=(2, 13, 4, 16)) for part in parts]
    return [view.permute(x, order=(0, 2, 1, 3)) for x in rows], at.attributes(0.25, causal=True)


def backwards(build: Builder) -> Operands:
    """Memory that is gone through from its end, and rows whose elements lie apart."""
    q, k = build.random((1, 2, 7, 32)), build.random((1, 2, 32, 11))
    v = view.flip(build.random((1, 2, 11, 32)), axes=(2,))
    return [q, view.permute(k, order=(0, 1, 3, 2)), v], at.attributes(0.5)


def masked(build: Builder) -> Operands:
    """A mask for all heads, an added one that is broadcast, groups of heads."""
    q, k, v = build.random((2, 4, 10, 16)), *(build.random((2, 2, 12, 16)) for _ in range(2))
    hidden = build.data(build.rng.random((2, 1, 10, 12)) < 0.4, dtypes.bool_)
    added = build.random((1, 1, 1, 12))
    attrs = at.attributes(0.3, safe=True, extras=("added", "hidden"))
    return [q, k, v, added, hidden], attrs


def program_of(build: Builder, operands: list[Value], attrs: dict[str, Any]) -> Program:
    result = at.attention(*operands, **attrs)
    grad = at.attention_grad(build.random(result.shape), *operands, **attrs)
    bases = [(dtype, array.size) for dtype, array in build.bases]
    return Program(bases, [], [result, grad], [])


@pytest.mark.parametrize("case", [separate, heads_of_rows, backwards, masked])
def test_attention_of_any_strides(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcuts, "COMPILING_ATTENTION", 0.0)
    build = Builder(case.__name__)
    program = program_of(build, *case(build))
    bases = [array for _, array in build.bases]
    wanted = Schedule(program).run(bases, [])
    schedule = Schedule(program)
    for _ in range(2):  # with what the first run has kept
        found = schedule.run(bases, [], Shortcuts)
        for ours, numpys in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, numpys, 2e-5, 2e-5)
    calls = [call for call in schedule.kept.values() if call is not None]
    assert len(calls) == 2 and all(call.program is not None for call in calls)


def test_a_kernel_is_made_when_numpy_has_taken_as_long() -> None:
    shortcuts._SPENT.clear()
    build = Builder("spent")
    program = program_of(build, *heads_of_rows(build))
    bases = [array for _, array in build.bases]
    schedule = Schedule(program)
    runs = 0
    while not any(call.program is not None for call in schedule.kept.values()):
        runs += 1
        assert runs < 1000
        schedule.run(bases, [], Shortcuts)
    scores = 2 * 4 * 13 * 13
    each = shortcuts.ATTENDING + shortcuts.ATTENDING_PER_SCORE * scores
    assert (runs - 2) * each < shortcuts.COMPILING_ATTENTION <= (runs - 1) * each


def test_values_without_a_kernel_are_left_to_numpy() -> None:
    build = Builder("none")
    operands = [build.random((1, 1, 5, 7), dtypes.float64) for _ in range(3)]
    program = program_of(build, operands, at.attributes(0.3))
    schedule = Schedule(program)
    schedule.run([array for _, array in build.bases], [], Shortcuts)
    assert set(schedule.kept.values()) == {None}
