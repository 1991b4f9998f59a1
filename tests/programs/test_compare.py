"""What another rounding may change is no difference; anything else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from . import compare
from .program import UNDEFINED, Block, Line, Program, Seen, run
from .rounding import rounded

pytestmark = pytest.mark.parity

# Of a large x, one rounding of tanh is much of the result, whatever small errors x has.
STEEP = Program(
    (
        Line("x1 = torch.tensor({data}, dtype=torch.float32, requires_grad=True)", [5.5, 0.5]),
        Line("torch.tanh(x1).sum().backward()"),
        Line("x2 = x1.grad.to(torch.float64)"),
    )
)
EXACT = Program(
    (
        Line("x1 = torch.tensor({data}, dtype=torch.float32)", [1.75, -0.5, 0.25]),
        Line("x2 = torch.cat([x1, -x1]).flip(0)[1:]"),
        Line("x3 = torch.where(x2 > 0, x2, 0.5).clamp(max=1.5)"),
        Line("x3.relu_()"),
        Line("x3[0] = x1.max()"),
        Line("x4 = x3.tolist()"),
    )
)


def judged(program: Program, monkeypatch: pytest.MonkeyPatch, change: Any) -> str | None:
    """What is said of a run that gives PyTorch's results but x2, which `change` makes anew."""
    import torch

    wanted = run(program, torch)
    got = [
        (where, replace(what, values=change(what.values)))
        if where == "x2" and isinstance(what, Seen)
        else (where, what)
        for where, what in wanted
    ]
    found = {"flambeau": got}
    monkeypatch.setattr(
        compare,
        "run",
        lambda p, module, *rest, **more: found.get(module) or run(p, module, *rest, **more),
    )
    return compare.check_run(program, torch, wanted, "flambeau", 0)


def test_one_rounding_in_between_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    tanh = np.tanh(np.float32(5.5))
    other = 1 - np.float64(np.nextafter(tanh, np.float32(0))) ** 2

    def change(values: np.ndarray) -> np.ndarray:
        assert abs(other - values[0]) > 1e-3 * values[0]
        return np.array([other, values[1]])

    assert judged(STEEP, monkeypatch, change) is None


def test_what_no_rounding_explains_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    words = judged(STEEP, monkeypatch, lambda values: values * [1.5, 1])
    assert words is not None
    assert "'x2'" in words


def test_exact_results_stay_and_others_are_off_by_little() -> None:
    import torch

    with rounded(0):
        again = run(EXACT, torch)
        off = torch.tensor([0.3, -1.2]).tanh()
    assert compare.difference(run(EXACT, torch), again) is None
    assert [what for where, what in again if where == "x4"] == [
        what for where, what in run(EXACT, torch) if where == "x4"
    ]
    gaps = (off - torch.tensor([0.3, -1.2]).tanh()).abs()
    assert 0 < float(gaps.max()) < 3e-7


@pytest.mark.parametrize("unseen", [True, False])
def test_a_write_unseen_by_autograd_below_a_hooked_view_ends_a_program(unseen: bool) -> None:
    import torch

    write = Line("x1.mul_(2)")
    program = Program(
        (
            Line("x0 = torch.tensor({data}, requires_grad=True)", [1.0, 2.0]),
            Line("x1 = x0 * 3"),
            Line("x2 = x1[1:]"),
            Line("h3 = x2.register_hook(lambda g: g * 2)"),
            Block("with torch.no_grad()", (write,)) if unseen else write,
            Line("x4 = x2 * 2"),
        )
    )
    seen = run(program, torch)
    assert (seen[-1] == ("the end", UNDEFINED)) is unseen


def test_a_view_of_a_view_made_under_no_grad_ends_a_program() -> None:
    import torch

    program = Program(
        (
            Line("x0 = torch.tensor({data}, requires_grad=True)", [[1.0, 2.0]]),
            Line("x1 = x0 * 3"),
            Block("with torch.no_grad()", (Line("x2 = x1.mT"),)),
            Line("x0 = x2.narrow(0, 0, 1)"),  # (looked at before x2, by its place)
            Line("x1[:, [0]] = 1.5"),
        )
    )
    assert run(program, torch)[-1] == ("the end", UNDEFINED)


@pytest.mark.parametrize("units", [0.5, 1000.0])
def test_what_a_rounding_decides_is_no_difference(
    units: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    made = "torch.arange(1, 8, dtype=torch.float32).sqrt().sum()"
    narrow = float(eval(made, {"torch": torch}))
    wide = float(eval(made.replace("32", "64"), {"torch": torch}))
    limit = max(narrow, wide) + units * narrow * 2.0**-23
    program = Program((Line(f"x1 = {made}"), Line(f"x2 = (x1 > {limit!r}).expand(2)")))
    words = judged(program, monkeypatch, np.logical_not)
    assert (words is None) is (units < 1)
    assert judged(program, monkeypatch, lambda values: values ^ np.array([True, False])) is not None


def test_a_write_below_a_hooked_view_of_plain_memory_ends_a_program() -> None:
    import torch

    program = Program(
        (
            Line("x0 = torch.tensor({data}, requires_grad=True)", [1.0, 2.0]),
            Line("x1 = torch.ones(3, dtype=torch.float32)"),
            Line("x2 = x1[1:]"),
            Line("x2.mul_(x0)"),
            Line("h3 = x2.register_hook(lambda g: g * 2)"),
            Line("x1.mul_(2)"),
            Line("x4 = x2 * 2"),
        )
    )
    assert run(program, torch)[-1] == ("the end", UNDEFINED)
