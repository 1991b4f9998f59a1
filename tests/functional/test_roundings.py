"""Where PyTorch's kernels round: the very bits of values, first and second gradients.

Of vectors whose length fills whole registers: PyTorch rounds the rest of others elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flambeau.autograd.engine import grad
from tests.programs.modes import mode

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

from against_torch import mine_of

import flambeau

LENGTH = 256
Function = Callable[..., Any]


def loss(name: str, reduction: str, **options: float) -> Function:
    return lambda t, x, y: getattr(t.nn.functional, name)(x, y, reduction=reduction, **options)


CASES: dict[str, tuple[int, Function]] = {
    "addcmul": (3, lambda t, x, a, b: t.addcmul(x, a, b)),
    "addcmul(0.7)": (3, lambda t, x, a, b: t.addcmul(x, a, b, value=0.7)),
    "addcdiv(0.7)": (3, lambda t, x, a, b: t.addcdiv(x, a, b, value=0.7)),
    "lerp": (3, lambda t, x, a, w: t.lerp(x, a, w)),
    "lerp(0.3)": (2, lambda t, x, a: t.lerp(x, a, 0.3)),
    "lerp(0.8)": (2, lambda t, x, a: t.lerp(x, a, 0.8)),
    "add(alpha=0.7)": (2, lambda t, x, a: t.add(x, a, alpha=0.7)),
    "add(alpha=3)": (2, lambda t, x, a: t.add(x, a, alpha=3)),
    "add_(alpha=0.7)": (2, lambda t, x, a: x.clone().add_(a, alpha=0.7)),
    "add(0.3, alpha=0.7)": (1, lambda t, x: t.add(x, 0.3, alpha=0.7)),
    "sub(alpha=0.7)": (2, lambda t, x, a: t.sub(x, a, alpha=0.7)),
    "sub_(alpha=0.7)": (2, lambda t, x, a: x.clone().sub_(a, alpha=0.7)),
    "rsub(alpha=0.7)": (2, lambda t, x, a: t.rsub(x, a, alpha=0.7)),
    **{
        f"{name}({reduction}, {options})": (2, loss(name, reduction, **options))
        for reduction in ("none", "mean", "sum")
        for name, options in (
            ("mse_loss", {}),
            ("l1_loss", {}),
            ("smooth_l1_loss", {"beta": 0.7}),
            ("smooth_l1_loss", {"beta": 1.0}),
            ("huber_loss", {"delta": 0.7}),
            ("huber_loss", {"delta": 1.0}),
        )
    },
}


def numbers(tensor: Any) -> Any:
    if isinstance(tensor, torch.Tensor):
        return tensor.detach().double().numpy()
    return np.asarray(tensor.detach().double().tolist())


def run(library: Any, function: Function, given: list[Any], cts: list[Any]) -> list[Any]:
    """The value, its gradients, and theirs."""
    derive, take = (
        (torch.autograd.grad, torch.clone) if library is torch else (grad, lambda x: mine_of(x))
    )
    leaves = [take(x).requires_grad_() for x in given]
    y = function(library, *leaves)
    first, *others = [take(ct) for ct in cts]
    ct = (first if y.dim() else first[0]).requires_grad_()
    slopes = derive([y], leaves, [ct], create_graph=True)
    found = [y, *slopes]
    for slope, other in zip(slopes, others, strict=True):
        if slope.requires_grad:
            seconds = derive([slope], [*leaves, ct], [other], retain_graph=True, allow_unused=True)
            found += [s for s in seconds if s is not None and bool((s != 0).any())]
    return found


@pytest.mark.parametrize("executor", ["reference", "compiled"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_bits(name: str, dtype: str, executor: str) -> None:
    count, function = CASES[name]
    random = torch.Generator().manual_seed(7)
    made = [torch.rand(LENGTH, generator=random, dtype=torch.float64) * 4 - 2 for _ in range(7)]
    rounded = [x.to(getattr(torch, dtype)) for x in made]
    given, cts = rounded[:count], rounded[3 : 4 + count]
    theirs = run(torch, function, given, cts)
    with mode(executor):
        ours = [numbers(x) for x in run(flambeau, function, given, cts)]
    assert len(ours) == len(theirs)
    exact = dtype in ("bfloat16", "float16")
    for mine, wanted in zip(ours, map(numbers, theirs), strict=True):
        if exact or wanted.ndim:
            np.testing.assert_array_equal(mine, wanted)
        else:  # sums of wider types are not said to have an order
            np.testing.assert_allclose(mine, wanted, rtol=1e-5 if dtype == "float32" else 1e-12)
