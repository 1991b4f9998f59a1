"""What is added to products of half types is added before they are rounded, as PyTorch does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.record.options import OPTIONS

pytestmark = pytest.mark.parity


def layer(*lead: int) -> tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]:
    return lambda t, *x: t.nn.functional.linear(*x), ((*lead, 24), (16, 24), (16,))


def added(name: str, *shapes: tuple[int, ...], **factors: float) -> Any:
    return lambda t, *x: getattr(t, name)(*x, **factors), shapes


MATRICES = (32, 16), (32, 24), (24, 16)
BATCHES = (3, 32, 16), (3, 32, 24), (3, 24, 16)
CASES = {
    "linear": layer(32),
    "linear of more axes": layer(2, 5),
    "linear of one row": layer(),
    "addmm": added("addmm", *MATRICES),
    "addmm with factors": added("addmm", *MATRICES, alpha=0.3, beta=1.7),
    "addmm with a row": added("addmm", (16,), *MATRICES[1:], alpha=0.3, beta=1.7),
    "addmm of nothing": added("addmm", *MATRICES, alpha=0.3, beta=0),
    "addmv": added("addmv", (320,), (320, 24), (24,), alpha=0.3, beta=1.7),
    "baddbmm": added("baddbmm", *BATCHES),
    "baddbmm with factors": added("baddbmm", *BATCHES, alpha=0.3, beta=1.7),
    "addr": added("addr", (32, 24), (32,), (24,)),
    "addr with factors": added("addr", (32, 24), (32,), (24,), alpha=0.3, beta=1.7),
}


@pytest.mark.parametrize("executor", ["reference", "compiled"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", CASES)
def test_bit_for_bit(name: str, dtype: str, executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(OPTIONS, "executor", executor)
    function, shapes = CASES[name]
    rng = np.random.default_rng(len(name))
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    results = []
    for t in (flambeau, torch):
        operands = [t.tensor(x).to(getattr(t, dtype)) for x in arrays]
        results.append(function(t, *operands).float().numpy())
    found, wanted = results
    if (name, dtype) == ("addmv", "float16") and not torch.ops.mkldnn._is_mkldnn_fp16_supported():
        # (Where the CPU does not compute in float16, PyTorch rounds factors and `beta * x` before.)
        exact = [torch.tensor(x).half().float() for x in arrays]
        wanted = function(torch, *exact).half().float().numpy()
    # (Sums in another order end on the other side of a tie now and then.)
    assert np.count_nonzero(found != wanted) <= 0.01 * wanted.size
    np.testing.assert_allclose(found, wanted, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("executor", ["reference", "compiled"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gradients_of_layers(dtype: str, executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(OPTIONS, "executor", executor)
    rng = np.random.default_rng(0)
    arrays = [
        rng.standard_normal(shape).astype(np.float32) for shape in ((32, 24), (16, 24), (16,))
    ]
    cotangent = rng.standard_normal((32, 16)).astype(np.float32)
    results = []
    for t in (flambeau, torch):
        x, w, b = (t.tensor(y).to(getattr(t, dtype)).requires_grad_() for y in arrays)
        y = t.nn.functional.linear(x, w, b)
        found = t.autograd.grad(y, (x, w, b), t.tensor(cotangent).to(y.dtype), create_graph=True)
        assert all(g.dtype is y.dtype for g in found)
        second = t.autograd.grad(sum(g.float().square().sum() for g in found), (x, w))
        results.append([g.detach().float().numpy() for g in (*found, *second)])
    for number, (ours, theirs) in enumerate(zip(*results, strict=True)):
        if number < 3:
            assert np.count_nonzero(ours != theirs) <= 0.01 * theirs.size
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=2e-2, atol=1e-2 * scale)


def test_slices_and_forward_derivatives() -> None:
    rng = np.random.default_rng(1)
    x, w, b = (
        flambeau.tensor(rng.standard_normal(shape).astype(np.float32)).bfloat16()
        for shape in ((4, 6, 24), (16, 24), (16,))
    )
    linear = flambeau.nn.functional.linear
    slices = flambeau.func.vmap(lambda row: linear(row, w, b))(x)
    assert slices.tolist() == flambeau.stack([linear(row, w, b) for row in x]).tolist()
    value, slope = flambeau.func.jvp(lambda y: linear(y, w, b), (x[0],), (x[1],))
    assert value.dtype is slope.dtype is flambeau.bfloat16
    assert value.tolist() == linear(x[0], w, b).tolist()
    assert (slope - linear(x[1], w)).abs().max() <= 0.1
