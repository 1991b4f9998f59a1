"""Attention as one primitive, in both executors, beside PyTorch and its own composition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.record.options import OPTIONS

# (B, H, L, S, E, V, causal): whole blocks, rests of all kinds, more rows or columns, chunks of
# rows, features that no kernel takes.
CASES = [
    (2, 3, 64, 64, 32, 32, True),
    (2, 3, 64, 64, 32, 32, False),
    (1, 2, 37, 37, 16, 48, True),
    (1, 2, 5, 70, 64, 16, False),
    (2, 1, 130, 90, 32, 32, True),
    (1, 1, 1, 33, 16, 16, False),
    (1, 2, 300, 300, 64, 64, True),
    (1, 1, 20, 41, 16, 16, True),
    (1, 2, 9, 11, 12, 20, True),
]


def tensors(case: tuple[Any, ...], scale: float = 1.0) -> list[Any]:
    b, h, rows, columns, e, v, _ = case
    rng = np.random.default_rng(sum(case))
    shapes = [(b, rows, h, e), (b, columns, h, e), (b, columns, h, v), (b, h, rows, v)]
    return [(scale * rng.standard_normal(s)).astype(np.float32) for s in shapes]


def gradients(module: Any, make: Any, arrays: list[Any], causal: bool) -> list[Any]:
    """The result and the gradients of q, k and v, which are views with the heads' axis moved."""
    parts = [make(x) for x in arrays[:3]]
    for x in parts:
        x.requires_grad_(True)
    turned = [x.transpose(1, 2) for x in parts]
    y = module.nn.functional.scaled_dot_product_attention(*turned, is_causal=causal)
    (y * make(arrays[3])).sum().backward()
    return [np.array(x.detach().numpy()) for x in (y, *[p.grad for p in parts])]


@pytest.mark.parity
@pytest.mark.parametrize("executor", ["reference", "compiled"])
@pytest.mark.parametrize("case", CASES)
def test_as_exact_as_pytorch(
    case: tuple[Any, ...], executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(OPTIONS, "executor", executor)
    arrays = tensors(case)
    exact = gradients(torch, lambda x: torch.tensor(x.astype(np.float64)), arrays, case[-1])
    theirs = gradients(torch, torch.tensor, arrays, case[-1])
    ours = gradients(flambeau, flambeau.tensor, arrays, case[-1])
    for x, y, z in zip(exact, theirs, ours, strict=True):
        assert np.abs(z - x).max() <= 4 * np.abs(y - x).max() + 1e-6


@pytest.mark.parity
def test_large_scores_and_second_derivatives() -> None:
    torch = pytest.importorskip("torch")
    arrays = tensors(CASES[2], 6.0)
    for x, y in zip(
        gradients(torch, torch.tensor, arrays, True),
        gradients(flambeau, flambeau.tensor, arrays, True),
        strict=True,
    ):
        np.testing.assert_allclose(y, x, rtol=1e-3, atol=1e-3)

    def second(module: Any, make: Any) -> Any:
        q, k, v = (make(x).transpose(1, 2) for x in tensors(CASES[7])[:3])
        q.requires_grad_(True)
        y = module.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        (first,) = module.autograd.grad((y * y).sum(), q, create_graph=True)
        (again,) = module.autograd.grad((first * first).sum(), q)
        return np.array(again.detach().numpy())

    def wide(x: Any) -> Any:
        return torch.tensor(x.astype(np.float64))

    backends = torch.nn.attention
    with backends.sdpa_kernel(backends.SDPBackend.MATH):
        exact = second(torch, wide)
    np.testing.assert_allclose(second(flambeau, flambeau.tensor), exact, rtol=1e-4, atol=1e-4)


def test_same_bits_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    arrays, threads = tensors(CASES[6]), flambeau.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            flambeau.set_num_threads(count)
            found.append(gradients(flambeau, flambeau.tensor, arrays, True))
    finally:
        flambeau.set_num_threads(threads)
    for x, y in zip(*found, strict=True):
        np.testing.assert_array_equal(x, y)
