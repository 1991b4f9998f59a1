"""Elementwise functions and losses at NaN, infinities, zeros of both signs, kinks, the ends of
their domains, the smallest and the largest numbers: values, first and second gradients against
PyTorch.

PyTorch's vector code and its scalar code (of strided operands) differ at some of these, and what
overflows in float32 need not in float64: what any of the three gives is right. `DELIBERATE` lists
where Flambeau differs from all, and why.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from edge_cases import (
    BINARY,
    HUGE,
    INF,
    LOSSES,
    NAN,
    TERNARY,
    TINY,
    UNARY,
    Case,
    few_points,
    points,
)

from flambeau.autograd.engine import grad
from tests.programs.modes import mode

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

from against_torch import mine_of

import flambeau

RTOL = {"float32": 3e-5, "float64": 1e-7, "bfloat16": 4e-2}
ATOL = {"float32": 1e-7, "float64": 1e-14, "bfloat16": 8e-3}
# What subtracts nearly equal numbers, or is less exact in PyTorch: (name, dtype, tolerance).
CANCELLING = (
    ("gelu(approximate=tanh)", "float32", 1e-5),
    ("special.erfcx", "float32", 1e-3),
    ("special.erfcx", "bfloat16", 1e-1),
    ("celu(1.7)", "float64", 1e-10),  # PyTorch's 1 / alpha is a float32
    *((f"special.bessel_{name}", "float64", 2e-7) for name in ("j0", "j1", "y0", "y1")),
)

Numbers = dict[str, Any]  # "value", "grad0" (of operand 0), "grad0_1" (of grad0, of operand 1)


class Difference(NamedTuple):
    """Where Flambeau gives something else than PyTorch: cases, results, and numbers."""

    names: str
    results: str
    places: Callable[[Any], Any]  # of the operands: which places are left out
    reason: str


def _any(condition: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda xs: np.logical_or.reduce([condition(x) for x in xs])


_not_finite = _any(lambda x: ~np.isfinite(x))
_large = _any(lambda x: ~(np.abs(x) < 1e30))
_pole = _any(lambda x: (x <= 0) & (x == np.floor(x)))

DELIBERATE: list[Difference] = [
    Difference(r"i0|special\.(.*bessel.*|airy_ai|i1e?|erfcx|log_ndtr)", ".*", _large,
               "limits at infinity and NaN for NaN, where PyTorch's series give NaN and numbers"),
    Difference(r"special\.i1", "grad0_0", _any(lambda x: np.abs(x) < 1e-30),
               "i1(x) / x of the smallest numbers"),
    Difference(r"special\.log_ndtr|special\.i1e", "grad0_0", _any(lambda x: np.abs(x) > 50),
               "differences of nearly equal numbers"),
    Difference(r"polygamma.*|digamma|lgamma", ".*", lambda xs: _pole(xs) | _large(xs),
               "poles are infinite (PyTorch: some 1e15), limits at infinity are numbers"),
    Difference(r"special\.zeta|igammac?", ".*", lambda xs: _large(xs) | _any(
               lambda x: np.abs(x) < 1e-30)(xs), "NaN for NaN; too large and small for the series"),
    Difference(r"logaddexp2?", "grad._.", _large, "exp(x - y) overflows in PyTorch: NaN for 0"),
    Difference(r"logaddexp2", "value", lambda xs: (xs[0] == -1) & (xs[1] == -1), "exactly 0"),
    Difference(r"hypot", "grad._.", _any(lambda x: (x != 0) & (np.abs(x) < 1e-30)),
               "ratios of the smallest numbers"),
    Difference(r"soft_margin_loss.*", ".*", _large, "log(1 + exp(z)) = z where exp(z) overflows"),
]  # fmt: skip


def numbers(result: Any) -> Any:
    if isinstance(result, torch.Tensor):
        wide = result.float() if result.dtype is torch.bfloat16 else result
        return wide.numpy(force=True).reshape(-1)
    return np.asarray(result.detach()._values()).reshape(-1)


def operands(case: Case, dtype: str) -> list[Any]:
    """Torch tensors with all combinations of the points that the case takes."""
    some = points(dtype) if case.operands == 1 else few_points(dtype)
    if case.operands == 3:
        some = [x for x in some if x not in (-0.5, 3.0, -2.0, -TINY[dtype], -HUGE[dtype])]
    columns = []
    for place in range(case.operands):
        within = case.within[place] if place < len(case.within) else None
        columns.append([x for x in some if within is None or within[0] <= x <= within[1]])
    rows = np.array(list(itertools.product(*columns)), np.float64)
    return [torch.tensor(rows[:, i].copy()).to(getattr(torch, dtype)) for i in range(rows.shape[1])]


def run(
    case: Case, library: Any, xs: list[Any], cts: list[Any], give: Callable[..., Any]
) -> Numbers:
    """What a library gives; for a derivative that it does not have, the error."""
    derive = torch.autograd.grad if library is torch else grad
    y = case.function(library, *xs)
    found: Numbers = {"value": numbers(y)}
    if not y.requires_grad:
        return found
    inputs = [x for x in xs if x.requires_grad]

    def cotangent(which: int, of: Any) -> Any:
        return give(cts[which].to(getattr(torch, str(of.dtype).removeprefix("torch."))))

    ct = cotangent(0, y).requires_grad_()
    try:
        firsts = derive([y], inputs, [ct], create_graph=True, allow_unused=True)
        for i, first in enumerate(firsts):
            found[f"grad{i}"] = None if first is None else numbers(first)
    except (RuntimeError, NotImplementedError) as error:
        return found | {"grad": str(error)}
    for i, first in enumerate(firsts):
        if first is None or not first.requires_grad:
            continue
        try:
            seconds = derive(
                [first], [*inputs, ct], [cotangent(1 + i, first)], allow_unused=True,
                retain_graph=True,
            )  # fmt: skip
            for j, second in enumerate(seconds):
                found[f"grad{i}_{j}"] = None if second is None else numbers(second)
        except (RuntimeError, NotImplementedError) as error:
            found[f"grad{i}_"] = str(error)
    return found


def references(case: Case, xs: list[Any], cts: list[Any]) -> list[Numbers]:
    """PyTorch's vector code, its scalar code, and double precision."""
    count = xs[0].numel()
    whole = torch.arange(-(-count // 64) * 64) % count

    def strided(x: Any) -> Any:
        room = torch.zeros(2 * count, dtype=x.dtype)
        room[::2] = x
        return room[::2]

    found = []
    for form in (lambda x: x[whole], strided, lambda x: x.double()):
        given = [form(x).detach().requires_grad_(i not in case.fixed) for i, x in enumerate(xs)]
        results = run(case, torch, given, [form(ct) for ct in cts], lambda ct: ct.clone())
        found.append({k: v[:count] if isinstance(v, np.ndarray) else v for k, v in results.items()})
    return found


def unlike(mine: Any, theirs: Any, rtol: float, atol: float, lone: bool) -> Any:
    """Where the numbers differ. `lone`: where theirs overflow, mine may be finite."""
    if mine.dtype.kind != "f":
        return mine != theirs
    with np.errstate(all="ignore"):
        theirs = theirs.astype(mine.dtype)
        distance = np.abs(mine.astype(np.float64) - theirs)
        near = distance <= atol + rtol * np.where(np.isfinite(theirs), np.abs(theirs), 0.0)
        tiny = 4 * np.finfo(mine.dtype).tiny
    same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs)) | near | (distance <= tiny)
    return ~(same | (lone & np.isfinite(mine) & ~np.isfinite(theirs)))


