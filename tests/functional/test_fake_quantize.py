"""fake_quantize_per_tensor_affine and _per_channel_affine against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

POINTS = (-3.0, -1.04, -0.05, 0.0, 0.05, 0.15, 0.25, 0.55, 2.0, 40.0, float("nan"))
MANY = np.random.default_rng(0).uniform(-20, 20, (4, 50, 3)).astype(np.float32)


def of_tensor(*given: Any, dtype: str = "float32") -> Callable[[Any], Any]:
    def run(torch: Any) -> Any:
        x = torch.tensor(POINTS, dtype=getattr(torch, dtype), requires_grad=True)
        made = torch.fake_quantize_per_tensor_affine(x, *given)
        (made.nan_to_num() * 2).sum().backward()
        return made.tolist(), x.grad.tolist(), made.grad_fn.name(), str(made.dtype)[-7:]

    return run


def with_tensors(torch: Any) -> Any:
    x = torch.tensor(POINTS)
    scale, zero = torch.tensor([0.1]), torch.tensor([10], dtype=torch.int32)
    return torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255).tolist()


def of_channels(
    axis: int, low: int = 0, high: int = 15, zero: str = "int32", add: float = 0
) -> Callable[[Any], Any]:
    def run(torch: Any) -> Any:
        x = torch.from_numpy(MANY).requires_grad_()
        count = MANY.shape[axis]
        scale = torch.from_numpy(np.linspace(0.1, 1.3, count).astype(np.float32))
        places = (torch.arange(count) % 5 + add).to(getattr(torch, zero))
        made = torch.fake_quantize_per_channel_affine(x, scale, places, axis, low, high)
        (made * made).sum().backward()
        return made.tolist(), x.grad.tolist(), made.grad_fn.name()

    return run


CASES: dict[str, Callable[[Any], Any]] = {
    "plain": of_tensor(0.1, 10, 0, 255),
    "signed": of_tensor(0.037, -1, -8, 7),
    "double": of_tensor(0.1, 0, -8, 7, dtype="float64"),
    "half": of_tensor(0.1, 0, -8, 7, dtype="float16"),
    "bfloat16": of_tensor(0.1, 0, -8, 7, dtype="bfloat16"),
    "tensors": with_tensors,
    "zero_outside": of_tensor(0.1, 300, 0, 255),
    "empty_range": of_tensor(0.1, 0, 5, 4),
    "rows": of_channels(0),
    "columns": of_channels(1, -4, 9),
    "last": of_channels(2, zero="float32", add=0.5),
    "wrong_zero": of_channels(0, zero="int64"),
    "wrong_place": of_channels(0, add=90),
    "integers": lambda torch: torch.fake_quantize_per_tensor_affine(
        torch.ones(2, dtype=torch.int32), 0.1, 0, 0, 1
    ),
    "scale_with_gradient": lambda torch: torch.fake_quantize_per_tensor_affine(
        torch.ones(2, requires_grad=True),
        torch.tensor(0.1, requires_grad=True),
        torch.tensor(0),
        0,
        1,
    ),
    "sizes": lambda torch: torch.fake_quantize_per_channel_affine(
        torch.ones(2, 3), torch.ones(3), torch.zeros(3).int(), 0, 0, 1
    ),
}


def outcome(case: Callable[[Any], Any], torch: Any) -> Any:
    try:
        return case(torch)
    except Exception as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str) -> None:
    expected = outcome(CASES[name], reference)
    for _ in range(3):
        found = outcome(CASES[name], flambeau)
        assert str(found) == str(expected)
