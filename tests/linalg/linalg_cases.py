"""What the tests of this folder share: a function of both libraries, values and two derivatives."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beside_torch import array, dtype_name, given, same

import flambeau

Case = Callable[..., Any]


def draw(*shape: int, dtype: str = "float64", seed: int = 0) -> Any:
    """Normal random numbers, of PyTorch."""
    generator = torch.Generator().manual_seed(seed + 13 * len(shape))
    return torch.randn(shape, dtype=getattr(torch, dtype), generator=generator)


def positive(n: int, *batch: int, dtype: str = "float64", seed: int = 0) -> Any:
    """Hermitian positive-definite matrices with well-separated eigenvalues."""
    x = draw(*batch, n, n, dtype=dtype, seed=seed)
    return x @ x.mH / n + torch.diag(torch.arange(1.0, n + 1)).to(x.dtype)


def check(case: Case, *tensors: Any, tolerance: float = 1e-8) -> None:
    """The results of `case(library, *tensors)` are the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = case(torch, *tensors)
        ours = case(flambeau, *[given(flambeau, t) for t in tensors])
    assert isinstance(theirs, torch.Tensor) == isinstance(ours, flambeau.Tensor)
    pairs = [(ours, theirs)] if isinstance(theirs, torch.Tensor) else zip(ours, theirs, strict=True)
    for mine, other in pairs:
        same(mine, other, rtol=tolerance, atol=tolerance)


def _gradients(library: Any, case: Case, tensors: Any, second: bool) -> list[Any]:
    inputs = [given(library, t).requires_grad_() for t in tensors]
    results = case(library, *inputs)
    parts = [results] if hasattr(results, "shape") else list(results)
    parts = [p for p in parts if p.requires_grad]
    names = [dtype_name(p) for p in parts]
    weights = [
        given(library, draw(*p.shape, dtype=n, seed=i + 5))
        for i, (p, n) in enumerate(zip(parts, names, strict=True))
    ]
    first = library.autograd.grad(parts, inputs, weights, create_graph=second)
    if not second:
        return list(first)
    again = [given(library, draw(*g.shape, dtype=dtype_name(g), seed=9)) for g in first]
    pairs = [(g, w) for g, w in zip(first, again, strict=True) if g.requires_grad]
    zeros = [library.zeros_like(i) for i in inputs]
    if not pairs:  # of a linear function
        return [*first, *zeros]
    twice = library.autograd.grad(
        [g for g, _ in pairs], inputs, [w for _, w in pairs], allow_unused=True
    )
    return [*first, *[z if t is None else t for t, z in zip(twice, zeros, strict=True)]]


def check_gradients(
    case: Case, *tensors: Any, second: bool = True, tolerance: float = 1e-6
) -> None:
    """First (and second) derivatives agree, for random cotangents."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = _gradients(torch, case, tensors, second)
        ours = _gradients(flambeau, case, tensors, second)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        a, b = array(mine), array(other)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * (1 + np.abs(b).max()))


def check_error(case: Case, *tensors: Any) -> None:
    """Both libraries refuse, with the same kind of exception and the same first line."""
    with pytest.raises(Exception) as theirs:
        case(torch, *tensors)
    with pytest.raises(Exception) as ours:
        case(flambeau, *[given(flambeau, t) for t in tensors])
    assert type(ours.value).__name__ == type(theirs.value).__name__
    assert str(ours.value).split("\n")[0] == str(theirs.value).split("\n")[0]