def differences(case: Case, dtype: str) -> list[str]:
    xs = operands(case, dtype)
    random = torch.Generator().manual_seed(1)
    cts = [torch.rand(xs[0].shape, generator=random) + 0.5 for _ in range(4)]
    cts = [ct * torch.sign(torch.randn(ct.shape, generator=random)) for ct in cts]
    try:
        wanted = references(case, xs, cts)
    except NotImplementedError:  # PyTorch has no such kernel
        return []
    leaves = [mine_of(x).requires_grad_(i not in case.fixed) for i, x in enumerate(xs)]
    have = run(case, flambeau, leaves, cts, mine_of)
    data = [numbers(x).astype(np.float64) for x in xs]
    known = [d for d in DELIBERATE if re.fullmatch(d.names, case.name)]
    atol = max([ATOL[dtype], *(t for n, d, t in CANCELLING if (n, d) == (case.name, dtype))])
    extreme = _any(lambda x: (np.abs(x) >= HUGE[dtype] / 2) | (np.abs(x) <= 1e-30) & (x != 0))
    problems = []
    for key in sorted(set().union(have, *wanted)):
        theirs = [w[key] for w in wanted if key in w and w[key] is not None]
        mine = have.get(key)
        if any(isinstance(w, str) for w in theirs) or not theirs:
            message = next((w for w in theirs if isinstance(w, str)), None)
            if message is not None and isinstance(mine, str):
                assert mine.split("\n")[0] in message, (mine, message)
            continue  # what PyTorch refuses may be there
        if isinstance(mine, str):
            problems.append(f"{key}: {mine}")
            continue
        mine = np.zeros_like(theirs[0]) if mine is None else mine
        lone = extreme(data) if dtype == "float64" else np.False_
        bad = np.logical_and.reduce([unlike(mine, w, RTOL[dtype], atol, lone) for w in theirs])
        for difference in known:
            if re.fullmatch(difference.results, key):
                bad &= ~difference.places(data)
        for i in np.flatnonzero(bad)[:4]:
            place = ", ".join(f"{x[i]:.6g}" for x in data)
            problems.append(f"{key} at ({place}): {mine[i]!r}, PyTorch {[w[i] for w in theirs]}")
    return problems


