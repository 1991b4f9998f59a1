"""linspace of float32: to the bit as PyTorch rounds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity
CAPABLE = reference.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


@pytest.mark.skipif(not CAPABLE, reason="PyTorch rounds twice on CPUs without fused products")
def test_same_bits() -> None:
    random = np.random.default_rng(7)
    for _ in range(200):
        start, end = (random.normal(size=2) * 10 ** random.uniform(-3, 3)).tolist()
        steps = int(random.integers(1, 400))

        def made(torch: Any, start: float = start, end: float = end, steps: int = steps) -> Any:
            return torch.linspace(start, end, steps).numpy()

        assert np.array_equal(made(reference), made(flambeau)), (start, end, steps)


def test_tensors_as_ends() -> None:
    def made(torch: Any) -> Any:
        return torch.linspace(torch.tensor(0.3), torch.tensor(1.7), 11)

    assert np.allclose(made(reference).numpy(), made(flambeau).numpy(), rtol=1e-7)