CASES = [*UNARY, *BINARY, *TERNARY, *LOSSES]
FORMS = [("reference", "float64"), ("reference", "bfloat16"), ("reference", "float32"),
         ("compiled", "float32")]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize(("executor", "dtype"), FORMS)
def test_edges(case: Case, executor: str, dtype: str) -> None:
    with warnings.catch_warnings(), mode(executor):
        warnings.simplefilter("ignore")
        found = differences(case, dtype)
    assert not found, "\n".join(found)


ROWS = [
    [1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [INF, 1.0, 0.0], [-INF, 1.0, 0.0], [NAN, 1.0, 2.0],
    [1.0, 1.0, 1.0], [0.5, 0.0, -0.5], [-INF, -INF, -INF], [1e-40, 0.0, -1e-40],
]  # fmt: skip
MARGINS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "multi_margin_loss": lambda f, x, y: f.multi_margin_loss(x, y, reduction="none"),
    "p=2": lambda f, x, y: f.multi_margin_loss(x, y, p=2, reduction="none"),
    "margin=0.5": lambda f, x, y: f.multi_margin_loss(x, y, margin=0.5, reduction="none"),
    "multilabel_margin_loss": lambda f, x, y: f.multilabel_margin_loss(
        x, y.reshape(-1, 1).expand(-1, 3).contiguous(), reduction="none"
    ),
}


@pytest.mark.parametrize("name", MARGINS)
@pytest.mark.parametrize("executor", ["reference", "compiled"])
def test_margins_of_rows(name: str, executor: str) -> None:
    """What is at the margin, or NaN, counts for nothing, and takes no gradient."""
    theirs = torch.tensor(ROWS).requires_grad_()
    labels = torch.tensor([0, 1, 0, 0, 1, 2, 0, 1, 0])
    wanted = MARGINS[name](torch.nn.functional, theirs, labels)
    slopes = torch.autograd.grad(wanted.sum(), theirs)[0]
    with mode(executor):
        mine = mine_of(torch.tensor(ROWS)).requires_grad_()
        have = MARGINS[name](flambeau.nn.functional, mine, mine_of(labels))
        gradient = grad([have.sum()], [mine])[0]
        np.testing.assert_allclose(numbers(have), numbers(wanted), rtol=1e-6)
        np.testing.assert_allclose(numbers(gradient), numbers(slopes), rtol=1e-6)
